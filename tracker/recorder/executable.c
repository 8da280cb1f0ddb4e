#include "recorder/executable.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What the kernel reads of a script's first line, and how many interpreters that are
 * scripts themselves it follows. Source: include/uapi/linux/binfmts.h, fs/exec.c. */
#define SCRIPT_LINE_BYTES 256
#define SCRIPT_DEPTH_MAX 5

/* ---- finding -------------------------------------------------------------- */

/* Returns 0 when path can be executed, else the errno that a shell would report. */
static int candidate_errno(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return errno;
    }
    if (S_ISDIR(status.st_mode)) {
        return EISDIR;
    }
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0) {
        return errno;
    }
    return 0;
}

static int refuse_candidate(const char *name, int reason, struct mt_error *error)
{
    switch (reason) {
    case ENOENT:
    case ENOTDIR:
        return mt_error_set(error, -ENOENT, MT_STATUS_NOT_FOUND, "%s: not found: check the name or PATH",
                           name);
    case EISDIR:
        return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE, "%s: is a directory: name a program", name);
    case EACCES:
        return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE,
                           "%s: permission denied: make it executable (chmod +x)", name);
    default:
        return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE, "%s: cannot be executed: %s", name,
                           strerror(reason));
    }
}

int executable_find(const char *name, const char *search_path, struct executable *found,
                    struct mt_error *error)
{
    if (name[0] == '\0') {
        return refuse_candidate("''", ENOENT, error);
    }
    if (strchr(name, '/') != NULL) {
        if (snprintf(found->path, sizeof found->path, "%s", name) >= (int)sizeof found->path) {
            return refuse_candidate(name, ENAMETOOLONG, error);
        }
        int reason = candidate_errno(name);
        return reason == 0 ? 0 : refuse_candidate(name, reason, error);
    }
    char system_path[256];
    if (search_path == NULL) {
        if (confstr(_CS_PATH, system_path, sizeof system_path) == 0) {
            snprintf(system_path, sizeof system_path, "/bin:/usr/bin");
        }
        search_path = system_path;
    }
    int refused = ENOENT;
    for (const char *folder = search_path;;) {
        size_t length = strcspn(folder, ":");
        int written = length == 0 ? snprintf(found->path, sizeof found->path, "./%s", name)
                                  : snprintf(found->path, sizeof found->path, "%.*s/%s",
                                             (int)length, folder, name);
        if (written > 0 && written < (int)sizeof found->path) {
            int reason = candidate_errno(found->path);
            if (reason == 0) {
                return 0;
            }
            /* As execvp: go on, but remember that there was one without permission. */
            if (reason == EACCES) {
                refused = EACCES;
            }
        }
        if (folder[length] == '\0') {
            return refuse_candidate(name, refused, error);
        }
        folder += length + 1;
    }
}

/* ---- checking ------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* A program that gains privileges: the loader then ignores a preload from anywhere but
 * the system's own folders. */
static int check_privileges(int fd, const char *path, struct mt_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return 0;
    }
    const char *kind = NULL;
    if ((status.st_mode & S_ISUID) != 0) {
        kind = "set-uid";
    } else if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
        kind = "set-gid";
    } else if (fgetxattr(fd, "security.capability", NULL, 0) > 0) {
        kind = "given capabilities (setcap)";
    }
    if (kind == NULL) {
        return 0;
    }
    return mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                       "%s: is %s, and the loader lets nobody into such a program: track a copy"
                       " without that (cp clears it)",
                       path, kind);
}

static int check_loader(const char *path, const char *loader, struct mt_error *error)
{
    const char *name = base_name(loader);
    if (access(loader, F_OK) != 0) {
        return mt_error_set(error, -ENOENT, MT_STATUS_NOT_FOUND,
                           "%s: its loader %s is missing: install that C library", path, loader);
    }
    if (strncmp(name, "ld-musl", 7) == 0) {
        return mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                           "%s: is linked with musl (%s), memtrack needs glibc: build it on a"
                           " glibc system to track it",
                           path, loader);
    }
    if (strncmp(name, "linker", 6) == 0) {
        return mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                           "%s: is linked with Android's libc (%s), memtrack needs glibc: build it"
                           " for glibc to track it",
                           path, loader);
    }
    return 0;
}

/* The loader run as a program ("/lib64/ld-linux-x86-64.so.2 ./app") has no loader of its
 * own, and honours LD_PRELOAD. */
static bool is_loader(const char *path)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved) == NULL) {
        return false;
    }
    const char *name = base_name(resolved);
    return strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld-2.", 5) == 0;
}

static int refuse_damaged(const char *path, struct mt_error *error)
{
    return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE,
                       "%s: is a damaged or truncated ELF file: build or install it again", path);
}

static int check_program_headers(int fd, Elf *elf, const GElf_Ehdr *file_header,
                                 const char *path, struct mt_error *error)
{
    size_t count = 0;
    /* libelf leaves out what is beyond a truncated file's end. */
    if (elf_getphdrnum(elf, &count) != 0
        || (file_header->e_phnum != PN_XNUM && file_header->e_phnum != count)) {
        return refuse_damaged(path, error);
    }
    for (size_t i = 0; i < count && i <= INT_MAX; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) == NULL) {
            return refuse_damaged(path, error);
        }
        if (header.p_type != PT_INTERP) {
            continue;
        }
        char loader[PATH_MAX] = "";
        if (header.p_filesz == 0 || header.p_filesz > sizeof loader || header.p_offset > INT64_MAX
            || pread(fd, loader, header.p_filesz, (off_t)header.p_offset)
                   != (ssize_t)header.p_filesz
            || memchr(loader, '\0', sizeof loader) == NULL) {
            return refuse_damaged(path, error);
        }
        return check_loader(path, loader, error);
    }
    if (is_loader(path)) {
        return 0;
    }
    return mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                       "%s: is statically linked, so that nothing can be loaded into it: link it"
                       " dynamically to track it",
                       path);
}

/* Whether one of the libraries that the executable names begins so. */
static bool is_needed(Elf *elf, const char *prefix)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_DYNAMIC
            || header.sh_entsize == 0) {
            continue;
        }
        Elf_Data *data = elf_getdata(section, NULL);
        GElf_Dyn entry;
        for (int i = 0; data != NULL && gelf_getdyn(data, i, &entry) != NULL; i++) {
            const char *name = entry.d_tag == DT_NEEDED
                                   ? elf_strptr(elf, header.sh_link, entry.d_un.d_val)
                                   : NULL;
            if (name != NULL && strncmp(name, prefix, strlen(prefix)) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int check_elf(int fd, const char *path, const unsigned char *identity, struct mt_error *error)
{
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    if (elf == NULL) {
        return refuse_damaged(path, error);
    }
    GElf_Ehdr header;
    int result;
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == NULL) {
        result = refuse_damaged(path, error);
    } else if (header.e_machine == EM_386
               || (header.e_machine == EM_X86_64 && identity[EI_CLASS] == ELFCLASS32)) {
        result = mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                             "%s: is a 32-bit program, memtrack tracks 64-bit ones: build it"
                             " with -m64",
                             path);
    } else if (header.e_machine != EM_X86_64) {
        result = mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                             "%s: is built for another machine (ELF machine %d), memtrack tracks"
                             " x86-64 programs: build it for this one",
                             path, header.e_machine);
    } else if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        result = mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE,
                             "%s: is no program but an object or core file: link it first", path);
    } else if (is_needed(elf, "libasan.so")) {
        result = mt_error_set(error, -EACCES, MT_STATUS_FAILED,
                             "%s: is built with AddressSanitizer, which replaces the allocator and"
                             " ends programs that preload one: build it without -fsanitize=address",
                             path);
    } else {
        result = check_program_headers(fd, elf, &header, path, error);
    }
    elf_end(elf);
    return result;
}

/* Cuts the interpreter's path out of a script's first line, in place. NULL: none named. */
static char *script_interpreter(char *line)
{
    char *start = line + 2;
    start += strspn(start, " \t");
    start[strcspn(start, " \t\n")] = '\0';
    return start[0] == '\0' ? NULL : start;
}

int executable_check(const char *path, struct mt_error *error)
{
    char line[SCRIPT_LINE_BYTES + 1];
    char current[PATH_MAX];
    snprintf(current, sizeof current, "%s", path);
    for (int depth = 0; depth <= SCRIPT_DEPTH_MAX; depth++) {
        int fd = open(current, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
            /* Executable but not readable: only running it will tell. */
            return 0;
        }
        ssize_t length = pread(fd, line, SCRIPT_LINE_BYTES, 0);
        line[length < 0 ? 0 : length] = '\0';
        bool is_script = length >= 2 && line[0] == '#' && line[1] == '!';
        bool is_elf = length >= EI_NIDENT && memcmp(line, ELFMAG, SELFMAG) == 0;
        int result = 0;
        if (is_elf) {
            /* The bits of a script itself have no effect, those of a binary do. */
            result = check_privileges(fd, current, error);
            if (result == 0) {
                result = check_elf(fd, current, (const unsigned char *)line, error);
            }
        }
        close(fd);
        if (!is_script) {
            if (result != 0 && depth > 0) {
                struct mt_error reason = *error;
                *error = (struct mt_error){0};
                mt_error_set(error, reason.code, reason.status, "%s: its interpreter is %s", path,
                             reason.text);
            }
            return result;
        }
        const char *interpreter = script_interpreter(line);
        if (interpreter == NULL) {
            return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE,
                               "%s: names no interpreter after #!: correct its first line",
                               current);
        }
        int reason = candidate_errno(interpreter);
        if (reason != 0) {
            return mt_error_set(error, -reason,
                                reason == ENOENT ? MT_STATUS_NOT_FOUND : MT_STATUS_NOT_EXECUTABLE,
                                "%s: its interpreter %s cannot be executed (%s): install it or"
                                " correct the script's first line",
                                path, interpreter, strerror(reason));
        }
        snprintf(current, sizeof current, "%s", interpreter);
    }
    return mt_error_set(error, -EACCES, MT_STATUS_NOT_EXECUTABLE,
                       "%s: its interpreter is a script whose interpreter is a script, too often:"
                       " correct its first line",
                       path);
}

int executable_is_plain_script(const char *path)
{
    char line[SCRIPT_LINE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return 0;
    }
    ssize_t length = pread(fd, line, sizeof line, 0);
    close(fd);
    if (length < 0) {
        return 0;
    }
    const char *newline = memchr(line, '\n', (size_t)length);
    size_t first_line = newline == NULL ? (size_t)length : (size_t)(newline - line);
    return memchr(line, '\0', first_line) == NULL;
}
