/*
 * swapped_stacks.c - coroutines by makecontext and swapcontext that allocate in turn; the stack of
 * each is unmapped when it is done.
 *
 * Truth
 *   total: allocations 400, frees 400, live_blocks 0
 *   in_left(): allocations 200, frees 200, allocated_bytes 4200
 *   in_right(): allocations 200, frees 200, allocated_bytes 4400
 *   status: 0
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { TURNS = 50, STACK_BYTES = 65536, PAIRS = 4 };

static ucontext_t main_context;
static ucontext_t left_context;
static ucontext_t right_context;
static void *passed[TURNS];

__attribute__((noinline)) static void *in_left(void)
{
    void *block = malloc(21);
    __asm__ volatile("" : "+r"(block));
    return block;
}

__attribute__((noinline)) static void *in_right(void)
{
    void *block = malloc(22);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static void left(void)
{
    for (int i = 0; i < TURNS; i++) {
        passed[i] = in_left();
        swapcontext(&left_context, &right_context);
    }
}

static void right(void)
{
    for (int i = 0; i < TURNS; i++) {
        void *own = in_right();
        free(passed[i]);
        free(own);
        swapcontext(&right_context, &left_context);
    }
}

static void *make_stack(ucontext_t *context, void (*function)(void))
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || getcontext(context) != 0) {
        abort();
    }
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = &main_context;
    makecontext(context, function, 0);
    return stack;
}

int main(void)
{
    for (int i = 0; i < PAIRS; i++) {
        void *left_stack = make_stack(&left_context, left);
        void *right_stack = make_stack(&right_context, right);
        if (swapcontext(&main_context, &left_context) != 0) {
            return 1;
        }
        munmap(left_stack, STACK_BYTES);
        munmap(right_stack, STACK_BYTES);
    }
    return 0;
}
