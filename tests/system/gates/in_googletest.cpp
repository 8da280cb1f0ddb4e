/*
 * in_googletest.cpp - gates in GoogleTest.
 *
 * Truth
 *   passes: Clean.Passes, Clean.KeepsOnPurpose, Clean.IsExcused, Budget.Holds
 *   fails under memtrack: Dirty.Leaks, Budget.IsExceeded
 */
#include <gtest/gtest.h>

#include <string>
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
