/*
 * entry_points_new.cpp - every form of operator new and delete, one per function.
 *
 * The C++ runtime's own pool for exceptions (made before main) is not part of the truth. A failed
 * new allocates the bad_alloc that it throws, and so does the nothrow form, which catches it.
 *
 * Truth
 *   by_new(): allocations 1, frees 1, allocated_bytes 24
 *   by_new_array(): allocations 1, frees 1, allocated_bytes 40
 *   by_new_nothrow(): allocations 1, frees 1, allocated_bytes 24
 *   by_new_array_nothrow(): allocations 1, frees 1, allocated_bytes 40
 *   by_new_aligned(): allocations 1, frees 1, allocated_bytes 128
 *   by_new_array_aligned(): allocations 1, frees 1, allocated_bytes 256
 *   by_new_aligned_nothrow(): allocations 1, frees 1, allocated_bytes 128
 *   by_sized_delete(): allocations 2, frees 2, allocated_bytes 64
 *   by_failed_new(): allocations 2, frees 2, live_blocks 0
 *   status: 0
 */
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

struct alignas(64) wide {
    char bytes[128];
};

struct plain {
    long words[3];
};

volatile std::size_t sink;

template <typename T> T *used(T *block)
{
    sink = sink + reinterpret_cast<std::uintptr_t>(block);
    return block;
}

} // namespace

__attribute__((noinline)) void by_new()
{
    delete used(new plain);
}

__attribute__((noinline)) void by_new_array()
{
    delete[] used(new long[5]);
}

__attribute__((noinline)) void by_new_nothrow()
{
    delete used(new (std::nothrow) plain);
}

__attribute__((noinline)) void by_new_array_nothrow()
{
    delete[] used(new (std::nothrow) long[5]);
}

__attribute__((noinline)) void by_new_aligned()
{
    wide *block = used(new wide);
    if (reinterpret_cast<std::uintptr_t>(block) % 64 != 0) {
        std::abort();
    }
    delete block;
}

__attribute__((noinline)) void by_new_array_aligned()
{
    delete[] used(new wide[2]);
}

__attribute__((noinline)) void by_new_aligned_nothrow()
{
    delete used(new (std::nothrow) wide);
}

__attribute__((noinline)) void by_sized_delete()
{
    ::operator delete(used(::operator new(24)), std::size_t{24});
    ::operator delete[](used(::operator new[](40)), std::size_t{40});
}

__attribute__((noinline)) void by_failed_new()
{
    volatile std::size_t too_much = PTRDIFF_MAX;
    if (::operator new(too_much, std::nothrow) != nullptr) {
        std::abort();
    }
    bool was_thrown = false;
    try {
        used(static_cast<char *>(::operator new(too_much)));
    } catch (const std::bad_alloc &) {
        was_thrown = true;
    }
    if (!was_thrown) {
        std::abort();
    }
}

int main()
{
    by_new();
    by_new_array();
    by_new_nothrow();
    by_new_array_nothrow();
    by_new_aligned();
    by_new_array_aligned();
    by_new_aligned_nothrow();
    by_sized_delete();
    by_failed_new();
    return 0;
}
