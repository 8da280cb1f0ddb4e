#include "core/capture.h"

#include "core/capture_thread.h"
#include "core/module_table.h"
#include "core/raw_syscall.h"
#include "core/stack_cache.h"
#include "core/stack_table.h"
#include "core/unwind_registers.h"

#include <stddef.h>
#include <string.h>
#include <ucontext.h>

_Static_assert(offsetof(struct capture_origin, cfa) == sizeof(uintptr_t)
                   && offsetof(struct capture_thread, busy_cfa)
                          == offsetof(struct capture_thread, busy_pc) + sizeof(uintptr_t),
               "guard_take() copies a pair");

#define PAGE_BYTES 4096u
#define LIKELY(condition) __builtin_expect(condition, 1)
#define UNLIKELY(condition) __builtin_expect(condition, 0)

/* Written by capture_start, then read-only; generation and seed change with the modules. */
static struct {
    _Alignas(64) _Atomic uint32_t generation;
    uint32_t depth_max;
    uint64_t depth_factor; /* KEPT_HASH_FACTOR to the power of depth_max */
    _Atomic uint64_t seed;
    struct arena_image *image;
    struct arena_process *process;
    struct stack_table stacks;
    struct stack_cache cache;
    struct module_table modules;
} capture;

static inline void signal_fence(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t hash_finish(uint64_t hash, uint32_t flags)
{
    uint64_t x = hash ^ atomic_load_explicit(&capture.seed, memory_order_relaxed)
                 ^ (flags * UINT64_C(0xa0761d6478bd642f));
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return x != 0 ? x : 1;
}

static uint64_t seed_of_epoch(uint32_t epoch)
{
    return (epoch + UINT64_C(1)) * UINT64_C(0xe7037ed1a0b428db);
}

/* All that was derived from the modules is forgotten. */
static void rules_renew(uint32_t epoch)
{
    atomic_store_explicit(&capture.seed, seed_of_epoch(epoch), memory_order_relaxed);
    unwind_rules_flush();
    /* Generation 0 means "never used": skipped when the number wraps. */
    if (atomic_fetch_add_explicit(&capture.generation, 1, memory_order_release) == UINT32_MAX) {
        atomic_fetch_add_explicit(&capture.generation, 1, memory_order_release);
    }
}

void capture_modules_changed(void)
{
    if (capture.image != NULL) {
        rules_renew(module_table_refresh(&capture.modules));
    }
}

void capture_limit_arena(uint64_t mapped_bytes)
{
    capture.stacks.arena.mapped_bytes = mapped_bytes;
    capture.stacks.stacks.arena.mapped_bytes = mapped_bytes;
    capture.stacks.prefixes.arena.mapped_bytes = mapped_bytes;
    capture.modules.arena.mapped_bytes = mapped_bytes;
}

int capture_start(const struct arena *arena, struct arena_image *image,
                  struct arena_process *process)
{
    uint32_t depth = arena->header->config.depth_max;
    if (depth == 0 || depth > CAPTURE_DEPTH_LIMIT) {
        return -22; /* EINVAL */
    }
    stack_table_open(&capture.stacks, arena, image);
    stack_cache_close(&capture.cache);
    module_table_open(&capture.modules, arena, image);
    capture.image = image;
    capture.process = process;
    capture.depth_max = depth;
    capture.depth_factor = 1;
    for (uint32_t i = 0; i < depth; i++) {
        capture.depth_factor *= KEPT_HASH_FACTOR;
    }
    rules_renew(module_table_epoch(&capture.modules));
    return 0;
}

void capture_forked(struct arena_process *process)
{
    capture.process = process;
}

/* ---- the memory of a thread ---------------------------------------------- */

/* Offsets from the start of the thread's memory; each array starts on a page, so that
 * what is not used is not touched. */
struct thread_layout {
    size_t walked;
    size_t frames;
    size_t words;
    size_t interned;
    size_t memo;
    size_t end;
};

static size_t pages_round(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

static struct thread_layout thread_layout(void)
{
    struct thread_layout layout;
    size_t depth = capture.depth_max;
    size_t capacity = depth * KEPT_CAPACITY_FACTOR;
    layout.walked = pages_round(sizeof(struct capture_thread));
    layout.frames =
        layout.walked + pages_round(depth * KEPT_WALK_FACTOR * sizeof(struct walked_frame));
    layout.words = layout.frames + pages_round((capacity + 1) * sizeof(struct kept_frame));
    /* A capture that was clobbered may go on adding to whatever count it finds. */
    size_t words = (capacity + depth * KEPT_WALK_FACTOR) * KEPT_WORDS_PER_FRAME;
    layout.interned = layout.words + pages_round(words * sizeof(struct kept_word));
    layout.memo = layout.interned + pages_round(depth * sizeof(struct capture_frame));
    layout.end = layout.memo + STACK_MEMO_BYTES;
    return layout;
}

size_t capture_thread_bytes(void)
{
    return pages_round(thread_layout().end);
}

void capture_thread_visit_own(const struct capture_thread *thread,
                              void (*visit)(void *context, uintptr_t start, size_t bytes),
                              void *context)
{
    const void *page = stack_memo_own_page(&thread->memo);
    if (page != NULL) {
        visit(context, (uintptr_t)page, RAW_HUGE_PAGE_BYTES);
    }
}

static void thread_start(struct capture_thread *thread)
{
    struct thread_layout layout = thread_layout();
    char *start = (char *)thread;
    stack_memo_init(&thread->memo, start + layout.memo);
    thread->interned = (void *)(start + layout.interned);
    struct kept_frame *frames = (void *)(start + layout.frames);
    frames->sp = UINTPTR_MAX; /* no walk gets past it, and none can be there: pc is 0 */
    thread->stack = (struct kept_stack){.frames = frames + 1,
                                        .words = (void *)(start + layout.words),
                                        .walked = (void *)(start + layout.walked),
                                        .capacity = capture.depth_max * KEPT_CAPACITY_FACTOR,
                                        .walked_max = capture.depth_max * KEPT_WALK_FACTOR};
}

/* Forgets what was captured before. */
static void thread_reset(struct capture_thread *thread)
{
    thread->stack.count = 0;
    if (stack_memo_is_on(&thread->memo, thread->sequence)) { /* else it is empty */
        stack_memo_clear(&thread->memo);
    }
    thread->sequence++;
}

/* ---- new stacks ----------------------------------------------------------- */

#define INTERN_AGAIN UINT32_MAX /* ids are below ARENA_STACKS_MAX */

/* Makes sure that the modules of frames[0..count), whose hashes have this seed, are in the
 * table. Returns false when they turned out to have changed: the frames may be wrong then. */
static bool modules_note(const struct capture_frame *frames, uint32_t count, uint64_t seed,
                         uint32_t *epoch)
{
    *epoch = module_table_note(&capture.modules, frames, count);
    if (seed != seed_of_epoch(*epoch)) {
        rules_renew(*epoch);
        return false;
    }
    return true;
}

static void intern_count(uint32_t id, uint32_t flags)
{
    if (id != 0 && (flags & ARENA_STACK_APPROXIMATE) != 0) {
        atomic_fetch_add_explicit(&capture.process->approximate_stacks, 1, memory_order_relaxed);
    }
    if (id != 0 && (flags & ARENA_STACK_CUT) != 0) {
        atomic_fetch_add_explicit(&capture.image->cut_captures, 1, memory_order_relaxed);
    }
}

/* Interns frames[0..count), of which nothing is known but that the modules of
 * frames[unnoted..count) are noted. Returns the id, or INTERN_AGAIN when the modules changed. */
static uint32_t stack_intern(struct capture_frame *frames, uint32_t count, uint32_t unnoted,
                             uint32_t flags)
{
    uint64_t seed = atomic_load_explicit(&capture.seed, memory_order_relaxed);
    uint64_t hash = 0;
    uint32_t epoch;
    for (uint32_t i = count; i-- > 0;) {
        hash = kept_hash_extend(hash, frames[i].pc);
        frames[i].hash = hash_finish(hash, flags);
        hash_index_prefetch(&capture.stacks.prefixes, frames[i].hash);
    }
    if (!modules_note(frames, unnoted, seed, &epoch)) {
        return INTERN_AGAIN;
    }
    uint32_t id = stack_table_insert(&capture.stacks, frames, count, flags, epoch);
    intern_count(id, flags);
    return id;
}

/* ---- the stateless walk --------------------------------------------------- */

/* Where a walk has to pass through to prove that a capture was interrupted. */
struct checkpoint {
    uintptr_t pc;
    uintptr_t cfa;
    bool is_passed;
};

struct walk {
    struct capture_frame *frames;
    uint32_t count;
    uint32_t flags;
    struct checkpoint *checkpoint; /* or NULL */
};

/* Returns false when there is no room for the frame. */
static bool walk_add(struct walk *walk, uintptr_t pc, uintptr_t sp)
{
    if (walk->checkpoint != NULL && pc == walk->checkpoint->pc && sp == walk->checkpoint->cfa) {
        walk->checkpoint->is_passed = true;
    }
    if (walk->count == capture.depth_max) {
        walk->flags |= ARENA_STACK_CUT;
        return false;
    }
    walk->frames[walk->count++].pc = pc;
    return true;
}

static bool outcome_is_step(enum unwind_outcome outcome)
{
    return outcome == UNWIND_STEPPED || outcome == UNWIND_GUESSED;
}

static void walk_note(struct walk *walk, enum unwind_outcome outcome)
{
    if (outcome == UNWIND_GUESSED || outcome == UNWIND_LOST || outcome == UNWIND_UNREADABLE) {
        walk->flags |= ARENA_STACK_APPROXIMATE;
    }
}

static enum unwind_outcome walk_by_rules(struct walk *walk, struct unwind_state state,
                                         unwind_rule_t first_rule)
{
    struct unwind_pages pages = {0};
    enum unwind_outcome outcome = UNWIND_STEPPED;
    unwind_rule_t rule = first_rule;
    while (outcome_is_step(outcome) && walk_add(walk, state.pc, state.sp)) {
        if (walk->count > 1 || first_rule == UNWIND_NONE) {
            rule = unwind_rule(state.pc);
        }
        outcome = unwind_step(&state, &rule, &pages);
        walk_note(walk, outcome);
    }
    return outcome;
}

static void walk_by_registers(struct walk *walk, struct unwind_registers *registers)
{
    struct unwind_pages pages = {0};
    enum unwind_outcome outcome = UNWIND_STEPPED;
    while (outcome_is_step(outcome)
           && walk_add(walk, registers->value[EH_RETURN], registers->value[EH_RSP])) {
        outcome = unwind_step_registers(registers, &pages);
        walk_note(walk, outcome);
    }
}

/* Walks out of our own frames to `origin`, so that the registers its caller's callers
 * saved are known. Where that fails only rsp and rbp are. */
static void registers_at(const struct capture_origin *origin, struct unwind_registers *registers)
{
    struct unwind_pages pages = {0};
    UNWIND_REGISTERS_HERE(*registers);
    for (unsigned i = 0; i < 16 && registers->value[EH_RSP] < origin->cfa; i++) {
        if (!outcome_is_step(unwind_step_registers(registers, &pages))) {
            break;
        }
    }
    if (registers->value[EH_RSP] != origin->cfa || registers->value[EH_RETURN] != origin->pc) {
        registers->known = 1u << EH_RSP | 1u << EH_RBP | 1u << EH_RETURN;
        registers->value[EH_RSP] = origin->cfa;
        registers->value[EH_RBP] = origin->rbp;
        registers->value[EH_RETURN] = origin->pc;
    }
}

/* A stack of the program may be tiny (an alternate signal stack), so the frames are
 * collected in memory mapped for the moment. */
struct stateless_request {
    struct unwind_state state;
    unwind_rule_t first_rule;            /* of state.pc; UNWIND_NONE: to be looked up */
    const struct capture_origin *origin; /* NULL: use *registers */
    const struct unwind_registers *registers;
    struct checkpoint *checkpoint;
};

__attribute__((noinline)) static uint32_t stateless_capture(const struct stateless_request *request)
{
    size_t bytes = pages_round(capture.depth_max * sizeof(struct capture_frame));
    struct walk walk = {.frames = raw_map_lazy(bytes), .checkpoint = request->checkpoint};
    uint32_t id = INTERN_AGAIN;
    if (walk.frames == NULL) {
        return 0;
    }
    for (unsigned attempt = 0; attempt < 2 && id == INTERN_AGAIN; attempt++) {
        walk.count = 0;
        walk.flags = 0;
        if (walk_by_rules(&walk, request->state, request->first_rule) == UNWIND_NEEDS_REGISTERS) {
            struct unwind_registers registers;
            walk.count = 0;
            walk.flags = 0;
            if (request->origin != NULL) {
                registers_at(request->origin, &registers);
            } else {
                registers = *request->registers;
            }
            walk_by_registers(&walk, &registers);
        }
        uint64_t hash = 0;
        for (uint32_t i = walk.count; i-- > 0;) {
            hash = kept_hash_extend(hash, walk.frames[i].pc);
        }
        id = stack_table_find(&capture.stacks, hash_finish(hash, walk.flags));
        if (id == 0) {
            id = stack_intern(walk.frames, walk.count, walk.count, walk.flags);
        }
    }
    raw_unmap(walk.frames, bytes);
    return id == INTERN_AGAIN ? 0 : id;
}

static uint32_t stateless_from_origin(const struct capture_origin *origin,
                                      struct checkpoint *checkpoint)
{
    struct stateless_request request = {.state = {origin->pc, origin->cfa, origin->rbp},
                                        .origin = origin,
                                        .checkpoint = checkpoint};
    return stateless_capture(&request);
}

/* ---- the incremental capture ---------------------------------------------- */

/* Takes back the kept frames above `low`, which have been proved to be true, as walked
 * ones, and steps out of frames[low] anew: a word of that step has changed. */
static enum unwind_outcome walked_again(struct capture_thread *thread, struct unwind_state *state,
                                        uint32_t high, uint32_t low)
{
    struct kept_stack *stack = &thread->stack;
    enum unwind_outcome outcome = UNWIND_STEPPED;
    for (uint32_t i = high + 1;
         i-- > low && outcome_is_step(outcome) && stack->walked_count < stack->walked_max;) {
        struct walked_frame *walked = &stack->walked[stack->walked_count++];
        walked->state = *state;
        walked->rule = stack->frames[i].rule;
        outcome = unwind_step(state, &walked->rule, &thread->pages);
    }
    return outcome;
}

static bool frame_is_here(const struct kept_frame *frame, const struct unwind_state *state)
{
    return frame->sp == state->sp && frame->pc == state->pc
           && (!frame->needs_rbp || frame->bp == state->bp);
}

/* The frame whose step read words[word]. */
static uint32_t frame_of_word(const struct kept_stack *stack, uint32_t top, uint32_t word)
{
    while (top > 0 && stack->frames[top - 1].words_end > word) {
        top--;
    }
    return top;
}

/*
 * frames[top] is where the walk is. Verifies as many frames outwards as count for the
 * stack's identity. Returns UINT32_MAX when all are unchanged, else the frame whose
 * step reads something else now. One frame more than depth_max is looked at, because
 * whether there is one decides about ARENA_STACK_CUT.
 */
static uint32_t frames_verify(const struct kept_stack *stack, uint32_t top)
{
    uint32_t wanted =
        stack->walked_count < capture.depth_max ? capture.depth_max - stack->walked_count : 0;
    uint32_t low = 0;
    uint32_t high = stack->frames[top].words_end;
    if (wanted <= top) {
        low = wanted == 0 ? high : stack->frames[top - wanted].words_end;
    }
    uint32_t word = kept_words_verify(stack->words, low, high);
    return word == low - 1 ? UINT32_MAX : frame_of_word(stack, top, word);
}

/* Sets the walked frames' hashes, as they are if frames[top] and all further out are unchanged, and
 * begins to fetch the tables' words for that stack: that memory is seldom in a cache, and
 * the proof takes as long. */
static void identity_prepare(struct kept_stack *stack, uint32_t top)
{
    const struct kept_frame *frame = &stack->frames[top];
    uint32_t walked = stack->walked_count;
    uint64_t hash = kept_walked_hash(stack, frame->hash);
    if (frame->guesses != 0 || top + walked >= capture.depth_max
        || (walked == 0 && frame->id != 0)) {
        return;
    }
    struct stack_cache_key key = {.hash = hash_finish(hash, 0)};
    if (!stack_cache_is_on(&capture.cache)) {
        hash_index_prefetch(&capture.stacks.stacks, key.hash);
        return;
    }
    if (walked > STACK_CACHE_GROUP_FRAMES) {
        key.group = stack->walked[STACK_CACHE_GROUP_FRAMES].hash;
    } else if (top + walked >= STACK_CACHE_GROUP_FRAMES) {
        key.group = stack->frames[top + walked - STACK_CACHE_GROUP_FRAMES].hash;
    }
    stack_cache_prefetch(&capture.cache, key);
}

/* Walks from `state` until it meets the kept frames and they hold. Fills in
 * stack->walked and *base, the number of kept frames that stay. */
static enum unwind_outcome stack_walk(struct capture_thread *thread, struct unwind_state state,
                                      uint32_t *base)
{
    struct kept_stack *stack = &thread->stack;
    struct walked_frame *walked = stack->walked;
    const struct walked_frame *walked_end = walked + stack->walked_max;
    const struct kept_frame *kept = stack->frames + stack->count - 1;
    enum unwind_outcome outcome = UNWIND_STEPPED;

    while (walked < walked_end && LIKELY(outcome_is_step(outcome))) {
        while (kept->sp < state.sp) {
            kept--;
        }
        if (frame_is_here(kept, &state)) {
            uint32_t top = (uint32_t)(kept - stack->frames);
            stack->walked_count = (uint32_t)(walked - stack->walked);
            identity_prepare(stack, top);
            uint32_t changed = frames_verify(stack, top);
            if (LIKELY(changed == UINT32_MAX)) {
                *base = top + 1;
                return UNWIND_STEPPED;
            }
            struct unwind_state again = state;
            outcome = walked_again(thread, &again, top, changed);
            state = again;
            walked = stack->walked + stack->walked_count;
            kept = stack->frames + changed - 1;
            continue;
        }
        walked->state = state;
        walked->rule = unwind_rule(state.pc);
        outcome = unwind_step(&state, &walked->rule, &thread->pages);
        walked++;
    }
    stack->walked_count = (uint32_t)(walked - stack->walked);
    kept_walked_hash(stack, 0);
    *base = 0;
    return outcome_is_step(outcome) ? UNWIND_STEPPED : outcome;
}

/* The kept stack's top is the stack to name. */
struct kept_identity {
    uint32_t depth;
    uint32_t flags;
    struct stack_cache_key key;
    /* Where the stack begins. The kept stack may be forgotten meanwhile, by a capture in a
     * handler that came to another coroutine: then the result is dropped, but until that is seen
     * nothing may rest on stack->count. */
    struct kept_frame *top;
};

static struct kept_identity stack_identify(const struct kept_stack *stack, struct kept_frame *top)
{
    uint32_t count = (uint32_t)(top - stack->frames) + 1;
    struct kept_identity identity = {.depth = count, .key.hash = top->hash, .top = top};
    uint32_t guesses = top->guesses;
    if (count > capture.depth_max) {
        const struct kept_frame *beyond = top - capture.depth_max;
        identity.depth = capture.depth_max;
        identity.key.hash -= beyond->hash * capture.depth_factor;
        identity.flags = ARENA_STACK_CUT;
        guesses -= beyond->guesses;
    } else if (!stack->is_complete) {
        identity.flags = ARENA_STACK_CUT;
    }
    if (guesses != 0) {
        identity.flags |= ARENA_STACK_APPROXIMATE;
    }
    identity.key.hash = hash_finish(identity.key.hash, identity.flags);
    if ((identity.flags & ARENA_STACK_CUT) != 0) { /* the kept hashes are not the stack's own */
        identity.key.group = identity.key.hash;
    } else if (identity.depth > STACK_CACHE_GROUP_FRAMES) {
        identity.key.group = top[-(ptrdiff_t)STACK_CACHE_GROUP_FRAMES].hash;
    }
    return identity;
}

/* The stack that was kept before this capture. */
struct kept_before {
    uint32_t count;
    uint32_t id; /* 0: not known, or it is cut */
};

/* Finds the node of frames[base - 1], which stayed as it was, and all outer ones: nothing has
 * to be searched for. 0 where there is none: then it is not part of a stack that was interned. */
static uint32_t kept_node(const struct kept_stack *stack, uint32_t base,
                          const struct kept_before *before)
{
    struct kept_frame *frame = &stack->frames[base - 1];
    if (frame->node == 0 && before->id != 0 && before->count >= base) {
        frame->node = stack_table_node(&capture.stacks, before->id, before->count - base);
    }
    return frame->node;
}

/* Readies thread->interned for intern_above(): begins to fetch all that it will read of the table,
 * at once. Most of that is in no cache. */
static void frames_prepare(struct capture_thread *thread, const struct kept_identity *identity,
                           uint32_t base)
{
    const struct kept_frame *top = identity->top;
    struct capture_frame *frames = thread->interned;
    uint32_t flags = identity->flags;
    uint32_t count = identity->depth - base;
    for (uint32_t i = count; i-- > 0;) {
        frames[i].pc = top[-(ptrdiff_t)i].pc;
        frames[i].hash = hash_finish(top[-(ptrdiff_t)i].hash, flags);
        if (i + 1 == count) {
            hash_index_prefetch_all(&capture.stacks.prefixes, frames[i].hash);
        } else {
            hash_index_prefetch(&capture.stacks.prefixes, frames[i].hash);
        }
    }
}

/* Interns the kept stack, whose frames[0..base) have this node: their modules are noted. The
 * other frames are in thread->interned, under hashes of this seed. */
static uint32_t intern_above(struct capture_thread *thread, const struct kept_identity *identity,
                             uint32_t base, uint32_t node, uint64_t seed)
{
    struct kept_frame *top = identity->top;
    struct capture_frame *frames = thread->interned;
    uint32_t count = identity->depth - base;
    struct stack_traits traits = {.depth = identity->depth, .flags = identity->flags};
    if (!modules_note(frames, count, seed, &traits.epoch)) {
        return INTERN_AGAIN;
    }
    uint32_t id =
        stack_table_insert_above(&capture.stacks, frames, count, node, identity->key.hash, &traits);
    if (id != 0) {
        for (uint32_t i = 0; i < count; i++) {
            top[-(ptrdiff_t)i].node = frames[i].node;
        }
    }
    intern_count(id, identity->flags);
    return id;
}

static uint32_t kept_intern(struct capture_thread *thread, const struct kept_identity *identity)
{
    const struct kept_frame *top = identity->top;
    uint32_t unnoted = identity->depth;
    for (uint32_t i = 0; i < identity->depth; i++) {
        thread->interned[i].pc = top[-(ptrdiff_t)i].pc;
        /* That stack was interned since the modules changed last, and so all its frames
         * are noted. */
        if (top[-(ptrdiff_t)i].id != 0 && unnoted > i) {
            unnoted = i;
        }
    }
    return stack_intern(thread->interned, identity->depth, unnoted, identity->flags);
}

/* The cache does not know the stack. base and *before are as for kept_node(). */
__attribute__((noinline)) static uint32_t stack_look_up(struct capture_thread *thread,
                                                        const struct kept_identity *identity,
                                                        uint32_t base,
                                                        const struct kept_before *before)
{
    uint64_t seed = atomic_load_explicit(&capture.seed, memory_order_relaxed);
    bool is_whole = base > 0 && (identity->flags & ARENA_STACK_CUT) == 0;
    bool is_new = is_whole && stack_cache_has_room(&capture.cache, identity->key);
    uint32_t node = 0;
    uint32_t id = 0;
    hash_index_prefetch(&capture.stacks.stacks, identity->key.hash);
    if (!is_new) {
        id = stack_table_find_quickly(&capture.stacks, identity->key.hash);
    }
    if (id == 0 && is_whole) {
        frames_prepare(thread, identity, base);
        node = kept_node(&thread->stack, base, before);
    }
    if (id == 0) {
        id = node != 0 ? intern_above(thread, identity, base, node, seed)
                       : kept_intern(thread, identity);
    }
    if (LIKELY(id != 0 && id != INTERN_AGAIN)) {
        stack_cache_put(&capture.cache, identity->key, id);
    }
    return id;
}

/* The words below this index do not belong to the top's stack: see frames_verify. */
static uint32_t words_low(const struct kept_stack *stack)
{
    return stack->count > capture.depth_max
               ? stack->frames[stack->count - 1 - capture.depth_max].words_end
               : 0;
}

/* `entry` is where the memo wants the result, or NULL. */
__attribute__((noinline)) static uint32_t incremental_capture(struct capture_thread *thread,
                                                              const struct capture_origin *origin,
                                                              struct stack_memo_entry *entry)
{
    struct kept_stack *stack = &thread->stack;
    struct unwind_state state = {origin->pc, origin->cfa, origin->rbp};
    bool is_kept = true;
    uint32_t base;
    struct kept_before before = {.count = stack->count};
    if (stack->count > 0 && stack->count <= capture.depth_max && stack->is_complete) {
        before.id = stack->frames[stack->count - 1].id;
    }
    thread->walks++;
    enum unwind_outcome outcome = stack_walk(thread, state, &base);
    if (base > 0 && !stack->is_complete && base + stack->walked_count <= capture.depth_max) {
        /* The kept frames hold, but do not reach far enough. */
        stack->count = 0;
        outcome = stack_walk(thread, state, &base);
    }
    if (UNLIKELY(outcome == UNWIND_NEEDS_REGISTERS)) {
        stack->count = 0;
        return stateless_from_origin(origin, NULL);
    }
    stack->count = base;
    if (stack->walked_count > 0) {
        is_kept = kept_stack_push(stack, base, outcome);
    }
    struct kept_frame *top = stack->frames + stack->count - 1;
    if (top->id == 0) {
        struct kept_identity identity = stack_identify(stack, top);
        top->id = stack_cache_find(&capture.cache, identity.key);
        if (UNLIKELY(top->id == 0)) {
            top->id = stack_look_up(thread, &identity, base, &before);
        }
    }
    uint32_t id = top->id;
    if (UNLIKELY(!is_kept || id == INTERN_AGAIN)) {
        stack->count = 0;
        return id;
    }
    if (entry != NULL && id != 0) {
        stack_memo_store(&thread->memo, entry, origin, stack, words_low(stack), id,
                         thread->sequence);
    }
    return id;
}

/* ---- entry points ---------------------------------------------------------- */

/* A capture is going on in this thread, or seems to be. */
__attribute__((noinline)) static uint32_t nested_capture(struct capture_thread *thread,
                                                         const struct capture_origin *origin)
{
    struct checkpoint checkpoint = {.pc = thread->busy_pc, .cfa = thread->busy_cfa};
    uint32_t id = stateless_from_origin(origin, &checkpoint);
    if (!checkpoint.is_passed) {
        thread_reset(thread);
        signal_fence();
        thread->busy_cfa = 0;
    }
    return id;
}

__attribute__((noinline)) static void generation_follow(struct capture_thread *thread)
{
    uint32_t generation = atomic_load_explicit(&capture.generation, memory_order_acquire);
    if (thread->generation == 0) {
        thread_start(thread);
    } else {
        thread_reset(thread);
    }
    thread->generation = generation;
}

/* The capture that is going on, where the memo's first entry did not answer it: it read
 * `turn`. Begins once more where the modules changed meanwhile. */
__attribute__((noinline)) static uint32_t
capture_onwards(struct capture_thread *thread, const struct capture_origin *origin, uintptr_t turn)
{
    uint32_t sequence = thread->sequence;
    uint32_t id = 0;
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        if (UNLIKELY(thread->generation
                     != atomic_load_explicit(&capture.generation, memory_order_relaxed))) {
            generation_follow(thread);
            sequence = thread->sequence;
            turn = 0;
        }
        struct stack_memo_entry *entry = NULL;
        id = 0;
        if (stack_memo_is_on(&thread->memo, sequence)) {
            id = stack_memo_search(&thread->memo, origin, turn, &entry);
        }
        if (id == 0) {
            id = incremental_capture(thread, origin, entry);
        }
        if (LIKELY(id != INTERN_AGAIN)) {
            break;
        }
        id = 0;
    }
    signal_fence();
    if (UNLIKELY(thread->sequence != sequence)) {
        thread_reset(thread);
        id = stateless_from_origin(origin, NULL);
    }
    signal_fence();
    thread->busy_cfa = 0;
    return id;
}

/* By one store: a handler that captures sees both words or none. */
static inline void guard_take(struct capture_thread *thread, const struct capture_origin *origin)
{
    typedef uintptr_t pair __attribute__((vector_size(16), may_alias, aligned(8)));
    *(volatile pair *)&thread->busy_pc = *(const pair *)origin;
}

uint32_t capture_stack(struct capture_thread *thread, const struct capture_origin *origin)
{
    if (UNLIKELY(thread->busy_cfa != 0)) {
        return nested_capture(thread, origin);
    }
    guard_take(thread, origin);
    signal_fence();
    uint32_t sequence = thread->sequence + 1;
    uintptr_t turn = 0;
    thread->sequence = sequence;
    signal_fence();
    if (LIKELY(thread->generation
               == atomic_load_explicit(&capture.generation, memory_order_relaxed))
        && LIKELY(stack_memo_is_on(&thread->memo, sequence))) {
        struct stack_memo_entry *entry = stack_memo_slot(&thread->memo, origin, 0);
        uint32_t id = stack_memo_verify(entry, origin, &turn);
        signal_fence();
        if (LIKELY(id != 0 && thread->sequence == sequence)) {
            thread->busy_cfa = 0;
            return id;
        }
    }
    return capture_onwards(thread, origin, turn);
}

/* A jump through a table (`jmp *table(%rip)`), where the caller's state is that at entry:
 * linkers other than GNU's write no unwind information for these. */
static bool is_in_jump_stub(const struct unwind_state *state)
{
    uint16_t code;
    if (unwind_rule(state->pc) != UNWIND_NONE || !unwind_probe(state->pc - 1)) {
        return false;
    }
    memcpy(&code, (const void *)(state->pc - 1), sizeof code); // NOLINT(performance-no-int-to-ptr)
    return code == 0x25ff;
}

static void registers_from_context(const ucontext_t *context, struct unwind_registers *registers)
{
    static const uint8_t order[EH_REGISTERS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (unsigned i = 0; i < EH_REGISTERS; i++) {
        registers->value[i] = (uintptr_t)context->uc_mcontext.gregs[order[i]];
    }
    registers->value[EH_RETURN]++;
    registers->known = (1u << EH_REGISTERS) - 1;
}

UNWIND_READS_STACKS uint32_t capture_stack_in_handler(struct capture_thread *thread,
                                                      const void *ucontext)
{
    struct unwind_registers registers;
    (void)thread;
    registers_from_context(ucontext, &registers);
    struct stateless_request request = {.state = {.pc = registers.value[EH_RETURN],
                                                  .sp = registers.value[EH_RSP],
                                                  .bp = registers.value[EH_RBP]},
                                        .registers = &registers};
    if (is_in_jump_stub(&request.state)) {
        request.first_rule = unwind_rule_make(UNWIND_RSP, 8, 0);
    }
    return stateless_capture(&request);
}

void capture_note_module(uintptr_t address)
{
    struct capture_frame frame = {.pc = address + 1, .hash = 1};
    module_table_note(&capture.modules, &frame, 1);
}
