/*
 * before_main.cpp - allocations before main: a C constructor in a library, one in the program,
 * and constructors of C++ globals.
 *
 * Truth
 *   early_library_starts(): allocations 3, frees 3, allocated_bytes 3080, live_blocks 0
 *   program_starts(): allocations 1, frees 1, allocated_bytes 33
 *   make_global(): allocations 10, frees 4, allocated_bytes 440, live_blocks 6, live_bytes 264
 *   status: 0
 */
#include <cstdlib>

extern "C" void *early_library_block;

namespace {

void *program_block;

} // namespace

__attribute__((noinline)) void *make_global()
{
    return std::malloc(44);
}

__attribute__((constructor, noinline)) void program_starts()
{
    program_block = std::malloc(33);
}

struct global {
    void *blocks[10];
    global()
    {
        for (void *&block : blocks) {
            block = make_global();
        }
    }
    ~global()
    {
        for (int i = 0; i < 4; i++) {
            std::free(blocks[i]);
        }
    }
};

static global instance;

int main()
{
    std::free(early_library_block);
    std::free(program_block);
    return instance.blocks[0] != nullptr ? 0 : 1;
}
