#include "model/frame_kind.h"

#include <ctype.h>
#include <string.h>

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The function's qualified name inside a demangled signature: after the return type, if
 * one is printed (templates have one), which ends at the last blank that is outside of
 * brackets and before the parameters. */
static const char *qualified_name(const char *function)
{
    const char *name = function;
    int depth = 0;
    for (const char *c = function; *c != '\0'; c++) {
        if (*c == '<') {
            depth++;
        } else if (*c == '>' && depth > 0 && c[-1] != '-') {
            depth--;
        } else if (depth == 0 && *c == '(' && !starts_with(c, "(anonymous")) {
            break;
        } else if (depth == 0 && *c == ' ' && c[1] != '\0') {
            if (c - name >= 8 && strncmp(c - 8, "operator", 8) == 0) {
                break;
            }
            name = c + 1;
        }
    }
    while (*name == '*' || *name == '&') {
        name++;
    }
    return name;
}

bool frame_kind_is_allocator(const char *function, const struct model_module *module)
{
    static const char *const names[] = {
        "malloc",        "calloc",         "realloc",         "reallocarray", "memalign",
        "aligned_alloc", "posix_memalign", "valloc",          "pvalloc",      "__libc_malloc",
        "__libc_calloc", "__libc_realloc", "__libc_memalign", "mallocx",      "rallocx",
        "xallocx",       "free",           "cfree",           "__libc_free",  "free_sized",
        "dallocx",       "sdallocx",       "tc_malloc",       "tc_new",       "tc_newarray",
        "_Znwm",         "_Znam",          "_ZdlPv",          "_ZdaPv",
    };
    if (module != NULL
        && (module->kind == RECORDING_MODULE_ALLOCATOR
            || module->kind == RECORDING_MODULE_TRACKER)) {
        return true;
    }
    if (function == NULL) {
        return false;
    }
    if (starts_with(function, "operator new") || starts_with(function, "operator delete")) {
        return true;
    }
    const char *plain = starts_with(function, "je_") ? function + 3 : function;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i]);
        if (strncmp(plain, names[i], length) == 0
            && (plain[length] == '\0' || plain[length] == '@' || plain[length] == '(')) {
            return true;
        }
    }
    return false;
}

bool frame_kind_is_runtime(const char *function, const char *file,
                           const struct model_module *module)
{
    static const char *const folders[] = {"/include/c++/", "/c++/v1/", "/libstdc++-v3/",
                                          "/libcxx/",      "/libgcc/", "/usr/lib/gcc/"};
    static const char *const spaces[] = {"std::", "__gnu_cxx::", "__cxxabiv1::", "__cxxabi"};
    if (module != NULL && module->kind != RECORDING_MODULE_PROGRAM) {
        return true;
    }
    if (frame_kind_is_allocator(function, module)) {
        return true;
    }
    if (file != NULL) {
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
            if (strstr(file, folders[i]) != NULL) {
                return true;
            }
        }
    }
    if (function != NULL) {
        const char *name = qualified_name(function);
        for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
            if (starts_with(name, spaces[i])) {
                return true;
            }
        }
    }
    return false;
}
