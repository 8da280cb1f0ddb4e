/*
 * memtrack/catch2.h - leak gates for Catch2's tests (version 2 and 3).
 *
 *   #include <catch2/catch.hpp>
 *   #include <memtrack/catch2.h>
 *
 *   MEMTRACK_TEST_CASE("parses", "[parser]")   // TEST_CASE with a gate around its body
 *   {
 *       memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(64 * 1024);
 *       ...
 *   }
 *
 *   TEST_CASE("cache")
 *   {
 *       SECTION("fills") { MEMTRACK_GATE("fills"); ... }   // a gate around a section
 *   }
 *
 * Catch keeps notes of its own about every SECTION that it meets, in the program's heap:
 * a test with sections has its gates in the sections, not around them. Blocks that are left
 * over when a gate's scope ends fail the test and are printed with their stacks. A scope
 * that is left by an exception, as by a failed REQUIRE, is not judged.
 *
 * See memtrack/gate.h for budgets, and for runs without memtrack. C++11.
 */
#ifndef MEMTRACK_CATCH2_H
#define MEMTRACK_CATCH2_H

#include <exception>

#include <memtrack/gate.h>

namespace memtrack {

class catch2_gate {
public:
    explicit catch2_gate(const char *name)
        : outer_(current())
    {
        current() = this;
        memtrack_gate_begin(&gate, name, nullptr);
    }
    ~catch2_gate()
    {
        current() = outer_;
        if (!is_unwinding() && !memtrack_gate_end(&gate)) {
            FAIL_CHECK("memtrack: " << gate.name << ": " << gate.message);
        }
    }
    catch2_gate(const catch2_gate &) = delete;
    catch2_gate &operator=(const catch2_gate &) = delete;

    static catch2_gate *&current()
    {
        static catch2_gate *innermost = nullptr;
        return innermost;
    }

    memtrack_gate gate;

private:
    static bool is_unwinding()
    {
#if __cplusplus >= 201703L
        return std::uncaught_exceptions() > 0;
#else
        return std::uncaught_exception();
#endif
    }

    catch2_gate *outer_;
};

/* The limits of the innermost gate; by default no block may be left over. */
inline memtrack_budget &budget()
{
    static memtrack_budget unused;
    return catch2_gate::current() == nullptr ? unused : catch2_gate::current()->gate.budget;
}

} // namespace memtrack

#define MEMTRACK_CATCH2_JOIN_(a, b) a##b
#define MEMTRACK_CATCH2_JOIN(a, b) MEMTRACK_CATCH2_JOIN_(a, b)
#define MEMTRACK_GATE(name) \
    ::memtrack::catch2_gate MEMTRACK_CATCH2_JOIN(memtrack_gate_, __LINE__)(name)
#define MEMTRACK_CATCH2_NAME(name, ...) name
#define MEMTRACK_TEST_CASE(...)                                         \
    static void MEMTRACK_CATCH2_JOIN(memtrack_body_, __LINE__)();       \
    TEST_CASE(__VA_ARGS__)                                              \
    {                                                                   \
        MEMTRACK_GATE(MEMTRACK_CATCH2_NAME(__VA_ARGS__, ));             \
        MEMTRACK_CATCH2_JOIN(memtrack_body_, __LINE__)();               \
    }                                                                   \
    static void MEMTRACK_CATCH2_JOIN(memtrack_body_, __LINE__)()

#endif
