#include "model/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "12.5s", "500ms", "5m", "2h". */
static int selector_parse_time(const char *text, int64_t *time_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    if (!isdigit((unsigned char)text[0])) {
        return -EINVAL;
    }
    char *end;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name) == 0 && value * units[i].ns < 9e18) {
            *time_ns = (int64_t)(value * units[i].ns);
            return 0;
        }
    }
    return -EINVAL;
}

static int selector_parse_state(const char *text, struct model_selector *selector)
{
    static const struct {
        const char *name;
        enum model_state state;
    } names[] = {{"exit", MODEL_STATE_EXIT},
                 {"last", MODEL_STATE_LAST},
                 {"first", MODEL_STATE_FIRST},
                 {"peak", MODEL_STATE_PEAK}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i].name) == 0) {
            selector->state = names[i].state;
            return 0;
        }
    }
    if (strncmp(text, "label:", 6) == 0 && text[6] != '\0') {
        selector->state = MODEL_STATE_LABEL;
        selector->label = text + 6;
        return 0;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 10 && text[digits] == '\0') {
        selector->state = MODEL_STATE_INDEX;
        selector->index = atoll(text);
        return 0;
    }
    if (selector_parse_time(text, &selector->time_ns) == 0) {
        selector->state = MODEL_STATE_TIME;
        return 0;
    }
    return -EINVAL;
}

int model_selector_parse(struct region *region, const char *argument,
                         struct model_selector *selector, struct mt_error *error)
{
    *selector = (struct model_selector){.path = region_copy_text(region, argument)};
    /* A label may contain '@' too, so its prefix is looked for first. */
    const char *at = strstr(argument, "@label:");
    if (at == NULL) {
        at = strrchr(argument, '@');
    }
    if (at == NULL || at == argument || access(argument, F_OK) == 0) {
        return 0;
    }
    selector->path = region_copy(region, argument, (size_t)(at - argument));
    selector->text = region_copy_text(region, at + 1);
    if (selector_parse_state(selector->text, selector) != 0) {
        return mt_error_set(error, -EINVAL, MT_STATUS_USAGE,
                            "%s: \"@%s\" selects nothing: write @3, @first, @last, @peak, @exit, "
                            "@12.5s or @label:NAME",
                            selector->path, selector->text);
    }
    return 0;
}
