#include "analyses/signature.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_FRAMES_READ 1024u
#define SIGNATURE_FRAMES_KEPT 16u
#define SIGNATURE_SEPARATOR " < "

static bool is_startup(const char *name)
{
    static const char *const names[] = {"__libc_start_call_main", "__libc_start_main",
                                        "__libc_start_main_impl", "_start",
                                        "start_thread",           "clone3",
                                        "__clone3",               "clone",
                                        "__clone"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *frame_name(const struct model_frame *frame)
{
    if (frame->function != NULL && frame->function[0] != '\0') {
        return frame->function;
    }
    return frame->module != NULL && frame->module->name[0] != '\0' ? frame->module->name : "?";
}

/* Takes the frames from the location on, without repetitions and start-up. */
static size_t pick_names(const struct model_frame *const *frames, size_t count,
                         const struct model_frame *location, const char **names)
{
    size_t kept = 0;
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (frames[i] == location) {
            first = i;
            break;
        }
    }
    for (size_t i = first; i < count && kept < SIGNATURE_FRAMES_KEPT; i++) {
        const char *name = frame_name(frames[i]);
        bool is_repeated = kept > 0 && strcmp(names[kept - 1], name) == 0;
        if (!is_repeated && !(kept > 0 && is_startup(name))) {
            names[kept++] = name;
        }
    }
    return kept;
}

const char *signature_make(struct region *region, const struct model *model,
                           const struct model_stack *stack)
{
    const struct model_frame *frames[SIGNATURE_FRAMES_READ];
    const char *names[SIGNATURE_FRAMES_KEPT];
    size_t count =
        stack != NULL ? model_stack_frames(model, stack, frames, SIGNATURE_FRAMES_READ) : 0;
    size_t kept =
        pick_names(frames, count, stack != NULL ? stack->location : NULL, names);
    if (kept == 0) {
        return "(no stack)";
    }
    size_t length = 0;
    for (size_t i = 0; i < kept; i++) {
        length += strlen(names[i]) + sizeof(SIGNATURE_SEPARATOR);
    }
    char *text = region_alloc(region, length + 1);
    char *at = text;
    for (size_t i = 0; i < kept; i++) {
        if (i > 0) {
            at = stpcpy(at, SIGNATURE_SEPARATOR);
        }
        at = stpcpy(at, names[i]);
    }
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++) {
        *c = *c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    return text;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        hash = (hash ^ *c) * UINT64_C(0x100000001b3);
    }
    return hash;
}

uint64_t signature_hash(const char *kind, const char *signature)
{
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), kind);
    return hash_text(hash_text(hash, "\n"), signature);
}
