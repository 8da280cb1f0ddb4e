#include "render/html.h"

#include <errno.h>
#include <string.h>

/* The bundled page; empty when the build had no node. */
extern const unsigned char render_page[];
extern const size_t render_page_bytes;

/* Where the data belongs; once in the page. */
static const char html_mark[] = "@MEMTRACK_DATA@";

/* Three times as fast as zlib's default, for 7 % more bytes. */
#define HTML_LEVEL 4

static const unsigned char *html_find_mark(void)
{
    return render_page_bytes == 0
               ? NULL
               : memmem(render_page, render_page_bytes, html_mark, sizeof(html_mark) - 1);
}

bool render_html_exists(void)
{
    return html_find_mark() != NULL;
}

/* ---- base64 (RFC 4648, section 4) ---------------------------------------- */

static void html_encode(const unsigned char *bytes, size_t count, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned a = bytes[0];
    unsigned b = count > 1 ? bytes[1] : 0;
    unsigned c = count > 2 ? bytes[2] : 0;
    text[0] = digits[a >> 2];
    text[1] = digits[(a & 3) << 4 | b >> 4];
    text[2] = count > 1 ? digits[(b & 15) << 2 | c >> 6] : '=';
    text[3] = count > 2 ? digits[c & 63] : '=';
}

/* Ends the line; what is buffered is one. */
static void html_flush(struct render_html *html)
{
    html->line[html->used++] = '\n';
    fwrite(html->line, 1, html->used, html->out);
    html->used = 0;
}

static void html_put_group(struct render_html *html)
{
    html_encode(html->rest, html->rest_count, html->line + html->used);
    html->used += 4;
    html->rest_count = 0;
    if (html->used == RENDER_HTML_LINE) {
        html_flush(html);
    }
}

static void html_put_bytes(struct render_html *html, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        html->rest[html->rest_count++] = bytes[i];
        if (html->rest_count == 3) {
            html_put_group(html);
        }
    }
}

/* ---- gzip ---------------------------------------------------------------- */

static void html_deflate(struct render_html *html, const char *bytes, size_t count, int flush)
{
    unsigned char chunk[16384];
    /* zlib's input is not const in its older headers; it does not write there. */
    memcpy(&html->deflate.next_in, &bytes, sizeof(bytes));
    html->deflate.avail_in = (uInt)count;
    do {
        html->deflate.next_out = chunk;
        html->deflate.avail_out = sizeof(chunk);
        if (deflate(&html->deflate, flush) == Z_STREAM_ERROR) {
            html->is_broken = true;
            return;
        }
        html_put_bytes(html, chunk, sizeof(chunk) - html->deflate.avail_out);
    } while (html->deflate.avail_out == 0);
}

static ssize_t html_write(void *cookie, const char *bytes, size_t count)
{
    html_deflate(cookie, bytes, count, Z_NO_FLUSH);
    return (ssize_t)count;
}

int render_html_init(struct render_html *html, FILE *out)
{
    const unsigned char *mark = html_find_mark();
    memset(html, 0, sizeof(*html));
    if (mark == NULL) {
        return -ENOSYS;
    }
    html->out = out;
    /* 15 + 16: the largest window, with gzip's header. */
    if (deflateInit2(&html->deflate, HTML_LEVEL, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY)
        != Z_OK) {
        return -ENOMEM;
    }
    html->sink = fopencookie(html, "w", (cookie_io_functions_t){.write = html_write});
    if (html->sink == NULL) {
        deflateEnd(&html->deflate);
        return -ENOMEM;
    }
    fwrite(render_page, 1, (size_t)(mark - render_page), out);
    render_json_init(&html->json, html->sink);
    return 0;
}

int render_html_finish(struct render_html *html)
{
    render_json_finish(&html->json);
    fclose(html->sink);
    html_deflate(html, "", 0, Z_FINISH);
    if (html->rest_count > 0) {
        html_put_group(html);
    }
    html_flush(html);
    deflateEnd(&html->deflate);
    const unsigned char *after = html_find_mark() + sizeof(html_mark) - 1;
    fwrite(after, 1, render_page_bytes - (size_t)(after - render_page), html->out);
    return html->is_broken ? -ENOMEM : 0;
}
