/*
 * in_catch2.cpp - gates in Catch2.
 *
 * Truth
 *   passes: clean, sections, excused
 *   fails under memtrack: leaks, leaks in a section, exceeds its budget
 */
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include <memtrack/catch2.h>

static void *kept;

MEMTRACK_TEST_CASE("clean", "[gate]")
{
    std::vector<std::string> words(100, "a word that is too long to be stored in place");
    CHECK(words.size() == 100);
}

TEST_CASE("sections")
{
    SECTION("one that is clean")
    {
        MEMTRACK_GATE("one that is clean");
        std::vector<int> numbers(1000);
        REQUIRE(numbers.size() == 1000);
    }
    SECTION("another that is clean")
    {
        MEMTRACK_GATE("another that is clean");
        std::string text(1000, 'x');
        REQUIRE(text.size() == 1000);
    }
}

MEMTRACK_TEST_CASE("excused")
{
    kept = ::operator new(33);
    memtrack_ignore(kept);
}

MEMTRACK_TEST_CASE("leaks", "[gate]")
{
    kept = ::operator new(77);
}

TEST_CASE("leaks in a section")
{
    SECTION("here")
    {
        MEMTRACK_GATE("here");
        kept = ::operator new(78);
    }
}

MEMTRACK_TEST_CASE("exceeds its budget")
{
    memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(256);
    void *volatile block = ::operator new(512);
    ::operator delete(block);
}
