#include "render/render.h"
#include "render/render_findings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SARIF_BASE "SRCROOT"

/* Characters of a path that a URI may contain as they are. Source: RFC 3986, 3.3. */
static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || strchr("-._~/!$&'()*+,;=@", c) != NULL;
}

/* Returns prefix and the encoded path; the caller frees it. */
static char *uri_of(const char *prefix, const char *path, const char *suffix)
{
    size_t used = strlen(prefix);
    char *uri = malloc(used + strlen(path) * 3 + strlen(suffix) + 1);
    if (uri == NULL) {
        return NULL;
    }
    memcpy(uri, prefix, used);
    for (const unsigned char *c = (const unsigned char *)path; *c != '\0'; c++) {
        if (is_plain(*c)) {
            uri[used++] = (char)*c;
        } else {
            used += (size_t)sprintf(uri + used, "%%%02X", *c);
        }
    }
    strcpy(uri + used, suffix);
    return uri;
}

struct sarif {
    struct report_tree *tree;
    const char *folder;
};

static void write_text_object(struct report_tree *tree, const char *key, const char *text)
{
    tree_object(tree, key);
    tree_text(tree, "text", text);
    tree_end(tree);
}

static void write_artifact(const struct sarif *sarif, const char *file)
{
    size_t length = sarif->folder != NULL ? strlen(sarif->folder) : 0;
    bool is_below =
        length > 0 && strncmp(file, sarif->folder, length) == 0 && file[length] == '/';
    bool is_relative = is_below || file[0] != '/';
    char *uri = uri_of(is_relative ? "" : "file://", is_below ? file + length + 1 : file, "");
    tree_object(sarif->tree, "artifactLocation");
    tree_text(sarif->tree, "uri", uri != NULL ? uri : "");
    if (is_below) {
        tree_text(sarif->tree, "uriBaseId", SARIF_BASE);
    }
    tree_end(sarif->tree);
    free(uri);
}

static void write_location(const struct sarif *sarif, const char *key,
                           const struct report_frame *frame)
{
    struct report_tree *tree = sarif->tree;
    tree_object(tree, key);
    if (frame->file != NULL) {
        tree_object(tree, "physicalLocation");
        write_artifact(sarif, frame->file);
        if (frame->line > 0) {
            tree_object(tree, "region");
            tree_integer(tree, "startLine", frame->line);
            tree_end(tree);
        }
        tree_end(tree);
    }
    if (frame->function != NULL) {
        tree_array(tree, "logicalLocations");
        tree_object(tree, NULL);
        tree_text(tree, "fullyQualifiedName", frame->function);
        tree_text(tree, "kind", "function");
        tree_end(tree);
        tree_end(tree);
    }
    tree_end(tree);
}

static void write_stack(const struct sarif *sarif, const char *title,
                        const struct report_frame *frames, size_t count)
{
    struct report_tree *tree = sarif->tree;
    if (count == 0) {
        return;
    }
    tree_object(tree, NULL);
    write_text_object(tree, "message", title);
    tree_array(tree, "frames");
    for (size_t i = 0; i < count; i++) {
        tree_object(tree, NULL);
        write_location(sarif, "location", &frames[i]);
        if (frames[i].module != NULL) {
            tree_text(tree, "module", frames[i].module);
        }
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
}

static void write_result(const struct sarif *sarif, const struct finding *finding)
{
    struct report_tree *tree = sarif->tree;
    char fingerprint[20];
    bool is_error = finding->rule >= FINDING_DOUBLE_FREE && finding->rule <= FINDING_MISMATCHED_FREE;
    tree_object(tree, NULL);
    tree_text(tree, "ruleId", finding_rule_name(finding->rule));
    tree_integer(tree, "ruleIndex", (int64_t)finding->rule);
    tree_text(tree, "level", "error");
    write_text_object(tree, "message", finding->message);
    tree_array(tree, "locations");
    if (finding->place != NULL) {
        write_location(sarif, NULL, finding->place);
    }
    tree_end(tree);
    tree_array(tree, "stacks");
    write_stack(sarif, is_error ? "released" : "allocated", finding->frames, finding->frame_count);
    write_stack(sarif, "allocated", finding->origin, finding->origin_count);
    tree_end(tree);
    tree_object(tree, "partialFingerprints");
    snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, finding->fingerprint);
    tree_text(tree, "memtrackStack/v1", fingerprint);
    tree_end(tree);
    tree_integer(tree, "occurrenceCount", finding->blocks > 0 ? finding->blocks : 1);
    tree_object(tree, "properties");
    tree_integer(tree, "bytes", finding->bytes);
    tree_integer(tree, "blocks", finding->blocks);
    tree_text(tree, "limit", finding->limit);
    if (finding->held_by != NULL) {
        tree_text(tree, "heldBy", finding->held_by);
    }
    tree_end(tree);
    tree_end(tree);
}

static void write_tool(struct report_tree *tree)
{
    tree_object(tree, "tool");
    tree_object(tree, "driver");
    tree_text(tree, "name", "memtrack");
    tree_text(tree, "semanticVersion", MEMTRACK_VERSION);
    tree_array(tree, "rules");
    for (int i = 0; i < FINDING_RULES; i++) {
        tree_object(tree, NULL);
        tree_text(tree, "id", finding_rule_name((enum finding_rule)i));
        write_text_object(tree, "shortDescription", finding_rule_text((enum finding_rule)i));
        tree_object(tree, "defaultConfiguration");
        tree_text(tree, "level", "error");
        tree_end(tree);
        tree_end(tree);
    }
    tree_end(tree);
    tree_end(tree);
    tree_end(tree);
}

void render_sarif(FILE *out, const struct findings *findings, const char *folder)
{
    struct render_json json;
    render_json_init(&json, out);
    struct report_tree *tree = &json.tree;
    const struct sarif sarif = {tree, folder};
    tree_object(tree, NULL);
    tree_text(tree, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    tree_text(tree, "version", "2.1.0");
    tree_array(tree, "runs");
    tree_object(tree, NULL);
    write_tool(tree);
    if (folder != NULL) {
        char *uri = uri_of("file://", folder, "/");
        tree_object(tree, "originalUriBaseIds");
        tree_object(tree, SARIF_BASE);
        tree_text(tree, "uri", uri != NULL ? uri : "");
        tree_end(tree);
        tree_end(tree);
        free(uri);
    }
    tree_array(tree, "invocations");
    tree_object(tree, NULL);
    tree_text(tree, "commandLine", findings->arguments);
    tree_boolean(tree, "executionSuccessful", true);
    tree_end(tree);
    tree_end(tree);
    tree_array(tree, "results");
    for (size_t i = 0; i < findings->count; i++) {
        write_result(&sarif, &findings->items[i]);
    }
    tree_end(tree);
    tree_end(tree);
    tree_end(tree);
    tree_end(tree);
    render_json_finish(&json);
}
