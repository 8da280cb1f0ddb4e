/*
 * service.c - a small order service: what one meets in a real heap, in three seconds.
 *
 * Three workers answer 6 000 requests. The catalogue is loaded once and held. parse_request and
 * render_answer make short-lived strings (churn). The cache holds the latest 2 000 answers and then
 * no more (bounded). The audit trail keeps a line of every request for ever (growth). Every 60th
 * session is forgotten instead of closed (leak). A nightly report in the middle of the run is the
 * peak.
 *
 * usage: service [REQUESTS]
 *
 * Truth
 *   catalogue_load(): allocations 4001, frees 0, live_blocks 4001, live_bytes 544000
 *   session_open(): allocations 6000, frees 5900, live_blocks 100, live_bytes 19200
 *   audit_append(): allocations 6000, frees 0, live_blocks 6000, live_bytes 576000
 *   cache_insert(): allocations 6000, frees 4000, live_blocks 2000, live_bytes 1024000
 *   report_build(): allocations 48, frees 48, allocated_bytes 12582912, live_blocks 0
 *   parse_request(): allocations 24000, frees 24000, live_blocks 0
 *   render_answer(): allocations 18000, frees 18000, live_blocks 0
 *   stdout: 6000 requests answered
 *   status: 0
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WORKERS = 3,
    REQUESTS_DEFAULT = 6000,
    CATALOGUE_ITEMS = 4000,
    CACHE_SLOTS = 2000,
    FIELDS = 4,
    REPORT_PAGES = 48,
    REPORT_PAGE_BYTES = 262144,
    FORGOTTEN_EVERY = 60,
};

struct item {
    char name[104];
    long price;
};

struct session {
    long request;
    char user[184];
};

struct audit_line {
    struct audit_line *previous;
    char text[88];
};

struct request {
    long number;
    char *fields[FIELDS];
};

static struct item **catalogue;
static char *cache[CACHE_SLOTS];
static struct audit_line *audit_trail;
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t audit_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic long next_request;
static long requests_max;

static void *need(void *block)
{
    if (block == NULL) {
        abort();
    }
    return block;
}

/* ---- the catalogue: loaded once, held for ever ---- */

static void catalogue_load(void)
{
    catalogue = need(malloc(CATALOGUE_ITEMS * sizeof(struct item *)));
    for (long i = 0; i < CATALOGUE_ITEMS; i++) {
        struct item *item = need(malloc(sizeof(struct item) + 16));
        snprintf(item->name, sizeof(item->name), "article %ld", i);
        item->price = i * 7 % 1000;
        catalogue[i] = item;
    }
}

/* ---- sessions: every 60th is forgotten ---- */

static struct session *session_open(long number)
{
    struct session *session = need(malloc(sizeof(struct session)));
    session->request = number;
    snprintf(session->user, sizeof(session->user), "user%ld", number % 97);
    return session;
}

static void session_close(struct session *session)
{
    if (session->request % FORGOTTEN_EVERY != 0) {
        free(session);
    }
}

/* ---- requests and answers: strings that live for a moment ---- */

static void parse_request(struct request *request, long number)
{
    request->number = number;
    for (int i = 0; i < FIELDS; i++) {
        size_t size_bytes = 24 + (size_t)(number + i) % 40;
        request->fields[i] = need(malloc(size_bytes));
        snprintf(request->fields[i], size_bytes, "field %d of %ld", i, number);
    }
}

static void release_request(struct request *request)
{
    for (int i = 0; i < FIELDS; i++) {
        free(request->fields[i]);
    }
}

/* Three drafts of growing length; the last one's text ends up in the cache. */
static long render_answer(const struct request *request, char *text, size_t text_bytes)
{
    long checksum = 0;
    for (size_t draft = 1; draft <= 3; draft++) {
        char *buffer = need(malloc(draft * 300));
        int length = snprintf(buffer, draft * 300, "%s, %s: %s", request->fields[0],
                              request->fields[1], catalogue[request->number % CATALOGUE_ITEMS]->name);
        for (int i = 0; i < length; i++) {
            checksum = checksum * 31 + buffer[i];
        }
        snprintf(text, text_bytes, "%s", buffer);
        free(buffer);
    }
    return checksum;
}

/* ---- the cache: grows until it is full ---- */

static void cache_insert(long number, const char *text)
{
    char *entry = need(malloc(512));
    snprintf(entry, 512, "%s", text);
    pthread_mutex_lock(&cache_lock);
    char *evicted = cache[number % CACHE_SLOTS];
    cache[number % CACHE_SLOTS] = entry;
    pthread_mutex_unlock(&cache_lock);
    free(evicted);
}

/* ---- the audit trail: grows for ever ---- */

static void audit_append(long number, long checksum)
{
    struct audit_line *line = need(malloc(sizeof(struct audit_line)));
    snprintf(line->text, sizeof(line->text), "request %ld: %lx", number, checksum);
    pthread_mutex_lock(&audit_lock);
    line->previous = audit_trail;
    audit_trail = line;
    pthread_mutex_unlock(&audit_lock);
}

/* ---- the nightly report: the peak ---- */

static void report_build(void)
{
    char *pages[REPORT_PAGES];
    for (int i = 0; i < REPORT_PAGES; i++) {
        pages[i] = need(malloc(REPORT_PAGE_BYTES));
        memset(pages[i], i, REPORT_PAGE_BYTES);
    }
    struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    for (int i = 0; i < REPORT_PAGES; i++) {
        free(pages[i]);
    }
}

static void answer_request(long number)
{
    struct request request;
    char text[400];
    struct session *session = session_open(number);
    parse_request(&request, number);
    long checksum = render_answer(&request, text, sizeof(text));
    cache_insert(number, text);
    audit_append(number, checksum);
    release_request(&request);
    session_close(session);
}

static void *serve(void *unused)
{
    long number = 0;
    while ((number = atomic_fetch_add(&next_request, 1)) < requests_max) {
        answer_request(number);
        if (number == requests_max / 2) {
            report_build();
        }
        struct timespec pause = {.tv_nsec = 1300000};
        nanosleep(&pause, NULL);
    }
    return unused;
}

int main(int count, char **arguments)
{
    requests_max = count > 1 ? atol(arguments[1]) : REQUESTS_DEFAULT;
    if (requests_max < 1) {
        fprintf(stderr, "usage: service [REQUESTS]\n");
        return 2;
    }
    catalogue_load();
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        if (pthread_create(&workers[i], NULL, serve, NULL) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    printf("%ld requests answered\n", requests_max);
    return 0;
}
