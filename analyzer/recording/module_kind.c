#include "recording/rows.h"

#include <ctype.h>
#include <string.h>

/* Library names up to the first character that is not part of the name proper, so that
 * "libc.so.6" and "libc-2.31.so" are libc and "libcrypt.so" is not. */
static const struct {
    const char *name;
    enum recording_module_kind kind;
} module_names[] = {
    {"libc", RECORDING_MODULE_LIBC},
    {"libm", RECORDING_MODULE_LIBC},
    {"ld-linux", RECORDING_MODULE_LIBC},
    {"ld-linux-x86-64", RECORDING_MODULE_LIBC},
    {"ld-musl-x86_64", RECORDING_MODULE_LIBC},
    {"libpthread", RECORDING_MODULE_LIBC},
    {"libdl", RECORDING_MODULE_LIBC},
    {"librt", RECORDING_MODULE_LIBC},
    {"libresolv", RECORDING_MODULE_LIBC},
    {"libnsl", RECORDING_MODULE_LIBC},
    {"[vdso]", RECORDING_MODULE_LIBC},
    {"linux-vdso", RECORDING_MODULE_LIBC},
    {"libstdc++", RECORDING_MODULE_CXX_RUNTIME},
    {"libc++", RECORDING_MODULE_CXX_RUNTIME},
    {"libc++abi", RECORDING_MODULE_CXX_RUNTIME},
    {"libgcc_s", RECORDING_MODULE_CXX_RUNTIME},
    {"libsupc++", RECORDING_MODULE_CXX_RUNTIME},
    {"libjemalloc", RECORDING_MODULE_ALLOCATOR},
    {"libtcmalloc", RECORDING_MODULE_ALLOCATOR},
    {"libtcmalloc_minimal", RECORDING_MODULE_ALLOCATOR},
    {"libtcmalloc_and_profiler", RECORDING_MODULE_ALLOCATOR},
    {"libtcmalloc_debug", RECORDING_MODULE_ALLOCATOR},
    {"libtcmalloc_minimal_debug", RECORDING_MODULE_ALLOCATOR},
    {"libmimalloc", RECORDING_MODULE_ALLOCATOR},
    {"libhardened_malloc", RECORDING_MODULE_ALLOCATOR},
    {"libmemtrack", RECORDING_MODULE_TRACKER},
    {"libmemtrack-repeat", RECORDING_MODULE_TRACKER},
};

static bool module_name_matches(const char *file, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(file, name, length) != 0) {
        return false;
    }
    const char *rest = file + length;
    /* A version may come between name and suffix: "libc-2.31.so", "libtcmalloc-4.so". */
    if (rest[0] == '-' && isdigit((unsigned char)rest[1])) {
        rest += strspn(rest, "-.0123456789");
        return strncmp(rest, "so", 2) == 0;
    }
    return rest[0] == '\0' || strncmp(rest, ".so", 3) == 0;
}

enum recording_module_kind recording_module_kind_of(const char *path)
{
    if (path == NULL) {
        return RECORDING_MODULE_PROGRAM;
    }
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < sizeof(module_names) / sizeof(module_names[0]); i++) {
        if (module_name_matches(file, module_names[i].name)) {
            return module_names[i].kind;
        }
    }
    return RECORDING_MODULE_PROGRAM;
}
