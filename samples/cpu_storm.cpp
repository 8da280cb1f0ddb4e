/*
 * cpu_storm.cpp - everything that takes a lock or changes the ground under a sampler, in eight
 * threads at once: dlopen and dlclose, malloc and free, exceptions, threads, longjmp, forks.
 *
 * usage: cpu_storm SECONDS PLUGIN
 *
 * Truth
 *   status: 0, and it ends by itself after SECONDS
 */
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

static double limit_seconds;
static const char *plugin;

static double now()
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

__attribute__((noinline)) static void throw_from(int depth)
{
    std::string text(40 + (size_t)depth, 'x');
    if (depth == 0) {
        throw std::runtime_error(text);
    }
    throw_from(depth - 1);
    if (text.empty()) {
        puts(text.c_str());
    }
}

static void open_and_close()
{
    void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    dlclose(library);
}

static void jump()
{
    jmp_buf back;
    if (setjmp(back) == 0) {
        free(malloc(9));
        longjmp(back, 1);
    }
}

static void fork_and_wait()
{
    pid_t child = fork();
    if (child == 0) {
        free(malloc(10));
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
        exit(2);
    }
}

static void storm(unsigned thread, unsigned long *rounds)
{
    double end = now() + limit_seconds;
    unsigned long n = 0;
    for (; now() < end; n++) {
        switch ((thread + n) % 5) {
        case 0:
            open_and_close();
            break;
        case 1:
            for (size_t i = 0; i < 200; i++) {
                free(malloc(16 + i * 7));
            }
            break;
        case 2:
            try {
                throw_from(10);
            } catch (const std::exception &) {
            }
            break;
        case 3:
            std::thread([] { free(malloc(100)); }).join();
            break;
        default:
            jump();
            if (thread == 0 && n % 500 == 4) {
                fork_and_wait();
            }
            break;
        }
    }
    *rounds = n;
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 3) {
        return 64;
    }
    limit_seconds = atof(arguments[1]);
    plugin = arguments[2];
    unsigned long rounds[8];
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 8; i++) {
        threads.emplace_back(storm, i, &rounds[i]);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    for (unsigned long count : rounds) {
        if (count == 0) {
            return 3;
        }
    }
    return 0;
}
