/* Claims about report/lifetimes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/lifetimes.h"

static const char *text_of(struct region *region, const struct model_site *site)
{
    struct lifetimes lifetimes = {0};
    lifetimes_add(&lifetimes, site);
    return lifetimes_text(region, &lifetimes);
}

static void lifetimes_name_each_class_by_its_limit(void **state)
{
    /* By bucket of the recording: [2^i, 2^(i+1)) ticks of 10 ms. */
    static const char *const names[RECORDING_LIFETIME_BUCKETS] = {
        "<80ms 100%", "<80ms 100%", "<80ms 100%", "<0.6s 100%",
        "<0.6s 100%", "<0.6s 100%", "<5s 100%",   "<5s 100%",
        "<5s 100%",   "<41s 100%",  "<41s 100%",  "<41s 100%",
        "longer 100%", "longer 100%", "longer 100%", "longer 100%"};
    struct region *region = region_new();
    (void)state;
    for (size_t i = 0; i < RECORDING_LIFETIME_BUCKETS; i++) {
        int64_t buckets[RECORDING_LIFETIME_BUCKETS] = {0};
        struct model_site site = {.lifetimes = buckets, .frees = 7};
        site.lifetimes[i] = 7;
        assert_string_equal(text_of(region, &site), names[i]);
    }
    assert_string_equal(text_of(region, &(struct model_site){.frees = 7}), "<10ms 100%");
    assert_string_equal(text_of(region, &(struct model_site){.live_blocks = 7}), "live 100%");
    assert_string_equal(text_of(region, &(struct model_site){0}), "");
    region_free(region);
}

static void lifetimes_show_the_three_largest_in_order_of_time(void **state)
{
    struct region *region = region_new();
    int64_t buckets[RECORDING_LIFETIME_BUCKETS] = {0};
    struct model_site site = {.lifetimes = buckets, .frees = 900, .live_blocks = 100};
    (void)state;
    site.lifetimes[1] = 50;   /* <80ms */
    site.lifetimes[8] = 400;  /* <5s */
    site.lifetimes[15] = 300; /* longer; 150 are below 10 ms */
    assert_string_equal(text_of(region, &site), "<10ms 15%, <5s 40%, longer 30%");
    region_free(region);
}

static void lifetimes_round_no_remainder_away(void **state)
{
    struct region *region = region_new();
    (void)state;
    assert_string_equal(text_of(region, &(struct model_site){.frees = 99999, .live_blocks = 1}),
                        "<10ms 99%, live <1%");
    /* What is read while the program runs may be torn. */
    int64_t buckets[RECORDING_LIFETIME_BUCKETS] = {0};
    struct model_site site = {.lifetimes = buckets, .frees = 1, .live_blocks = -3};
    site.lifetimes[0] = 4;
    assert_string_equal(text_of(region, &site), "<80ms 100%");
    region_free(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifetimes_name_each_class_by_its_limit),
        cmocka_unit_test(lifetimes_show_the_three_largest_in_order_of_time),
        cmocka_unit_test(lifetimes_round_no_remainder_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
