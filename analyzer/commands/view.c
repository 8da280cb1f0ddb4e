#include "commands/view.h"

#include "commands/pager.h"

#include <stdlib.h>
#include <unistd.h>

int view_open(struct view *view, const struct view_options *options, bool is_text, bool overwrite,
              const char *input, struct mt_error *error)
{
    *view = (struct view){0};
    int code = output_create(&view->output, options->output, input, overwrite, error);
    if (code != 0) {
        return code;
    }
    view->look = output_render_options(view->output.file, options->color, options->is_wide);
    view->pager =
        is_text && !view->output.is_own && !options->is_unpaged ? pager_open() : NULL;
    view->file = view->pager != NULL ? pager_input(view->pager) : view->output.file;
    return 0;
}

int view_close(struct view *view, struct mt_error *error)
{
    if (view->pager != NULL) {
        pager_close(view->pager);
    }
    return output_close(&view->output, error);
}

static void view_print_json(FILE *file, const struct view_result *result)
{
    struct render_json *json = malloc(sizeof(*json));
    if (json != NULL) {
        render_json_init(json, file);
        result->write(&json->tree, result->context);
        render_json_finish(json);
        free(json);
    }
}

void view_print(FILE *file, const struct view_result *result, enum output_format format,
                const struct render_options *look)
{
    struct report_document *document = NULL;
    switch (format) {
    case OUTPUT_JSON:
        view_print_json(file, result);
        break;
    case OUTPUT_CSV:
        document = result->make_table(result->context);
        render_csv(file, document);
        break;
    case OUTPUT_MARKDOWN:
        document = result->make(result->context);
        render_markdown(file, document);
        break;
    case OUTPUT_TEXT:
    default:
        document = result->make(result->context);
        render_text(file, document, look);
        break;
    }
    if (document != NULL) {
        report_document_free(document);
    }
}

int view_show(const struct view_options *options, const struct view_result *result,
              const char *input, struct mt_error *error)
{
    struct view view;
    enum output_format format = (enum output_format)options->format;
    int code = view_open(&view, options, format == OUTPUT_TEXT, true, input, error);
    if (code != 0) {
        return code;
    }
    view_print(view.file, result, format, &view.look);
    return view_close(&view, error);
}
