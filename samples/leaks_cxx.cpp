/*
 * leaks_cxx.cpp - pointers that C++ keeps into blocks instead of to their starts.
 *
 * usage: leaks_cxx CASE; the blocks in question are those that subject...() allocates.
 *
 * Truth
 *   string: reachable 1
 *   array_cookie: reachable 1
 *   second_base: reachable 1
 *   shared_cycle: definite 1, indirect 1
 *   unique: reachable 1
 *   map: reachable 100
 *   lost_map: definite 1, indirect 99
 *   vector: reachable 2
 */
#include <cstdio>
#include <cstring>
#include <map>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

struct Element {
    int value = 1;
    ~Element() { value = 0; }
};

struct First {
    virtual ~First() = default;
    virtual int first() { return 1; }
    long a = 1;
};
struct Second {
    virtual ~Second() = default;
    virtual int second() { return 2; }
    long b = 2;
};
struct Both : First, Second {
    int second() override { return 3; }
    long c = 3;
};

struct Peer {
    std::shared_ptr<Peer> other;
    char rest[40] = {};
};

static void *volatile global;

__attribute__((noinline)) static void subject_string()
{
    static std::string kept;
    kept = std::string(1000, 'x');
}

__attribute__((noinline)) static void subject_array() { global = new Element[10]; }

__attribute__((noinline)) static void subject_second_base()
{
    Second *second = new Both;
    global = second;
}

__attribute__((noinline)) static void subject_shared()
{
    auto one = std::make_shared<Peer>();
    auto two = std::make_shared<Peer>();
    one->other = two;
    two->other = one;
}

__attribute__((noinline)) static void subject_unique()
{
    global = std::make_unique<Element>().release();
}

__attribute__((noinline)) static void subject_map(std::map<int, int> &map)
{
    for (int i = 0; i < 100; i++) {
        map[i] = i;
    }
}

__attribute__((noinline)) static void lose_map()
{
    alignas(std::map<int, int>) char space[sizeof(std::map<int, int>)];
    auto *map = new (space) std::map<int, int>;
    subject_map(*map);
    /* The tree's root points to the header in this frame, and nothing points to the root. */
    std::memset(space, 0, sizeof space);
    __asm__ volatile("" : : "r"(space) : "memory");
}

__attribute__((noinline)) static void subject_vector()
{
    static auto *kept = new std::vector<int>;
    kept->resize(1000);
}

static void wipe_stack()
{
    volatile char space[16384];
    std::memset(const_cast<char *>(space), 0, sizeof space);
    __asm__ volatile("" : : "r"(space) : "memory");
}

int main(int argc, char **argv)
{
    static auto *held = new std::map<int, int>;
    std::string name = argc == 2 ? argv[1] : "";
    if (name == "string") {
        subject_string();
        std::quick_exit(0);
    } else if (name == "array_cookie") {
        subject_array();
    } else if (name == "second_base") {
        subject_second_base();
    } else if (name == "shared_cycle") {
        subject_shared();
    } else if (name == "unique") {
        subject_unique();
    } else if (name == "map") {
        subject_map(*held);
    } else if (name == "lost_map") {
        lose_map();
    } else if (name == "vector") {
        subject_vector();
        std::quick_exit(0);
    } else {
        std::fprintf(stderr, "usage: leaks_cxx CASE\n");
        return 64;
    }
    wipe_stack();
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\txor %%r15d, %%r15d"
                     :
                     :
                     : "rbx", "r12", "r13", "r14", "r15", "cc");
    return 0;
}
