"""The tools that are compared: how each runs a command, and where its output goes."""

import glob
import os
import shutil
import subprocess


class Tool:
    """Runs a command. Subclasses say how.

    A launcher stands before the command; its own CPU time is the helpers'.
    """

    def __init__(self, name, text, is_slow=False):
        self.name = name
        self.text = text
        self.is_slow = is_slow

    def is_installed(self):
        return True

    def launcher(self, output):
        return []

    def environment(self, output):
        return {}

    def helper(self, output):
        """The command of a helper process beside the program, or None."""
        return None


class Memtrack(Tool):
    def __init__(self, name, text, memtrack, options, help_text):
        super().__init__(name, text)
        self.memtrack = memtrack
        self.options = options
        self.help_text = help_text

    def is_installed(self):
        return os.path.exists(self.memtrack) and all(
            option.split("=")[0] in self.help_text for option in self.options
            if option.startswith("--"))

    def launcher(self, output):
        return [self.memtrack, "run", "-q", "--report=none", "-o", os.path.join(output, "run.mtk"),
                *self.options, "--"]


class Preload(Tool):
    def __init__(self, name, text, pattern, variables, is_slow=False):
        super().__init__(name, text, is_slow)
        found = glob.glob(pattern)
        self.library = found[0] if found else None
        self.variables = variables

    def is_installed(self):
        return self.library is not None

    def environment(self, output):
        variables = {name: value.replace("{output}", output)
                     for name, value in self.variables.items()}
        return dict(variables, LD_PRELOAD=self.library)


class Heaptrack(Tool):
    """What the `heaptrack` script does, with its parts measured apart: the program with
    heaptrack's library, and heaptrack_interpret and zstd behind a pipe."""

    LIBRARY = "/usr/lib/heaptrack/libheaptrack_preload.so"
    INTERPRETER = "/usr/lib/heaptrack/libexec/heaptrack_interpret"

    def is_installed(self):
        return os.path.exists(self.LIBRARY) and os.path.exists(self.INTERPRETER)

    def environment(self, output):
        return {"LD_PRELOAD": self.LIBRARY,
                "DUMP_HEAPTRACK_OUTPUT": os.path.join(output, "pipe")}

    def helper(self, output):
        pipe = os.path.join(output, "pipe")
        os.mkfifo(pipe)
        compressor = "zstd -qc" if shutil.which("zstd") else "gzip -c"
        return ["/bin/sh", "-c", "\"$1\" < \"$2\" | %s > \"$3\"" % compressor, "sh",
                self.INTERPRETER, pipe, os.path.join(output, "heaptrack.data")]


class Massif(Tool):
    def is_installed(self):
        return shutil.which("valgrind") is not None

    def launcher(self, output):
        return [shutil.which("valgrind"), "-q", "--tool=massif",
                "--massif-out-file=" + os.path.join(output, "massif.out")]


def all_tools(memtrack):
    help_text = ""
    if os.path.exists(memtrack):
        help_text = subprocess.run([memtrack, "run", "--help"], stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, check=False).stdout
    libraries = "/usr/lib/x86_64-linux-gnu/"
    return [
        Tool("untracked", "the program alone"),
        Memtrack("memtrack", "every allocation, full stacks, all defaults", memtrack, [], help_text),
        Memtrack("memtrack --no-cpu", "the same without CPU samples", memtrack, ["--no-cpu"],
                 help_text),
        Memtrack("memtrack --sample 512k", "one allocation per 512 KiB on average", memtrack,
                 ["--sample", "512k"], help_text),
        Heaptrack("heaptrack", "heaptrack: every allocation, full stacks"),
        Preload("jemalloc prof", "jemalloc's heap profiler, one allocation per 512 KiB on average",
                libraries + "libjemalloc.so.2",
                {"MALLOC_CONF": "prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:{output}/jeprof"}),
        Preload("gperftools", "gperftools' heap profiler: every allocation", libraries + "libtcmalloc.so.4",
                {"HEAPPROFILE": "{output}/gperftools"}, is_slow=True),
        Preload("LeakSanitizer", "gcc's liblsan by preload: leaks only", libraries + "liblsan.so.0",
                {"LSAN_OPTIONS": "exitcode=0:log_path={output}/lsan"}),
        Massif("massif", "valgrind --tool=massif", is_slow=True),
    ]
