#!/usr/bin/env python3
"""Measures diff, growth, snapshots of a running process and the size of a long recording.

usage: snapshots.py BUILD [PAGE]

Prints a table in Markdown. With PAGE: puts it between the page's markers
<!-- snapshots: begin --> and <!-- snapshots: end -->.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
BENCH = os.path.join(BUILD, "tests", "bench")


SITES = 20000


def cpu_seconds():
    """What all programs have used that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def best(command, repeats=4):
    """The least wall time and CPU time of some runs, in seconds."""
    walls, cpus = [], []
    for _ in range(repeats):
        before, start = cpu_seconds(), time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        walls.append(time.monotonic() - start)
        cpus.append(cpu_seconds() - before)
    return min(walls), min(cpus)


def seconds(pair):
    return "%.2f s (CPU %.2f s)" % pair


def measure_snapshot(folder):
    """Time of a snapshot with and without names, and how long the program's steps take while
    snapshots are taken all the time, and while none is."""
    program = os.path.join(BENCH, "many_sites")
    steps = {}
    times, taken = {}, os.path.join(folder, "taken.mtk")
    for takes in (False, True):
        run = subprocess.Popen([MEMTRACK, "run", "-q", "--report=none", "--no-cpu", "--leaks=off",
                                "--snapshot-every", "1h", "-f", "-o",
                                os.path.join(folder, "many.mtk"), "--", program, "8", str(SITES)],
                               stdout=subprocess.PIPE)
        time.sleep(2)
        if takes:
            listed = json.loads(subprocess.run([MEMTRACK, "list", "--format", "json"],
                                               stdout=subprocess.PIPE, check=True).stdout)
            pid = [process["pid"] for process in listed["processes"]
                   if process["program"].endswith("many_sites")][0]
            command = [MEMTRACK, "snapshot", str(pid), "-q", "-f", "-o", taken]
            for options in ([], ["--no-names"]):
                times[len(options)] = best(command + options, 20)
        steps[takes] = [float(part) for part in run.communicate()[0].split()]
    report = json.loads(subprocess.run([MEMTRACK, "report", taken,
                                        "--format", "json"], stdout=subprocess.PIPE,
                                       check=True).stdout)
    assert len(report["sites"]) == SITES
    return times, steps


def measure():
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        large, long = os.path.join(folder, "large.mtk"), os.path.join(folder, "long.mtk")
        writer = os.path.join(BENCH, "recording_bench")
        subprocess.run([writer, "100000", "2", large], check=True, stdout=subprocess.DEVNULL)
        rows.append(("diff of two snapshots of 100 000 sites", "0.3 s",
                     seconds(best([MEMTRACK, "diff", large + "@0", large + "@1"]))))
        # The writer thins to half of the snapshots.
        subprocess.run([writer, "20000", "400", long], check=True, stdout=subprocess.DEVNULL)
        rows.append(("growth over 200 snapshots of 20 000 sites", "1 s",
                     seconds(best([MEMTRACK, "growth", long]))))
        rows.append(("that recording: 200 snapshots, 20 000 sites, a day or a year", "64 MiB",
                     "%.1f MiB" % (os.path.getsize(long) / 2 ** 20)))
        day = os.path.join(folder, "day.mtk")
        subprocess.run([os.path.join(BENCH, "long_run"), "20000", "24", day], check=True)
        rows.append(("a day by the recorder's own code and a fast clock: 20 000 sites that all go on "
                     "allocating", "64 MiB", "%.1f MiB" % (os.path.getsize(day) / 2 ** 20)))
        times, steps = measure_snapshot(folder)
        for options, what in ((0, ""), (1, ", without names")):
            rows.append(("snapshot of 20 000 sites of a running process" + what, "50 ms",
                         "%.0f ms (CPU %.0f ms)" % (times[options][0] * 1e3,
                                                    times[options][1] * 1e3)))
        for position, what in ((1, "half of the program's steps take"), (2, "99 % of them"),
                               (4, "99.99 % of them"), (5, "the longest")):
            rows.append((what + ", while snapshots are taken (while none is)", "1 ms",
                         "%.3f ms (%.3f ms)" % (steps[True][position] / 1e3,
                                                steps[False][position] / 1e3)))
    return rows


def main():
    lines = ["| what | wanted | measured |", "|---|---|---|"]
    lines += ["| %s | at most %s | %s |" % row for row in measure()]
    table = "\n".join(lines)
    print(table)
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as page:
            text = page.read()
        begin, end = "<!-- snapshots: begin -->", "<!-- snapshots: end -->"
        head, rest = text.split(begin)
        tail = rest.split(end)[1]
        with open(sys.argv[2], "w", encoding="utf-8") as page:
            page.write(head + begin + "\n" + table + "\n" + end + tail)


main()
