/*
 * in_catch2.cpp - gates in Catch2.
 *
 * Truth
 *   passes: clean, sections, excused, keeps what is reachable, generates, throws
 *   fails under memtrack: leaks, leaks in a section, exceeds its budget, loses,
 *     loses in a deep section, exceeds a budget of the listener
 */
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include <memtrack/catch2.h>

MEMTRACK_CATCH2_GATES();

static void *kept;
static void *reachable;

static void lose()
{
    void *volatile lost = ::operator new(79);
    lost = nullptr;
    (void)lost;
}

static void forget()
{
    volatile char rest[8192];
    for (volatile char &byte : rest) {
        byte = 0;
    }
}

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

TEST_CASE("keeps what is reachable")
{
    reachable = ::operator new(34);
}

TEST_CASE("generates")
{
    auto number = GENERATE(1, 2, 3);
    CAPTURE(number);
    CHECK(number > 0);
}

TEST_CASE("throws")
{
    INFO("on purpose");
    REQUIRE_THROWS(throw std::string("a text that is too long to be stored in place"));
    SUCCEED();
}

TEST_CASE("loses")
{
    lose();
    forget();
}

TEST_CASE("loses in a deep section")
{
    SECTION("outer")
    {
        SECTION("inner")
        {
            lose();
            forget();
        }
    }
}

TEST_CASE("exceeds a budget of the listener")
{
    memtrack::budget().peak_bytes = MEMTRACK_AT_MOST(256);
    void *volatile block = ::operator new(512);
    ::operator delete(block);
}
