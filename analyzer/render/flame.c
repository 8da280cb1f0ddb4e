#include "render/flame.h"

#include "render/unicode.h"
#include "report/quantity.h"

#include <stdlib.h>
#include <string.h>

#define FLAME_WIDTH 1200.0
#define FLAME_MARGIN 10.0
#define FLAME_ROW 17.0
#define FLAME_TOP 74.0
#define FLAME_BOTTOM 54.0
#define FLAME_LETTER 7.25

/* Made from flame.css and flame.js by the build. */
extern const unsigned char flame_css[];
extern const unsigned char flame_js[];

struct flame {
    FILE *out;
    const struct flame_tree *tree;
    const struct flame_options *options;
    double *start; /* by node: where the next child begins, of the root's width */
    double scale; /* 1 / the root's width */
    uint32_t rows;
    size_t left_out;
    int64_t delta_max;
};

/* ---- text ------------------------------------------------------------------- */

/* Inside elements and quoted attributes. Source: XML 1.0, sections 2.2 and 2.4. */
static void put_text(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point;
        size_t length = unicode_decode(at, &point);
        if (length == 0 || point == 0xfffe || point == 0xffff) {
            fputs("&#xfffd;", out);
            at += length > 0 ? length : 1;
            continue;
        }
        if (point < 0x20 || point == 0x7f || unicode_is_command(point)) {
            fputc(' ', out);
        } else if (strchr("<>&\"'", (int)point) != NULL && point < 0x80) {
            fprintf(out, "&#%u;", (unsigned)point);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
}

/* The static picture's short form; the script makes better ones. */
static void put_label(FILE *out, const char *name, double width)
{
    char text[256];
    double room = (width - 6) / FLAME_LETTER;
    size_t letters = room >= 3 ? (size_t)room : 0;
    if (letters > sizeof(text) - 1) {
        letters = sizeof(text) - 1;
    }
    size_t length = strlen(name);
    if (letters == 0) {
        return;
    }
    if (length <= letters) {
        put_text(out, name);
        return;
    }
    size_t cut = letters - 2;
    while (cut > 0 && ((unsigned char)name[cut] & 0xc0) == 0x80) {
        cut--; /* not inside a character */
    }
    memcpy(text, name, cut);
    memcpy(text + cut, "..", 3);
    put_text(out, text);
}

static struct quantity format_value(const struct flame *flame, int64_t value)
{
    const struct profile *profile = flame->tree->profile;
    if (profile_metric_is_bytes(flame->tree->metric)) {
        return quantity_bytes(value);
    }
    if (flame->tree->metric == PROFILE_CPU && profile->cpu_hz > 0) {
        return quantity_seconds((double)value / (double)profile->cpu_hz);
    }
    return quantity_count(value);
}

static const char *value_word(const struct flame *flame)
{
    enum profile_metric metric = flame->tree->metric;
    if (profile_metric_is_bytes(metric) || metric == PROFILE_CPU) {
        return "";
    }
    return metric == PROFILE_BLOCKS ? " blocks" : " allocations";
}

/* ---- colours ---------------------------------------------------------------- */

static uint32_t name_hash(const char *name)
{
    uint32_t hash = 2166136261u;
    for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
        hash = (hash ^ *at) * 16777619u;
    }
    return hash ^ hash >> 15;
}

static void put_color(const struct flame *flame, const struct flame_node *node)
{
    if (flame->tree->has_baseline) {
        int64_t delta = node->value - node->before;
        double part =
            flame->delta_max > 0 ? (double)llabs(delta) / (double)flame->delta_max : 0;
        int pale = delta == 0 ? 235 : (int)(210 - 140 * (part > 1 ? 1 : part));
        int strong = delta == 0 ? 235 : 240;
        fprintf(flame->out, "#%02x%02x%02x", (unsigned)(delta >= 0 ? strong : pale),
                (unsigned)pale, (unsigned)(delta > 0 ? pale : strong));
        return;
    }
    uint32_t hash = name_hash(node->name);
    bool is_cpu = flame->tree->metric == PROFILE_CPU;
    /* Fire for time, as everywhere; leaves for memory. */
    unsigned hue = (is_cpu ? 12 : 88) + hash % (is_cpu ? 44 : 66);
    fprintf(flame->out, "hsl(%u,%u%%,%u%%)", hue, 52 + (hash >> 8) % 26, 62 + (hash >> 16) % 14);
}

/* ---- frames ----------------------------------------------------------------- */

static int64_t node_width(const struct flame *flame, const struct flame_node *node)
{
    /* What is gone would be invisible at its present width. */
    return flame->tree->has_baseline && node->before > node->value ? node->before : node->value;
}

static void put_details(const struct flame *flame, const struct flame_node *node)
{
    const struct flame_node *root = &flame->tree->nodes[0];
    FILE *out = flame->out;
    put_text(out, node->name);
    fprintf(out, "\n%s%s", format_value(flame, node->value).text, value_word(flame));
    if (root->value > 0) {
        fputs(" (", out);
        put_text(out, quantity_percent(100.0 * (double)node->value / (double)root->value).text);
        fputc(')', out);
    }
    if (node->self > 0 && node->first_child != 0) {
        fprintf(out, ", self %s", format_value(flame, node->self).text);
    }
    if (flame->tree->has_baseline) {
        int64_t delta = node->value - node->before;
        fprintf(out, "\nbefore %s, %s%s", format_value(flame, node->before).text,
                delta < 0 ? "-" : "+", format_value(flame, llabs(delta)).text);
    }
    if (node->file[0] != '\0') {
        fputc('\n', out);
        put_text(out, node->file);
        if (node->line > 0) {
            fprintf(out, ":%lld", (long long)node->line);
        }
    }
}

static void put_frame(const struct flame *flame, uint32_t index, double x, double width)
{
    const struct flame_node *node = &flame->tree->nodes[index];
    FILE *out = flame->out;
    double inner = FLAME_WIDTH - 2 * FLAME_MARGIN;
    double row = flame->options->is_icicle ? node->depth : flame->rows - 1 - node->depth;
    double y = FLAME_TOP + row * FLAME_ROW;
    fprintf(out, "<g class=\"f\" role=\"img\" tabindex=\"%d\" data-x=\"%.9g\" data-w=\"%.9g\" ",
            index == 0 ? 0 : -1, x, width);
    fprintf(out, "data-d=\"%u\" data-v=\"%lld\" data-n=\"", node->depth, (long long)node->value);
    put_text(out, node->name);
    fputs("\"><title>", out);
    put_details(flame, node);
    fprintf(out, "</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%.0f\" rx=\"1\" fill=\"",
            FLAME_MARGIN + x * inner, y, width * inner, FLAME_ROW - 1);
    put_color(flame, node);
    fprintf(out, "\"/><text x=\"%.2f\" y=\"%.0f\">", FLAME_MARGIN + x * inner + 3, y + 12);
    put_label(out, node->name, width * inner);
    fputs("</text></g>\n", out);
}

static double node_part(const struct flame *flame, uint32_t index)
{
    return (double)node_width(flame, &flame->tree->nodes[index]) * flame->scale;
}

/* In a differential graph the children of a node may be wider than it, all at their larger
 * value: they share its width then. */
static double child_scale(const struct flame *flame, uint32_t index)
{
    double sum = 0;
    for (uint32_t at = flame->tree->nodes[index].first_child; at != 0;
         at = flame->tree->nodes[at].next) {
        sum += node_part(flame, at);
    }
    double own = node_part(flame, index);
    return sum > own && sum > 0 ? own / sum : 1;
}

/* Puts each frame that is wide enough, parents first; is_dry only counts. */
static void walk(struct flame *flame, bool is_dry)
{
    /* shrink: by node, how much its children are narrower than their values. */
    const struct flame_node *nodes = flame->tree->nodes;
    double min_part = flame->options->min_percent / 100;
    double *shrink = calloc(flame->tree->node_count, sizeof(*shrink));
    if (shrink == NULL) {
        return;
    }
    shrink[0] = child_scale(flame, 0);
    flame->start[0] = 0;
    size_t kept = 1;
    if (!is_dry) {
        put_frame(flame, 0, 0, 1);
    }
    uint32_t at = nodes[0].first_child;
    while (at != 0) {
        uint32_t parent = nodes[at].parent;
        double part = node_part(flame, at) * shrink[parent];
        bool is_wide = part >= min_part && part > 0;
        if (is_wide) {
            double x = flame->start[parent];
            flame->start[parent] += part;
            flame->start[at] = x;
            shrink[at] = shrink[parent] * child_scale(flame, at);
            kept++;
            if (is_dry) {
                flame->rows = nodes[at].depth + 1 > flame->rows ? nodes[at].depth + 1 : flame->rows;
            } else {
                put_frame(flame, at, x, part);
            }
        } else {
            flame->start[parent] += part;
        }
        if (is_wide && nodes[at].first_child != 0) {
            at = nodes[at].first_child;
            continue;
        }
        while (at != 0 && nodes[at].next == 0) {
            at = nodes[at].parent;
        }
        at = at != 0 ? nodes[at].next : 0;
    }
    flame->left_out = flame->tree->node_count - kept;
    free(shrink);
}

/* ---- the picture ------------------------------------------------------------ */

static void put_head(const struct flame *flame, double height)
{
    FILE *out = flame->out;
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%.0f\" "
            "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" data-icicle=\"%d\">\n<title>",
            FLAME_WIDTH, height, FLAME_WIDTH, height, flame->options->is_icicle);
    put_text(out, flame->options->title);
    fprintf(out, "</title>\n<style><![CDATA[\n%s]]></style>\n", (const char *)flame_css);
    fprintf(out, "<text class=\"title\" x=\"%.0f\" y=\"26\">", FLAME_MARGIN);
    put_text(out, flame->options->title);
    fprintf(out, "</text>\n<text class=\"faint\" x=\"%.0f\" y=\"44\">", FLAME_MARGIN);
    put_text(out, flame->options->subtitle);
    fprintf(out,
            "</text>\n"
            "<foreignObject x=\"%.0f\" y=\"49\" width=\"260\" height=\"23\">"
            "<input xmlns=\"http://www.w3.org/1999/xhtml\" type=\"search\" "
            "placeholder=\"search (regex), key /\" aria-label=\"search\"/></foreignObject>\n"
            "<text id=\"matched\" x=\"%.0f\" y=\"65\" role=\"status\"> </text>\n"
            "<text id=\"reset\" class=\"b gone\" role=\"button\" tabindex=\"0\" x=\"%.0f\" "
            "y=\"65\">zoom out (Esc)</text>\n",
            FLAME_MARGIN, FLAME_MARGIN + 270, FLAME_MARGIN + 560);
}

static void put_foot(const struct flame *flame, double height)
{
    FILE *out = flame->out;
    fprintf(out, "<text id=\"details\" x=\"%.0f\" y=\"%.0f\"> </text>\n", FLAME_MARGIN,
            height - 30);
    fprintf(out, "<text class=\"faint\" x=\"%.0f\" y=\"%.0f\">", FLAME_MARGIN, height - 10);
    if (flame->left_out > 0) {
        fprintf(out, "%s frames narrower than %.3g %% are left out (--min-width). ",
                quantity_count((int64_t)flame->left_out).text, flame->options->min_percent);
    }
    fputs("Click or Enter zooms, arrows move, / searches.</text>\n", out);
    fprintf(out, "<script><![CDATA[\n%s]]></script>\n</svg>\n", (const char *)flame_js);
}

void render_flame(FILE *out, const struct flame_tree *tree, const struct flame_options *options)
{
    struct flame flame = {.out = out, .tree = tree, .options = options, .rows = 1};
    int64_t whole = node_width(&flame, &tree->nodes[0]);
    flame.scale = whole > 0 ? 1 / (double)whole : 0;
    flame.start = calloc(tree->node_count, sizeof(*flame.start));
    for (size_t i = 1; i < tree->node_count; i++) {
        int64_t delta = llabs(tree->nodes[i].value - tree->nodes[i].before);
        flame.delta_max = delta > flame.delta_max ? delta : flame.delta_max;
    }
    if (flame.start != NULL) {
        walk(&flame, true);
        double height = FLAME_TOP + flame.rows * FLAME_ROW + FLAME_BOTTOM;
        put_head(&flame, height);
        walk(&flame, false);
        put_foot(&flame, height);
    }
    free(flame.start);
}
