/*
 * defects.cpp - each kind of wrong release, chosen by name. The program must do what it does
 * without memtrack: glibc ends it for the double and the invalid free, and lets a mismatch pass.
 *
 * usage: defects CASE
 *
 * Truth
 *   errors of none: 
 *   status of none: 0
 *   errors of double-free: double-free 1
 *   status of double-free: 134
 *   errors of double-delete: double-free 1
 *   status of double-delete: 134
 *   errors of free-inside: invalid-free 1
 *   status of free-inside: 134
 *   errors of free-stack: invalid-free 1
 *   status of free-stack: 134
 *   errors of free-global: invalid-free 1
 *   status of free-global: 134
 *   errors of realloc-stack: invalid-free 1
 *   status of realloc-stack: 134
 *   errors of new-free: mismatched-free 1
 *   status of new-free: 0
 *   errors of new-array-free: mismatched-free 1
 *   status of new-array-free: 0
 *   errors of malloc-delete: mismatched-free 1
 *   status of malloc-delete: 0
 *   errors of malloc-delete-array: mismatched-free 1
 *   status of malloc-delete-array: 0
 *   errors of new-delete-array: mismatched-free 1
 *   status of new-delete-array: 0
 *   errors of new-array-delete: mismatched-free 1
 *   status of new-array-delete: 0
 *   errors of new-realloc: mismatched-free 1
 *   status of new-realloc: 0
 *   errors of three-times: mismatched-free 3
 *   status of three-times: 0
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

/* What the compiler cannot see through, so that it neither warns nor optimises. */
void *volatile hidden;

void *hide(void *block)
{
    hidden = block;
    return hidden;
}

char global_bytes[64];

} // namespace

__attribute__((noinline)) void *allocate_by_malloc()
{
    return hide(std::malloc(32));
}

__attribute__((noinline)) void *allocate_by_new()
{
    return hide(::operator new(32));
}

__attribute__((noinline)) void *allocate_by_new_array()
{
    return hide(::operator new[](32));
}

__attribute__((noinline)) void release_by_free(void *block)
{
    std::free(hide(block));
}

__attribute__((noinline)) void release_by_delete(void *block)
{
    ::operator delete(hide(block));
}

__attribute__((noinline)) void release_by_delete_array(void *block)
{
    ::operator delete[](hide(block));
}

__attribute__((noinline)) void release_by_realloc(void *block)
{
    void *moved = std::realloc(hide(block), 64);
    std::free(hide(moved));
}

int main(int count, char **arguments)
{
    const char *defect = count > 1 ? arguments[1] : "none";
    alignas(16) char local_bytes[64] = {0};
    if (std::strcmp(defect, "double-free") == 0) {
        void *block = allocate_by_malloc();
        release_by_free(block);
        release_by_free(block);
    } else if (std::strcmp(defect, "double-delete") == 0) {
        void *block = allocate_by_new();
        release_by_delete(block);
        release_by_delete(block);
    } else if (std::strcmp(defect, "free-inside") == 0) {
        release_by_free(static_cast<char *>(allocate_by_malloc()) + 8);
    } else if (std::strcmp(defect, "free-stack") == 0) {
        release_by_free(local_bytes + 16);
    } else if (std::strcmp(defect, "free-global") == 0) {
        release_by_free(global_bytes + 8);
    } else if (std::strcmp(defect, "realloc-stack") == 0) {
        release_by_realloc(local_bytes + 16);
    } else if (std::strcmp(defect, "new-free") == 0) {
        release_by_free(allocate_by_new());
    } else if (std::strcmp(defect, "new-array-free") == 0) {
        release_by_free(allocate_by_new_array());
    } else if (std::strcmp(defect, "malloc-delete") == 0) {
        release_by_delete(allocate_by_malloc());
    } else if (std::strcmp(defect, "malloc-delete-array") == 0) {
        release_by_delete_array(allocate_by_malloc());
    } else if (std::strcmp(defect, "new-delete-array") == 0) {
        release_by_delete_array(allocate_by_new());
    } else if (std::strcmp(defect, "new-array-delete") == 0) {
        release_by_delete(allocate_by_new_array());
    } else if (std::strcmp(defect, "new-realloc") == 0) {
        release_by_realloc(allocate_by_new());
    } else if (std::strcmp(defect, "three-times") == 0) {
        for (int i = 0; i < 3; i++) {
            release_by_delete(allocate_by_malloc());
        }
    } else if (std::strcmp(defect, "none") != 0) {
        return 2;
    }
    return 0;
}
