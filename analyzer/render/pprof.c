/*
 * Source: pprof's proto/profile.proto (field numbers beside the names below), and protobuf's
 * "Encoding": varints, length-delimited fields.
 *
 * Modules get address ranges of their own: a profile may merge several processes, and where
 * each had a library matters to nobody.
 */
#include "foundation/region.h"
#include "recording/intern.h"
#include "render/export.h"
#include "render/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PPROF_MODULE_STEP (UINT64_C(1) << 40)

/* The first four are those of Go's heap profiles, in their order. */
static const struct {
    enum profile_metric metric;
    const char *name;
    const char *unit;
} pprof_types[] = {
    {PROFILE_ALLOCATIONS, "alloc_objects", "count"},   {PROFILE_ALLOCATED, "alloc_space", "bytes"},
    {PROFILE_BLOCKS, "inuse_objects", "count"},        {PROFILE_LIVE, "inuse_space", "bytes"},
    {PROFILE_CPU, "cpu", "nanoseconds"},               {PROFILE_PEAK, "peak_space", "bytes"},
    {PROFILE_TEMPORARY, "temporary_objects", "count"}, {PROFILE_LEAKED, "leaked_space", "bytes"},
};
#define PPROF_TYPES (sizeof(pprof_types) / sizeof(pprof_types[0]))

struct pprof_buffer {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
};

struct pprof {
    const struct profile *profile;
    struct pprof_buffer strings; /* fields of the table */
    struct pprof_buffer message; /* the one under way */
    struct pprof_buffer packed;  /* a field of it */
    struct pprof_buffer body;
    struct intern_texts texts;
};

/* ---- protobuf --------------------------------------------------------------- */

static void put_varint(struct pprof_buffer *buffer, uint64_t value)
{
    buffer->bytes = mt_grow(buffer->bytes, &buffer->capacity, buffer->count + 10, 1);
    while (value >= 0x80) {
        buffer->bytes[buffer->count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    buffer->bytes[buffer->count++] = (uint8_t)value;
}

/* Zero is the default and not written. */
static void put_integer(struct pprof_buffer *buffer, uint32_t field, uint64_t value)
{
    if (value != 0) {
        put_varint(buffer, (uint64_t)field << 3);
        put_varint(buffer, value);
    }
}

static void put_bytes(struct pprof_buffer *buffer, uint32_t field, const void *bytes, size_t count)
{
    put_varint(buffer, (uint64_t)field << 3 | 2);
    put_varint(buffer, count);
    buffer->bytes = mt_grow(buffer->bytes, &buffer->capacity, buffer->count + count + 1, 1);
    if (count > 0) {
        memcpy(buffer->bytes + buffer->count, bytes, count);
    }
    buffer->count += count;
}

/* Appends `part` as a field and empties it. */
static void put_part(struct pprof_buffer *buffer, uint32_t field, struct pprof_buffer *part)
{
    put_bytes(buffer, field, part->bytes, part->count);
    part->count = 0;
}

/* Protobuf's strings are UTF-8; controls and the like would reach a terminal. */
static size_t clean_text(struct pprof_buffer *buffer, const char *text)
{
    buffer->count = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        bool is_plain = length > 0 && point >= 0x20 && point != 0x7f && !unicode_is_command(point);
        const char *piece = is_plain ? (const char *)at : length == 0 ? "\xef\xbf\xbd" : " ";
        size_t bytes = is_plain ? length : strlen(piece);
        buffer->bytes = mt_grow(buffer->bytes, &buffer->capacity, buffer->count + bytes, 1);
        memcpy(buffer->bytes + buffer->count, piece, bytes);
        buffer->count += bytes;
        at += length > 0 ? length : 1;
    }
    return buffer->count;
}

static uint64_t pprof_string(struct pprof *pprof, const char *text)
{
    struct pprof_buffer *scratch = &pprof->packed;
    size_t bytes = clean_text(scratch, text);
    scratch->count = 0;
    if (bytes == 0) {
        return 0; /* string_table[0] is "" */
    }
    bool is_new;
    uint64_t index = (uint64_t)intern_texts_get(&pprof->texts, scratch->bytes, bytes, &is_new);
    if (is_new) {
        put_bytes(&pprof->strings, 6, scratch->bytes, bytes); /* string_table */
    }
    return index;
}

/* ---- the parts of a profile -------------------------------------------------- */

static void put_value_type(struct pprof *pprof, uint32_t field, const char *type, const char *unit)
{
    put_integer(&pprof->message, 1, pprof_string(pprof, type));
    put_integer(&pprof->message, 2, pprof_string(pprof, unit));
    put_part(&pprof->body, field, &pprof->message);
}

static int64_t cpu_ns(const struct profile *profile, int64_t samples)
{
    return profile->cpu_hz > 0
               ? (int64_t)((double)samples * 1e9 / (double)profile->cpu_hz + 0.5)
               : 0;
}

static void put_labels(struct pprof *pprof, const struct profile_sample *sample)
{
    if (sample->thread == PROFILE_NONE) {
        return;
    }
    const struct profile_thread *thread = &pprof->profile->threads[sample->thread];
    struct pprof_buffer label = {0};
    if (thread->name[0] != '\0') {
        put_integer(&label, 1, pprof_string(pprof, "thread"));   /* key */
        put_integer(&label, 2, pprof_string(pprof, thread->name)); /* str */
        put_part(&pprof->message, 3, &label);
    }
    put_integer(&label, 1, pprof_string(pprof, "tid"));
    put_integer(&label, 3, (uint64_t)thread->tid); /* num */
    put_part(&pprof->message, 3, &label);
    if (pprof->profile->process_count > 1) {
        put_integer(&label, 1, pprof_string(pprof, "pid"));
        put_integer(&label, 3, (uint64_t)thread->pid);
        put_part(&pprof->message, 3, &label);
    }
    free(label.bytes);
}

static void put_sample(struct pprof *pprof, const struct profile_sample *sample)
{
    const struct profile *profile = pprof->profile;
    for (uint32_t i = 0; i < sample->location_count; i++) {
        put_varint(&pprof->packed, (uint64_t)sample->locations[i] + 1);
    }
    put_part(&pprof->message, 1, &pprof->packed); /* location_id, innermost first */
    for (size_t i = 0; i < PPROF_TYPES; i++) {
        enum profile_metric metric = pprof_types[i].metric;
        int64_t value = sample->values[metric];
        if (profile->has_metric[metric]) {
            put_varint(&pprof->packed,
                       (uint64_t)(metric == PROFILE_CPU ? cpu_ns(profile, value) : value));
        }
    }
    put_part(&pprof->message, 2, &pprof->packed); /* value */
    put_labels(pprof, sample);
    put_part(&pprof->body, 2, &pprof->message);
}

static void put_location(struct pprof *pprof, size_t index)
{
    const struct profile_location *location = &pprof->profile->locations[index];
    bool has_module = location->module != PROFILE_NONE;
    uint64_t base = has_module ? (location->module + UINT64_C(1)) * PPROF_MODULE_STEP : 0;
    put_integer(&pprof->message, 1, index + 1);                                   /* id */
    put_integer(&pprof->message, 2, has_module ? location->module + UINT64_C(1) : 0); /* mapping */
    put_integer(&pprof->message, 3, base + location->offset % PPROF_MODULE_STEP); /* address */
    for (uint32_t i = 0; i < location->frame_count; i++) {
        put_integer(&pprof->packed, 1, location->frames[i].function + UINT64_C(1));
        put_integer(&pprof->packed, 2, (uint64_t)location->frames[i].line);
        put_part(&pprof->message, 4, &pprof->packed); /* line */
    }
    put_part(&pprof->body, 4, &pprof->message);
}

static void put_function(struct pprof *pprof, size_t index)
{
    const struct profile_function *function = &pprof->profile->functions[index];
    put_integer(&pprof->message, 1, index + 1);
    put_integer(&pprof->message, 2, pprof_string(pprof, function->name));
    put_integer(&pprof->message, 3, pprof_string(pprof, function->linkage_name));
    put_integer(&pprof->message, 4, pprof_string(pprof, function->file));
    put_integer(&pprof->message, 5, (uint64_t)function->line);
    put_part(&pprof->body, 5, &pprof->message);
}

static void put_mapping(struct pprof *pprof, size_t index)
{
    const struct profile_module *module = &pprof->profile->modules[index];
    uint64_t base = (index + 1) * PPROF_MODULE_STEP;
    uint64_t end = module->end < PPROF_MODULE_STEP ? module->end : PPROF_MODULE_STEP - 1;
    put_integer(&pprof->message, 1, index + 1);
    put_integer(&pprof->message, 2, base);                                     /* start */
    put_integer(&pprof->message, 3, base + ((end + 4095) & ~UINT64_C(4095))); /* limit */
    put_integer(&pprof->message, 5, pprof_string(pprof, module->path));
    put_integer(&pprof->message, 6, pprof_string(pprof, module->build_id));
    for (uint32_t field = 7; field <= 10; field++) {
        put_integer(&pprof->message, field, 1); /* functions, files, lines, inlines are here */
    }
    put_part(&pprof->body, 3, &pprof->message);
}

/* The program's own mapping comes first: pprof takes its name for the profile's. */
static void put_mappings(struct pprof *pprof)
{
    const struct profile *profile = pprof->profile;
    if (profile->program_module != PROFILE_NONE) {
        put_mapping(pprof, profile->program_module);
    }
    for (size_t i = 0; i < profile->module_count; i++) {
        if (i != profile->program_module) {
            put_mapping(pprof, i);
        }
    }
}

static const char *default_type(enum profile_metric metric)
{
    for (size_t i = 0; i < PPROF_TYPES; i++) {
        if (pprof_types[i].metric == metric) {
            return pprof_types[i].name;
        }
    }
    return "inuse_space";
}

static void put_all(struct pprof *pprof, enum profile_metric metric)
{
    const struct profile *profile = pprof->profile;
    put_bytes(&pprof->strings, 6, NULL, 0);
    for (size_t i = 0; i < PPROF_TYPES; i++) {
        if (profile->has_metric[pprof_types[i].metric]) {
            put_value_type(pprof, 1, pprof_types[i].name, pprof_types[i].unit);
        }
    }
    for (size_t i = 0; i < profile->sample_count; i++) {
        put_sample(pprof, &profile->samples[i]);
    }
    put_mappings(pprof);
    for (size_t i = 0; i < profile->location_count; i++) {
        put_location(pprof, i);
    }
    for (size_t i = 0; i < profile->function_count; i++) {
        put_function(pprof, i);
    }
    put_integer(&pprof->body, 9, (uint64_t)profile->started_ns);
    put_integer(&pprof->body, 10, (uint64_t)(profile->seconds * 1e9));
    if (profile->sample_bytes > 0) {
        put_value_type(pprof, 11, "space", "bytes"); /* period_type */
        put_integer(&pprof->body, 12, (uint64_t)profile->sample_bytes);
    } else if (profile->has_metric[PROFILE_CPU]) {
        put_value_type(pprof, 11, "cpu", "nanoseconds");
        put_integer(&pprof->body, 12, (uint64_t)cpu_ns(profile, 1));
    }
    put_integer(&pprof->body, 13, pprof_string(pprof, profile->command)); /* comment */
    put_integer(&pprof->body, 14, pprof_string(pprof, default_type(metric)));
}

static void write_gzip(FILE *out, const struct pprof_buffer *parts, size_t part_count)
{
    uint8_t room[65536];
    z_stream stream = {0};
    /* 15 + 16: a gzip header. The fastest level halves the time for a tenth more bytes. */
    if (deflateInit2(&stream, 3, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return;
    }
    for (size_t i = 0; i < part_count; i++) {
        size_t left = parts[i].count;
        stream.next_in = parts[i].bytes;
        int flush = Z_NO_FLUSH;
        do {
            if (stream.avail_in == 0 && left > 0) {
                stream.avail_in = left > 1u << 30 ? 1u << 30 : (uInt)left;
                left -= stream.avail_in;
            }
            flush = left == 0 && i + 1 == part_count ? Z_FINISH : Z_NO_FLUSH;
            stream.next_out = room;
            stream.avail_out = sizeof(room);
            deflate(&stream, flush);
            fwrite(room, 1, sizeof(room) - stream.avail_out, out);
        } while (stream.avail_out == 0 || stream.avail_in > 0 || left > 0);
    }
    deflateEnd(&stream);
}

void render_pprof(FILE *out, const struct profile *profile, enum profile_metric metric)
{
    struct pprof pprof = {.profile = profile};
    intern_texts_init(&pprof.texts);
    put_all(&pprof, metric);
    const struct pprof_buffer parts[] = {pprof.body, pprof.strings};
    write_gzip(out, parts, 2);
    intern_texts_deinit(&pprof.texts);
    free(pprof.strings.bytes);
    free(pprof.message.bytes);
    free(pprof.packed.bytes);
    free(pprof.body.bytes);
}
