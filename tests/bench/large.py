#!/usr/bin/env python3
"""Measures what memtrack does with large inputs.

usage: large.py BUILD FOLDER [PAGE]

FOLDER gets the inputs, 1.5 GB, and keeps them: a recording of 100 000 sites, a million nodes and
500 snapshots (recording_bench), and a program with a gigabyte of debug information
(large_debug.sh). Prints tables in Markdown. With PAGE: puts them between the page's markers
<!-- large: begin --> and <!-- large: end -->.
"""

import os
import shutil
import subprocess
import sys
import time

BUILD = os.path.abspath(sys.argv[1])
FOLDER = os.path.abspath(sys.argv[2])
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
BENCH = os.path.join(BUILD, "tests", "bench")
HERE = os.path.dirname(os.path.abspath(__file__))
REPEATS = 2


def once(command, environment):
    """Wall seconds, CPU seconds and peak RSS in MiB of one process and its children."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execvpe(command[0], command, environment)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit("large.py: %s: status %d" % (" ".join(command), status))
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def best(command, environment=None):
    """The run that took the least wall time."""
    return min(once(command, environment or os.environ) for _ in range(REPEATS))


def row(what, measured):
    return "| %s | %.2f s | %.2f s | %.0f MiB |" % ((what,) + measured)


def head(what):
    return ["| %s | wall | CPU | peak RSS |" % what, "|---|---:|---:|---:|"]


def measure_recording():
    path = os.path.join(FOLDER, "large.mtk")
    output = os.path.join(FOLDER, "output")
    if not os.path.exists(path):
        subprocess.run([os.path.join(BENCH, "recording_bench"), "100000", "500", path, "10"],
                       check=True, stdout=subprocess.DEVNULL)
    commands = [
        ("`report`", ["report", path]),
        ("`report --format json`", ["report", "--format", "json", path]),
        ("`report --format csv`", ["report", "--format", "csv", path]),
        ("`report --html`", ["report", "--html", output, path]),
        ("`leaks`", ["leaks", path]),
        ("`diff` of two snapshots", ["diff", path + "@0", path + "@exit"]),
        ("`growth`", ["growth", path]),
        ("`flame`", ["flame", "-f", "-o", output, path]),
    ]
    for form in ("pprof", "collapsed", "speedscope", "dhat", "callgrind", "heaptrack", "massif"):
        commands.append(("`export --format %s`" % form,
                         ["export", "--format", form, "-f", "-o", output, path]))
    lines = head("recording of %.0f MiB" % (os.path.getsize(path) / 2 ** 20))
    for what, arguments in commands:
        lines.append(row(what, best([MEMTRACK] + arguments)))
    os.unlink(output)
    return lines


def measure_debug():
    subprocess.run([os.path.join(HERE, "large_debug.sh"), FOLDER], check=True,
                   stdout=subprocess.DEVNULL)
    program = os.path.join(FOLDER, "large")
    cache = os.path.join(FOLDER, "cache")
    run = [MEMTRACK, "run", "-q", "-f", "-o", os.path.join(FOLDER, "debug.mtk"), program]
    without = dict(os.environ, MEMTRACK_SYMBOL_CACHE="off")
    with_cache = dict(os.environ, MEMTRACK_SYMBOL_CACHE=cache)
    shutil.rmtree(cache, ignore_errors=True)
    lines = head("program with %.0f MiB of debug information" % (os.path.getsize(program) / 2 ** 20))
    lines.append(row("alone", best([program])))
    lines.append(row("`memtrack run`, nothing kept of an earlier run", best(run, without)))
    once(run, with_cache)
    lines.append(row("`memtrack run`, again", best(run, with_cache)))
    lines.append(row("100 000 addresses, one call of the symbolizer (`symbolize_bench`)",
                     best([os.path.join(BUILD, "tests", "unit", "symbolize", "symbolize_bench"),
                           program, "100000"])))
    return lines


def main():
    os.makedirs(FOLDER, exist_ok=True)
    lines = measure_recording() + [""] + measure_debug()
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as file:
            page = file.read()
        before, rest = page.split("<!-- large: begin -->\n", 1)
        after = rest.split("<!-- large: end -->", 1)[1]
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            file.write(before + "<!-- large: begin -->\n" + text + "<!-- large: end -->" + after)


main()
