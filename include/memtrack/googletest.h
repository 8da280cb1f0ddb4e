/*
 * memtrack/googletest.h - makes a leak gate of every GoogleTest test.
 *
 *   #include <gtest/gtest.h>
 *   #include <memtrack/googletest.h>
 *
 *   MEMTRACK_GOOGLETEST_GATES();           // once, in one file, outside of functions
 *
 *   TEST(Parser, StaysSmall)
 *   {
 *       memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(64 * 1024);
 *       memtrack::budget().temporaries = MEMTRACK_AT_MOST(0);
 *       ...
 *   }
 *
 * A test whose blocks are still live after its fixture is gone fails, and they are printed
 * with their stacks. What a test is meant to keep it says with memtrack::budget().may_keep =
 * true, or memtrack_ignore(block); may_keep_reachable = true lets stay what something still
 * leads to. Tests that have failed already, and skipped ones, are not judged.
 *
 * GoogleTest itself keeps properties, SUCCEED()s and the message of a death test: in a test
 * that has such, what is still reachable does not count.
 *
 * See memtrack/gate.h for budgets, and for runs without memtrack. C++11.
 */
#ifndef MEMTRACK_GOOGLETEST_H
#define MEMTRACK_GOOGLETEST_H

#include <gtest/gtest.h>

#include <string>

#include <memtrack/gate.h>

/* Nested SCOPED_TRACEs for which room is made. */
#define MEMTRACK_GOOGLETEST_TRACES 64

namespace memtrack {

class googletest_gates : public ::testing::EmptyTestEventListener {
public:
    static googletest_gates *&current()
    {
        static googletest_gates *gates = nullptr;
        return gates;
    }

    /* Counts begin here: what GoogleTest allocates for a test is not the test's. */
    memtrack_budget &budget()
    {
        if (!has_budget_) {
            has_budget_ = true;
            memtrack_gate_begin(&counts_, name_, nullptr);
        }
        return counts_.budget;
    }

    /* The list of traces grows to the deepest nesting and stays: not in a test. */
    void OnTestProgramStart(const ::testing::UnitTest &) override
    {
        nest_traces(MEMTRACK_GOOGLETEST_TRACES);
    }

    void OnTestStart(const ::testing::TestInfo &test) override
    {
        death_message_ = death_message(); /* before the mark */
        snprintf(name_, sizeof name_, "%s.%s", test.test_suite_name(), test.name());
        current() = this;
        has_budget_ = false;
        memtrack_gate_begin(&left_over_, name_, nullptr);
    }

    void OnTestEnd(const ::testing::TestInfo &test) override
    {
        /* A failed or skipped test has left messages, and what it could not release. */
        if (test.result()->Failed() || test.result()->Skipped()) {
            return;
        }
        if (has_budget_) {
            left_over_.budget.may_keep = counts_.budget.may_keep;
            left_over_.budget.may_keep_reachable = counts_.budget.may_keep_reachable;
            left_over_.budget.live_blocks = counts_.budget.live_blocks;
            left_over_.budget.live_bytes = counts_.budget.live_bytes;
            counts_.budget.live_blocks.is_set = false;
            counts_.budget.live_bytes.is_set = false;
            judge(counts_, test);
        }
        if (test.result()->total_part_count() > 0 || test.result()->test_property_count() > 0
            || death_message() != death_message_) {
            left_over_.budget.may_keep_reachable = true;
        }
        judge(left_over_, test);
    }

private:
    static void nest_traces(int depth)
    {
        ::testing::ScopedTrace trace(__FILE__, __LINE__, "");
        if (depth > 1) {
            nest_traces(depth - 1);
        }
    }

    static std::string death_message()
    {
#if GTEST_HAS_DEATH_TEST
        return ::testing::internal::DeathTest::LastMessage();
#else
        return "";
#endif
    }

    static void judge(memtrack_gate &gate, const ::testing::TestInfo &test)
    {
        if (!memtrack_gate_end(&gate)) {
            ADD_FAILURE_AT(test.file(), test.line()) << "memtrack: " << gate.message;
        }
    }

    memtrack_gate left_over_; /* of the whole test, its fixture included */
    memtrack_gate counts_;    /* since the test named its budget */
    bool has_budget_ = false;
    char name_[256];
    std::string death_message_; /* the last before the test */
};

/* The limits of the test that is running, counted from the first call on; by default no
 * block may be left over. */
inline memtrack_budget &budget()
{
    static memtrack_budget unused;
    googletest_gates *gates = googletest_gates::current();
    return gates == nullptr ? unused : gates->budget();
}

inline bool add_googletest_gates()
{
    ::testing::UnitTest::GetInstance()->listeners().Append(new googletest_gates);
    return true;
}

} // namespace memtrack

#define MEMTRACK_GOOGLETEST_GATES() \
    static const bool memtrack_has_googletest_gates = ::memtrack::add_googletest_gates()

#endif
