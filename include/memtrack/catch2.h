/*
 * memtrack/catch2.h - leak gates for Catch2's tests (version 2 and 3).
 *
 * All tests, as they are:
 *
 *   #define CATCH_CONFIG_MAIN              // version 3: <catch2/catch_all.hpp> instead
 *   #include <catch2/catch.hpp>
 *   #include <memtrack/catch2.h>
 *   MEMTRACK_CATCH2_GATES();               // once, where Catch's main is
 *
 * fails each test case, and each of its runs through sections, that loses blocks: nothing
 * leads to them any more. Catch keeps notes of its own about sections, generators and
 * reports in the program's heap, so what is still reachable does not count here.
 *
 * Stricter, no block may be left over, for a body without sections or for one section:
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
 * What is left over is printed with its stacks. A scope that is left by an exception, as by
 * a failed REQUIRE, is not judged, nor is a test case that has failed already.
 *
 * See memtrack/gate.h for budgets, and for runs without memtrack. C++11.
 */
#ifndef MEMTRACK_CATCH2_H
#define MEMTRACK_CATCH2_H

#include <exception>
#include <string>

#include <memtrack/gate.h>

namespace memtrack {

/* What budget() is about: the innermost gate. */
class catch2_scope {
public:
    virtual ~catch2_scope() = default;
    virtual memtrack_budget &budget() = 0;

    static catch2_scope *&current()
    {
        static catch2_scope *innermost = nullptr;
        return innermost;
    }
};

class catch2_gate : public catch2_scope {
public:
    explicit catch2_gate(const char *name)
        : outer_(current())
    {
        current() = this;
        memtrack_gate_begin(&gate_, name, nullptr);
    }
    ~catch2_gate() override
    {
        current() = outer_;
        if (!is_unwinding() && !memtrack_gate_end(&gate_)) {
            FAIL_CHECK("memtrack: " << gate_.name << ": " << gate_.message);
        }
    }
    catch2_gate(const catch2_gate &) = delete;
    catch2_gate &operator=(const catch2_gate &) = delete;

    memtrack_budget &budget() override { return gate_.budget; }

private:
    static bool is_unwinding()
    {
#if __cplusplus >= 201703L
        return std::uncaught_exceptions() > 0;
#else
        return std::uncaught_exception();
#endif
    }

    memtrack_gate gate_;
    catch2_scope *outer_;
};

/* The limits of the innermost gate; by default no block may be left over, or be lost where
 * MEMTRACK_CATCH2_GATES() judges. There counts begin with the first call. */
inline memtrack_budget &budget()
{
    static memtrack_budget unused;
    catch2_scope *scope = catch2_scope::current();
    return scope == nullptr ? unused : scope->budget();
}

/* A listener; Base is the version's own. A test case is a section to Catch, the outermost. */
template <class Base>
class catch2_gates : public Base, public catch2_scope {
public:
    using Base::Base;

    void testCaseStarting(const Catch::TestCaseInfo &test) override
    {
        snprintf(name_, sizeof name_, "%s", test.name.c_str());
    }

    void sectionStarting(const Catch::SectionInfo &) override
    {
        if (depth_++ > 0) {
            return;
        }
        has_budget_ = false;
        current() = this;
        const memtrack_budget lost = lost_only();
        memtrack_gate_begin(&whole_, name_, &lost);
    }

    void sectionEnded(const Catch::SectionStats &stats) override
    {
        if (--depth_ > 0) {
            return;
        }
        current() = nullptr;
        if (stats.assertions.failed > 0) {
            return;
        }
        if (has_budget_) {
            whole_.budget.may_keep = counts_.budget.may_keep;
            whole_.budget.live_blocks = counts_.budget.live_blocks;
            whole_.budget.live_bytes = counts_.budget.live_bytes;
            counts_.budget.live_blocks.is_set = false;
            counts_.budget.live_bytes.is_set = false;
            judge(counts_, stats.sectionInfo.lineInfo);
        }
        judge(whole_, stats.sectionInfo.lineInfo);
    }

    memtrack_budget &budget() override
    {
        if (!has_budget_) {
            has_budget_ = true;
            const memtrack_budget lost = lost_only();
            memtrack_gate_begin(&counts_, name_, &lost);
        }
        return counts_.budget;
    }

private:
    static memtrack_budget lost_only()
    {
        memtrack_budget budget = {};
        budget.may_keep_reachable = true;
        return budget;
    }

    static void judge(memtrack_gate &gate, const Catch::SourceLineInfo &place)
    {
        if (memtrack_gate_end(&gate)) {
            return;
        }
        Catch::AssertionHandler handler(Catch::StringRef("memtrack"), place, Catch::StringRef(),
                                        Catch::ResultDisposition::ContinueOnFailure);
        handler.handleMessage(Catch::ResultWas::ExplicitFailure,
                              std::string("memtrack: ") + gate.message);
        handler.complete();
    }

    memtrack_gate whole_;
    memtrack_gate counts_; /* since the test named its budget */
    bool has_budget_ = false;
    int depth_ = 0;
    char name_[256];
};

} // namespace memtrack

#if defined(CATCH_VERSION_MAJOR) && CATCH_VERSION_MAJOR >= 3
#define MEMTRACK_CATCH2_LISTENER Catch::EventListenerBase
#else
#define MEMTRACK_CATCH2_LISTENER Catch::TestEventListenerBase
#endif
#define MEMTRACK_CATCH2_GATES()                                                 \
    using memtrack_catch2_gates = ::memtrack::catch2_gates<MEMTRACK_CATCH2_LISTENER>; \
    CATCH_REGISTER_LISTENER(memtrack_catch2_gates)                              \
    static_assert(true, "")

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
