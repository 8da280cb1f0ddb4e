/*
 * in_googletest.cpp - gates in GoogleTest.
 *
 * Truth
 *   passes: Clean.Passes, Clean.KeepsOnPurpose, Clean.IsExcused, Clean.KeepsWhatIsReachable,
 *     Clean.Traces, Clean.RecordsProperties, Clean.Succeeds, Clean.RunsThreads, Clean.IsSkipped,
 *     CleanDeathTest.Dies, Clean.Throws, Budget.Holds, Values/Numbers.Passes/0
 *   fails under memtrack: Dirty.Leaks, Dirty.Loses, Budget.IsExceeded, Values/Numbers.Passes/1
 */
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <memtrack/googletest.h>

MEMTRACK_GOOGLETEST_GATES();

static void *kept;

TEST(Clean, Passes)
{
    std::vector<std::string> words(100, "a word that is too long to be stored in place");
    EXPECT_EQ(words.size(), 100u);
}

TEST(Clean, KeepsOnPurpose)
{
    memtrack::budget().may_keep = true;
    kept = ::operator new(32);
}

TEST(Clean, IsExcused)
{
    kept = ::operator new(33);
    memtrack_ignore(kept);
}

TEST(Dirty, Leaks)
{
    kept = ::operator new(77);
}

TEST(Budget, Holds)
{
    memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(1024);
    memtrack::budget().allocations = MEMTRACK_AT_MOST(1);
    ::operator delete(::operator new(512));
}

TEST(Budget, IsExceeded)
{
    memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(256);
    void *volatile block = ::operator new(512);
    ::operator delete(block);
}

static void *reachable;

TEST(Clean, KeepsWhatIsReachable)
{
    memtrack::budget().may_keep_reachable = true;
    reachable = ::operator new(34);
}

TEST(Clean, Traces)
{
    SCOPED_TRACE("one");
    {
        SCOPED_TRACE("inside another");
        EXPECT_TRUE(true);
    }
}

TEST(Clean, RecordsProperties)
{
    RecordProperty("key", "a value that is too long to be stored in place");
}

TEST(Clean, Succeeds)
{
    SUCCEED() << "with a message that is too long to be stored in place";
}

TEST(Clean, RunsThreads)
{
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] { EXPECT_EQ(std::string(100, 'x').size(), 100u); });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST(Clean, IsSkipped)
{
    kept = ::operator new(35);
    GTEST_SKIP() << "not here";
}

TEST(CleanDeathTest, Dies)
{
    EXPECT_DEATH(abort(), "");
}

TEST(Clean, Throws)
{
    EXPECT_THROW(throw std::runtime_error("on purpose"), std::runtime_error);
}

static void lose()
{
    void *volatile lost = ::operator new(78);
    lost = nullptr;
    (void)lost;
}

TEST(Dirty, Loses)
{
    memtrack::budget().may_keep_reachable = true;
    lose();
    volatile char rest[8192];
    for (volatile char &byte : rest) {
        byte = 0;
    }
}

class Numbers : public ::testing::TestWithParam<int> {};

TEST_P(Numbers, Passes)
{
    if (GetParam() == 2) {
        kept = ::operator new(36);
    }
}

INSTANTIATE_TEST_SUITE_P(Values, Numbers, ::testing::Values(1, 2));
