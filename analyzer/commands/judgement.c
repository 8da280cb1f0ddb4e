#include "commands/judgement.h"

#include <stdio.h>
#include <string.h>

void judgement_begin(struct judgement *judgement, const struct gate_options *options)
{
    *judgement = (struct judgement){.region = region_new(), .options = *options};
    suppressions_init(&judgement->suppressions, judgement->region);
    baseline_init(&judgement->baseline, judgement->region, NULL);
    judgement->options.suppressions = &judgement->suppressions;
    judgement->options.baseline = NULL;
}

int judgement_add_suppressions(struct judgement *judgement, const char *const *files, size_t count,
                               struct mt_error *error)
{
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        code = suppressions_add_file(&judgement->suppressions, files[i], error);
    }
    return code;
}

static bool is_database(const char *path)
{
    char bytes[16] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t got = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return got == sizeof(bytes) && memcmp(bytes, "SQLite format 3", 16) == 0;
}

int judgement_read_baseline(struct judgement *judgement, const char *path, struct mt_error *error)
{
    struct opened opened;
    judgement->baseline.name = path;
    judgement->options.baseline = &judgement->baseline;
    if (!is_database(path)) {
        return baseline_read(&judgement->baseline, path, error);
    }
    int code = opened_open(&opened, path, NULL, error);
    if (code == 0) {
        gate_collect(judgement->region, opened.model, NULL, judgement->options.leak_classes,
                     &judgement->baseline);
    }
    opened_close(&opened);
    return code;
}

int judgement_judge(struct judgement *judgement, const char *file, bool has_own,
                    struct mt_error *error)
{
    int code = opened_open(&judgement->opened, file, NULL, error);
    if (code == 0 && has_own) {
        code = leaks_add_recorded_suppressions(judgement->opened.model, &judgement->suppressions,
                                               error);
    }
    if (code == 0) {
        gate_judge(judgement->region, judgement->opened.model, &judgement->options,
                   &judgement->result);
    }
    return code;
}

void judgement_judge_nothing(struct judgement *judgement, const char *reason)
{
    gate_judge_nothing(judgement->region, reason, &judgement->result);
}

void judgement_end(struct judgement *judgement)
{
    gate_result_deinit(&judgement->result);
    baseline_deinit(&judgement->baseline);
    suppressions_deinit(&judgement->suppressions);
    opened_close(&judgement->opened);
    region_free(judgement->region);
}
