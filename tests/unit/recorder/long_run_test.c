/* Claims about what the recorder leaves of a run of a week: docs/recording.md, "It is bounded". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"
#include "support/simulated_run.h"

#define SECOND_NS UINT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define DAY_NS (24 * HOUR_NS)
#define SITES 500u
#define SPIKES 40
#define LABELS 7

static char path[] = "/tmp/memtrack-long-run-XXXXXX";
static uint64_t spike_ns[SPIKES];

/* A week: spikes at odd moments, a label each day. */
static void week_record(void)
{
    struct simulated_run run;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(simulated_run_begin(&run, path, SITES));
    int spikes = 0;
    for (int day = 0; day < LABELS; day++) {
        uint64_t morning_ns = (uint64_t)day * DAY_NS;
        for (int i = 0; i < SPIKES / LABELS + 1 && spikes < SPIKES; i++) {
            uint64_t at_ns = morning_ns + (uint64_t)i * (uint64_t)i * 2399 * SECOND_NS;
            assert_true(simulated_run_pass(&run, at_ns, 10 * SECOND_NS));
            assert_true(simulated_run_spike(&run, 1000 - spikes, 900000000 + spikes));
            spike_ns[spikes++] = run.now_ns;
        }
        char label[16];
        snprintf(label, sizeof label, "day %d", day);
        assert_true(simulated_run_pass(&run, morning_ns + DAY_NS, 10 * SECOND_NS));
        assert_true(simulated_run_label(&run, label));
    }
    assert_int_equal(spikes, SPIKES);
    assert_true(simulated_run_finish(&run));
}

static int week_setup(void **state)
{
    struct region *region = region_new();
    struct model_selector selector;
    struct model *model = NULL;
    struct mt_error error = {0};
    week_record();
    assert_int_equal(model_selector_parse(region, path, &selector, &error), 0);
    assert_int_equal(model_load(&selector, &model, &error), 0);
    region_free(region);
    *state = model;
    return 0;
}

static int week_teardown(void **state)
{
    model_free(*state);
    return unlink(path);
}

static void a_week_has_a_bounded_number_of_snapshots_and_every_labelled_one(void **state)
{
    const struct model *model = *state;
    char label[16];
    int found = 0;
    assert_in_range(model->snapshot_count, 150, 200);
    for (size_t i = 0; i < model->snapshot_count; i++) {
        snprintf(label, sizeof label, "day %d", found);
        found += model->snapshots[i].label != NULL
                 && strcmp(model->snapshots[i].label, label) == 0;
    }
    assert_int_equal(found, LABELS);
    assert_true(model->snapshots[0].time_ns < (int64_t)(20 * SECOND_NS));
}

static void a_week_has_a_dense_recent_past_and_no_long_gap(void **state)
{
    const struct model *model = *state;
    int64_t end_ns = model->snapshots[model->snapshot_count - 1].time_ns;
    size_t in_last_hour = 0;
    for (size_t i = 1; i < model->snapshot_count; i++) {
        int64_t age_ns = end_ns - model->snapshots[i - 1].time_ns;
        int64_t gap_ns = model->snapshots[i].time_ns - model->snapshots[i - 1].time_ns;
        in_last_hour += end_ns - model->snapshots[i].time_ns < (int64_t)HOUR_NS;
        /* In proportion to age; looks every 10 s and the cost of snapshots add a little. */
        assert_true(gap_ns <= age_ns / 5 + (int64_t)(120 * SECOND_NS));
    }
    assert_true(in_last_hour >= 20);
}

static void a_weeks_timeline_is_bounded_and_has_every_spike_at_its_time(void **state)
{
    const struct model *model = *state;
    const struct model_process *process = &model->processes[0];
    assert_in_range(process->point_count, TIMELINE_POINTS_MAX / 4, TIMELINE_POINTS_MAX);
    for (int spike = 0; spike < SPIKES; spike++) {
        bool has_high = false;
        bool has_low = false;
        for (size_t i = 0; i < process->point_count; i++) {
            const struct recording_point *point = &process->points[i];
            int64_t begin_ns = i == 0 ? 0 : process->points[i - 1].time_ns;
            bool covers = point->time_ns >= (int64_t)(spike_ns[spike] - SECOND_NS)
                          && begin_ns <= (int64_t)spike_ns[spike];
            /* Of spikes in one interval the larger is left. */
            has_high = has_high || (covers && point->live_max_bytes >= 900000000 + spike);
            has_low = has_low || (covers && point->live_min_bytes <= 1000 - spike);
        }
        assert_true(has_high);
        assert_true(has_low);
    }
}

static void a_weeks_counters_are_those_of_its_end(void **state)
{
    const struct model *model = *state;
    const struct model_process *process = &model->processes[0];
    const uint64_t seconds = 7 * 24 * 3600;
    int64_t allocations = 0;
    for (uint32_t stack = 1; stack <= SITES; stack++) {
        allocations += (int64_t)(seconds * 1000 / stack) + 1;
    }
    /* It ends some seconds after the last midnight. */
    assert_true(process->totals.allocations >= allocations);
    assert_true(process->totals.allocations < allocations + allocations / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_week_has_a_bounded_number_of_snapshots_and_every_labelled_one),
        cmocka_unit_test(a_week_has_a_dense_recent_past_and_no_long_gap),
        cmocka_unit_test(a_weeks_timeline_is_bounded_and_has_every_spike_at_its_time),
        cmocka_unit_test(a_weeks_counters_are_those_of_its_end),
    };
    return cmocka_run_group_tests(tests, week_setup, week_teardown);
}
