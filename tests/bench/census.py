#!/usr/bin/env python3
"""Measures leak scans of a running program: how long it stands still, the scan, its memory.

usage: census.py BUILD [PAGE]

Prints a table in Markdown. With PAGE: puts it between the page's markers
<!-- census: begin --> and <!-- census: end -->.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

BUILD = sys.argv[1]
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
HEAP = os.path.join(BUILD, "tests", "bench", "census_heap")
BLOCKS = 5_000_000
REPEATS = 5


class ChildMemory(threading.Thread):
    """The most memory that a child of the process had to itself, in KiB."""

    def __init__(self, pid):
        super().__init__()
        self.children = "/proc/%d/task/%d/children" % (pid, pid)
        self.most = 0
        self.is_over = False

    def run(self):
        while not self.is_over:
            try:
                with open(self.children, encoding="ascii") as file:
                    for child in file.read().split():
                        with open("/proc/%s/smaps_rollup" % child, encoding="ascii") as rollup:
                            own = sum(int(line.split()[1]) for line in rollup
                                      if line.startswith("Private_"))
                            self.most = max(self.most, own)
            except OSError:
                pass
            time.sleep(0.05)


def measure(folder):
    """Pauses and scans of some rounds, in seconds, and the child's memory in KiB."""
    place = os.path.join(folder, "pid")
    recorder = subprocess.Popen([MEMTRACK, "run", "-q", "--report=none", "-o",
                                 os.path.join(folder, "run.mtk"), "--", HEAP, str(BLOCKS), place])
    while not os.path.exists(place) or os.path.getsize(place) == 0:
        time.sleep(0.1)
    with open(place, encoding="ascii") as file:
        pid = int(file.read())
    memory = ChildMemory(pid)
    rounds = []
    for i in range(REPEATS):
        if i == REPEATS - 1:  # looking at it costs time of the machine
            memory.start()
        done = subprocess.run([MEMTRACK, "leaks", str(pid), "--format=json"], check=True,
                              stdout=subprocess.PIPE)
        leaks = json.loads(done.stdout)
        assert leaks["leaks"]["reachable"]["blocks"] == BLOCKS, leaks["leaks"]
        rounds.append((leaks["pause_seconds"], leaks["scan_seconds"]))
    memory.is_over = True
    memory.join()
    os.kill(pid, 9)
    recorder.wait()
    return [one[0] for one in rounds], [one[1] for one in rounds[:-1]], memory.most


def main():
    with tempfile.TemporaryDirectory() as folder:
        pauses, scans, kib = measure(folder)
    rows = [
        "| a program with 1 GB in 5 M blocks | wanted | measured |",
        "|---|---|---|",
        "| stands still for one scan | at most 20 ms | %.1f to %.1f ms |"
        % (min(pauses) * 1e3, max(pauses) * 1e3),
        "| the scan, on one core | at most 2 s | %.2f to %.2f s |" % (min(scans), max(scans)),
        "| memory of the scan's child, meanwhile | bounded | %.0f MiB |" % (kib / 1024)]
    text = "\n".join(rows) + "\n"
    print(text, end="")
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            page = file.read()
        begin, end = "<!-- census: begin -->\n", "<!-- census: end -->"
        head, rest = page.split(begin, 1)
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(head + begin + text + end + rest.split(end, 1)[1])


if __name__ == "__main__":
    main()
