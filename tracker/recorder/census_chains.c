#include "recorder/census_chains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/census_read.h"
#include "recorder/holder_names.h"

#define CHAIN_SITES_MAX 400u  /* sites that get chains: those with the most bytes */
#define CHAINS_PER_SITE 3u
#define CHAIN_STEPS_MAX 12u
#define CHAIN_SHARE_MIN 0.02  /* of a site's bytes: less is not worth a line */
#define NODE_NONE UINT32_MAX

/* Nodes of the graph: 0 is the roots, i + 1 is site i of the result. */

static size_t site_index(const struct census_result *result, uint64_t stack)
{
    size_t low = 0;
    size_t high = result->site_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (result->sites[middle].stack < stack) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < result->site_count && result->sites[low].stack == stack ? low : SIZE_MAX;
}

/* ---- dominators ----------------------------------------------------------- */

struct graph {
    size_t node_count;
    uint32_t *from; /* [0..edge_count): node the edge comes from; NODE_NONE: no such site */
    uint32_t *order;     /* nodes in reverse postorder, [0..reached) */
    uint32_t *position;  /* of a node in `order`; NODE_NONE: not reached */
    uint32_t *dominator; /* immediate, by node */
    uint32_t *out_first; /* outgoing edges by node, as in census_chains */
    uint32_t *out_edges;
    uint32_t *to;
    size_t reached;
};

static void graph_free(struct graph *graph)
{
    free(graph->from);
    free(graph->order);
    free(graph->position);
    free(graph->dominator);
    free(graph->out_first);
    free(graph->out_edges);
    free(graph->to);
}

static bool graph_new(struct graph *graph, const struct census_result *result)
{
    size_t nodes = result->site_count + 1;
    size_t edges = result->edge_count + 1;
    *graph = (struct graph){.node_count = nodes,
                            .from = malloc(edges * sizeof(uint32_t)),
                            .to = malloc(edges * sizeof(uint32_t)),
                            .order = malloc(nodes * sizeof(uint32_t)),
                            .position = malloc(nodes * sizeof(uint32_t)),
                            .dominator = malloc(nodes * sizeof(uint32_t)),
                            .out_first = calloc(nodes + 2, sizeof(uint32_t)),
                            .out_edges = malloc(edges * sizeof(uint32_t))};
    if (graph->from == NULL || graph->to == NULL || graph->order == NULL || graph->position == NULL
        || graph->dominator == NULL || graph->out_first == NULL || graph->out_edges == NULL) {
        return false;
    }
    for (size_t i = 0; i < result->edge_count; i++) {
        const struct arena_census_edge *edge = &result->edges[i];
        size_t to = site_index(result, edge->stack);
        size_t from =
            edge->kind == ARENA_HOLDER_SITE ? site_index(result, edge->holder) : SIZE_MAX - 1;
        graph->to[i] = to == SIZE_MAX ? NODE_NONE : (uint32_t)to + 1;
        graph->from[i] = from == SIZE_MAX       ? NODE_NONE
                         : from == SIZE_MAX - 1 ? 0
                                                : (uint32_t)from + 1;
        if (graph->to[i] == NODE_NONE || edge->is_interior != 0) {
            graph->from[i] = NODE_NONE;
        }
        if (graph->from[i] != NODE_NONE) {
            graph->out_first[graph->from[i] + 2]++;
        }
    }
    for (size_t i = 2; i < nodes + 2; i++) {
        graph->out_first[i] += graph->out_first[i - 1];
    }
    for (size_t i = 0; i < result->edge_count; i++) {
        if (graph->from[i] != NODE_NONE) {
            graph->out_edges[graph->out_first[graph->from[i] + 1]++] = (uint32_t)i;
        }
    }
    return true;
}

/* Reverse postorder by a walk with a stack of its own: `dominator` and `position` serve as the
 * stack and the places reached in it. */
static void graph_order(struct graph *graph)
{
    uint32_t *stack = graph->dominator;
    uint32_t *next = graph->position;
    size_t finished = 0;
    size_t depth = 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        next[i] = NODE_NONE;
    }
    stack[0] = 0;
    next[0] = graph->out_first[0];
    while (depth > 0) {
        uint32_t node = stack[depth - 1];
        if (next[node] == graph->out_first[node + 1]) {
            graph->order[finished++] = node;
            depth--;
            continue;
        }
        uint32_t to = graph->to[graph->out_edges[next[node]++]];
        if (next[to] == NODE_NONE) {
            next[to] = graph->out_first[to];
            stack[depth++] = to;
        }
    }
    graph->reached = finished;
    for (size_t i = 0; i < finished / 2; i++) {
        uint32_t swapped = graph->order[i];
        graph->order[i] = graph->order[finished - 1 - i];
        graph->order[finished - 1 - i] = swapped;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        graph->position[i] = NODE_NONE;
        graph->dominator[i] = NODE_NONE;
    }
    for (size_t i = 0; i < finished; i++) {
        graph->position[graph->order[i]] = (uint32_t)i;
    }
}

static uint32_t common_dominator(const struct graph *graph, uint32_t a, uint32_t b)
{
    while (a != b) {
        while (graph->position[a] > graph->position[b]) {
            a = graph->dominator[a];
        }
        while (graph->position[b] > graph->position[a]) {
            b = graph->dominator[b];
        }
    }
    return a;
}

static void graph_dominate(struct graph *graph, const struct census_chains *chains)
{
    bool has_changed = true;
    graph->dominator[0] = 0;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 1; i < graph->reached; i++) {
            uint32_t node = graph->order[i];
            uint32_t best = NODE_NONE;
            for (uint32_t j = chains->first_edge[node - 1]; j < chains->first_edge[node]; j++) {
                uint32_t from = graph->from[chains->edges[j]];
                if (from != NODE_NONE && graph->dominator[from] != NODE_NONE) {
                    best = best == NODE_NONE ? from : common_dominator(graph, best, from);
                }
            }
            if (best != NODE_NONE && graph->dominator[node] != best) {
                graph->dominator[node] = best;
                has_changed = true;
            }
        }
    }
}

static void retained_compute(struct census_chains *chains, const struct census_result *result)
{
    struct graph graph;
    uint64_t *retained = calloc(result->site_count + 1, sizeof *retained);
    if (graph_new(&graph, result) && retained != NULL) {
        graph_order(&graph);
        graph_dominate(&graph, chains);
        for (size_t i = 0; i < result->site_count; i++) {
            retained[i] = result->sites[i].bytes[ARENA_LEAK_REACHABLE];
        }
        /* From the leaves up: a dominator comes before what it dominates. */
        for (size_t i = graph.reached; i-- > 1;) {
            uint32_t dominator = graph.dominator[graph.order[i]];
            if (dominator != 0 && dominator != NODE_NONE) {
                retained[dominator - 1] += retained[graph.order[i] - 1];
            }
        }
        chains->retained_bytes = retained;
    } else {
        free(retained);
    }
    graph_free(&graph);
}

/* ---- setting up ----------------------------------------------------------- */

void census_chains_init(struct census_chains *chains, const struct census_result *result)
{
    memset(chains, 0, sizeof *chains);
    chains->first_edge = calloc(result->site_count + 2, sizeof *chains->first_edge);
    chains->edges = calloc(result->edge_count + 1, sizeof *chains->edges);
    if (chains->first_edge == NULL || chains->edges == NULL) {
        census_chains_deinit(chains);
        return;
    }
    /* Counting sort by target; first_edge[i + 1] serves as the place to put the next. */
    for (size_t i = 0; i < result->edge_count; i++) {
        size_t to = site_index(result, result->edges[i].stack);
        if (to != SIZE_MAX) {
            chains->first_edge[to + 2]++;
        }
    }
    for (size_t i = 2; i < result->site_count + 2; i++) {
        chains->first_edge[i] += chains->first_edge[i - 1];
    }
    for (size_t i = 0; i < result->edge_count; i++) {
        size_t to = site_index(result, result->edges[i].stack);
        if (to != SIZE_MAX) {
            chains->edges[chains->first_edge[to + 1]++] = (uint32_t)i;
        }
    }
    retained_compute(chains, result);
}

void census_chains_deinit(struct census_chains *chains)
{
    free(chains->retained_bytes);
    free(chains->first_edge);
    free(chains->edges);
    memset(chains, 0, sizeof *chains);
}

/* ---- chains --------------------------------------------------------------- */

/* Incoming holders of one site, edges of one variable taken together. */
struct incoming {
    size_t site; /* index; SIZE_MAX: a root */
    const struct arena_census_edge *edge; /* the first of them */
    char name[160];
    uint64_t bytes;
    uint64_t blocks;
};

#define INCOMING_MAX 64u

static bool is_same_holder(const struct incoming *a, const struct incoming *b)
{
    return a->site == b->site && strcmp(a->name, b->name) == 0
           && ((a->edge->kind != ARENA_HOLDER_STACK && a->edge->kind != ARENA_HOLDER_REGISTER)
               || a->edge->holder == b->edge->holder);
}

static bool is_on_chain(const size_t *sites, size_t count, size_t site)
{
    for (size_t i = 0; i < count; i++) {
        if (sites[i] == site) {
            return true;
        }
    }
    return false;
}

/* Collects who holds site `to` into incoming[], heaviest first; holders that are on the
 * chain already (a list's own elements) do not count. Returns how many; *total_bytes: of
 * all of them. */
static size_t incoming_collect(const struct census_chains *chains,
                               const struct census_result *result, struct holder_names *names,
                               size_t to, const size_t *on_chain, size_t on_chain_count,
                               struct incoming *incoming, uint64_t *total_bytes)
{
    size_t count = 0;
    *total_bytes = 0;
    for (uint32_t i = chains->first_edge[to]; i < chains->first_edge[to + 1]; i++) {
        const struct arena_census_edge *edge = &result->edges[chains->edges[i]];
        struct incoming one = {.site = SIZE_MAX, .edge = edge};
        if (edge->blocks == 0 || edge->is_interior != 0) {
            continue;
        }
        if (edge->kind == ARENA_HOLDER_SITE) {
            one.site = site_index(result, edge->holder);
            if (one.site == SIZE_MAX || is_on_chain(on_chain, on_chain_count, one.site)) {
                continue;
            }
        } else {
            holder_names_describe(names, edge, one.name, sizeof one.name);
        }
        *total_bytes += edge->bytes + 1; /* blocks of no bytes are held too */
        size_t at = 0;
        while (at < count && !is_same_holder(&incoming[at], &one)) {
            at++;
        }
        if (at == count) {
            if (count == INCOMING_MAX) {
                continue;
            }
            incoming[count++] = one;
        }
        incoming[at].bytes += edge->bytes + 1;
        incoming[at].blocks += edge->blocks;
    }
    for (size_t i = 1; i < count; i++) {
        struct incoming moved = incoming[i];
        size_t at = i;
        for (; at > 0 && incoming[at - 1].bytes < moved.bytes; at--) {
            incoming[at] = incoming[at - 1];
        }
        incoming[at] = moved;
    }
    return count;
}

struct chain_writer {
    const struct census_chains *chains;
    const struct census_result *result;
    struct holder_names *names;
    struct recording_writer *recording;
    int64_t census;
    struct incoming *incoming; /* [INCOMING_MAX], for the steps above the first */
};

static int step_write(const struct chain_writer *writer, size_t site, int64_t chain, int64_t step,
                      const struct incoming *holder, double share)
{
    const struct arena_census_site *held = &writer->result->sites[site];
    struct recording_holder row = {
        .census = writer->census,
        .stack = held->stack,
        .chain = chain,
        .step = step,
        .kind = (enum recording_holder_kind)holder->edge->kind,
        .blocks = (int64_t)((double)held->blocks[ARENA_LEAK_REACHABLE] * share + 0.5),
        .bytes = (int64_t)((double)held->bytes[ARENA_LEAK_REACHABLE] * share + 0.5)};
    if (holder->site != SIZE_MAX) {
        row.kind = RECORDING_HOLDER_SITE;
        row.holder_stack = writer->result->sites[holder->site].stack;
    } else {
        int64_t address = holder_names_address(writer->names, holder->edge, writer->recording);
        if (address < 0) {
            return (int)address;
        }
        row.address = address;
        row.text = holder->name;
    }
    return recording_writer_put_holder(writer->recording, &row);
}

/* Follows the heaviest holders from `first` up to a root, then writes them, root first. */
static int chain_write(const struct chain_writer *writer, size_t site, int64_t chain,
                       const struct incoming *first, double share)
{
    struct incoming steps[CHAIN_STEPS_MAX];
    size_t on_chain[CHAIN_STEPS_MAX + 1] = {site};
    size_t count = 1;
    steps[0] = *first;
    while (steps[count - 1].site != SIZE_MAX && count < CHAIN_STEPS_MAX) {
        uint64_t total_bytes;
        on_chain[count] = steps[count - 1].site;
        size_t found =
            incoming_collect(writer->chains, writer->result, writer->names, on_chain[count],
                             on_chain, count + 1, writer->incoming, &total_bytes);
        if (found == 0) {
            break;
        }
        share *= (double)writer->incoming[0].bytes / (double)total_bytes;
        steps[count++] = writer->incoming[0];
    }
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        error = step_write(writer, site, chain, (int64_t)i, &steps[count - 1 - i], share);
    }
    return error;
}

static int site_chains_write(const struct chain_writer *writer, size_t site,
                             struct incoming *incoming)
{
    uint64_t total_bytes;
    size_t count = incoming_collect(writer->chains, writer->result, writer->names, site, &site, 1,
                                    incoming, &total_bytes);
    int error = 0;
    for (size_t i = 0; error == 0 && i < count && i < CHAINS_PER_SITE; i++) {
        double share = (double)incoming[i].bytes / (double)total_bytes;
        if (i > 0 && share < CHAIN_SHARE_MIN) {
            break;
        }
        error = chain_write(writer, site, (int64_t)i, &incoming[i], share);
    }
    return error;
}

/* Indices of the sites with the most reachable bytes, at most CHAIN_SITES_MAX. */
static size_t sites_select(const struct census_result *result, size_t *selected)
{
    size_t count = 0;
    for (size_t i = 0; i < result->site_count; i++) {
        const struct arena_census_site *site = &result->sites[i];
        uint64_t bytes = site->bytes[ARENA_LEAK_REACHABLE];
        if (site->blocks[ARENA_LEAK_REACHABLE] == 0) {
            continue;
        }
        size_t at = count < CHAIN_SITES_MAX ? count : CHAIN_SITES_MAX;
        while (at > 0 && result->sites[selected[at - 1]].bytes[ARENA_LEAK_REACHABLE] < bytes) {
            at--;
        }
        if (at == CHAIN_SITES_MAX) {
            continue;
        }
        size_t last = count < CHAIN_SITES_MAX ? count : CHAIN_SITES_MAX - 1;
        memmove(&selected[at + 1], &selected[at], (last - at) * sizeof *selected);
        selected[at] = i;
        count = last + 1;
    }
    return count;
}

int census_chains_write(const struct census_chains *chains, const struct census_result *result,
                        const struct arena_file *file, const struct image_writer *image,
                        const struct arena_process *process, struct recording_writer *recording,
                        int64_t census)
{
    if (chains->edges == NULL || result->site_count == 0) {
        return 0;
    }
    size_t selected[CHAIN_SITES_MAX + 1];
    struct incoming *incoming = malloc(2 * INCOMING_MAX * sizeof *incoming);
    struct holder_names *names = holder_names_new(file, image, process);
    int error = 0;
    if (incoming != NULL && names != NULL) {
        struct chain_writer writer = {.chains = chains,
                                      .result = result,
                                      .names = names,
                                      .recording = recording,
                                      .census = census,
                                      .incoming = incoming + INCOMING_MAX};
        size_t count = sites_select(result, selected);
        for (size_t i = 0; error == 0 && i < count; i++) {
            error = site_chains_write(&writer, selected[i], incoming);
            arena_file_beat(file);
        }
    }
    holder_names_free(names);
    free(incoming);
    return error;
}
