#!/usr/bin/env python3
"""Measures diff, growth, snapshots of a running process and the size of a long recording.

usage: snapshots.py BUILD [PAGE]

Prints a table in Markdown. With PAGE: puts it between the page's markers
<!-- snapshots: begin --> and <!-- snapshots: end -->.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
BENCH = os.path.join(BUILD, "tests", "bench")
REPEATS = 4


def best(command):
    """The least wall time and CPU time of some runs, in seconds."""
    walls, cpus = [], []
    for _ in range(REPEATS):
        before, start = os.times(), time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = os.times()
        walls.append(time.monotonic() - start)
        cpus.append(after.children_user + after.children_system
                    - before.children_user - before.children_system)
    return min(walls), min(cpus)


def seconds(pair):
    return "%.2f s (CPU %.2f s)" % pair


def measure_snapshot(folder):
    """Time of a snapshot without names, and the program's longest step with and without."""
    program = os.path.join(BENCH, "many_sites")
    longest = {}
    pair, taken = None, None
    for takes in (False, True):
        run = subprocess.Popen([MEMTRACK, "run", "-q", "--report=none", "--no-cpu", "--leaks=off",
                                "--snapshot-every", "1h", "-f", "-o",
                                os.path.join(folder, "many.mtk"), "--", program, "12"],
                               stdout=subprocess.PIPE)
        time.sleep(2)
        if takes:
            listed = json.loads(subprocess.run([MEMTRACK, "list", "--format", "json"],
                                               stdout=subprocess.PIPE, check=True).stdout)
            pid = [process["pid"] for process in listed["processes"]
                   if process["program"].endswith("many_sites")][0]
            taken = os.path.join(folder, "taken.mtk")
            pair = best([MEMTRACK, "snapshot", str(pid), "-q", "-f", "--no-names", "-o", taken])
        longest[takes] = run.communicate()[0].decode().strip()
    report = json.loads(subprocess.run([MEMTRACK, "report", taken,
                                        "--format", "json"], stdout=subprocess.PIPE,
                                       check=True).stdout)
    return pair, len(report["sites"]), longest


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
        taken, sites, longest = measure_snapshot(folder)
        rows.append(("snapshot of %d sites of a running process, without names" % sites, "50 ms",
                     "%.0f ms (CPU %.0f ms)" % (taken[0] * 1e3, taken[1] * 1e3)))
        rows.append(("the program's longest step meanwhile (without a snapshot)", "1 ms",
                     "%s (%s)" % (longest[True], longest[False])))
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
