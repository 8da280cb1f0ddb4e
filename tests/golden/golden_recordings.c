/* Writes the recordings that the golden files belong to into the folder argv[1]. */
#include "support/sample_recording.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(const char *path);
    } recordings[] = {{"service", sample_write_service},
                      {"tree", sample_write_tree},
                      {"hostile", sample_write_hostile},
                      {"empty", sample_write_empty}};
    if (argc != 2) {
        fprintf(stderr, "usage: golden_recordings FOLDER\n");
        return 64;
    }
    for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s.mtk", argv[1], recordings[i].name);
        recordings[i].write(path);
    }
    return 0;
}
