#!/usr/bin/env python3
"""Where the instructions of an event go: runs cost_model under callgrind and memtrack, and writes
the table of docs/performance.md between its markers.

    tests/bench/steps.py [--build DIR] [--no-docs]

Figures are those of one malloc and one free: two runs that differ in the number of pairs alone
are subtracted. memtrack leaves programs to valgrind that it runs; here a copy of the shim that
does not know valgrind's mark is put before it.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(PROJECT, "build", "tests", "bench", "cost_model")
PAGE = os.path.join(PROJECT, "docs", "performance.md")
BEGIN = "<!-- steps: written by tests/bench/steps.py, do not edit by hand -->"
END = "<!-- end of steps -->"
FEW, MANY = 100000, 300000
# This machine's first and second level; what the second one misses is "L2 misses".
CACHES = ["--I1=32768,8,64", "--D1=49152,12,64", "--LL=2097152,16,64"]
STEPS = [
    ("entering and leaving the hooks", {"malloc.c", "hook.h", "hook.c", "real.h", "cpu_mark.h"}),
    ("the stack's id: proving it unchanged",
     {"capture.c", "stack_memo.h", "stack_memo.c", "unwind.h", "kept_stack.h", "kept_stack.c"}),
    ("the live map", {"live_map.h", "live_map.c"}),
    ("the thread's state, the site's counters and share of the peak", {"track.h", "thread.h"}),
    ("the total, the peak, the clock", {"totals.h", "totals.c"}),
    ("lifetimes beyond a tick", {"track.c", "thread.c", "clock.h", "arena.h"}),
]
LINE = re.compile(r"\s*((?:(?:[\d,]+|\.)\s+){5})(\S*/(\w+)/([^/:]+)):\S+")


def counts(build, folder, pairs, live):
    """Returns {(folder, file): [instructions, L1 misses, L2 misses]} of the whole run."""
    shim = os.path.join(folder, "shim.so")
    with open(os.path.join(build, "lib", "memtrack", "libmemtrack.so"), "rb") as file:
        content = file.read()
    with open(shim, "wb") as file:
        file.write(content.replace(b"vgpreload_", b"vgpreload-"))
    out = os.path.join(folder, "callgrind.out")
    inner = ["valgrind", "-q", "--tool=callgrind", "--cache-sim=yes", *CACHES,
             "--callgrind-out-file=" + out, PROGRAM, "replace", str(pairs), str(live)]
    subprocess.run([os.path.join(build, "bin", "memtrack"), "run", "-q", "-f", "--report=none", "--no-cpu",
                    "--leaks=off", "-o", os.path.join(folder, "steps.mtk"), "--",
                    "env", "LD_PRELOAD=" + shim, *inner], check=True, stderr=subprocess.DEVNULL)
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", "--show-percs=no",
                           "--show=Ir,D1mr,D1mw,DLmr,DLmw", out],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    result = {}
    for line in text.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        numbers = [0 if number == "." else int(number.replace(",", "")) for number in found[1].split()]
        sums = result.setdefault((found[3], found[4]), [0, 0, 0])
        for i, value in enumerate([numbers[0], numbers[1] + numbers[2], numbers[3] + numbers[4]]):
            sums[i] += value
    return result


def per_pair(build, live):
    with tempfile.TemporaryDirectory() as folder:
        few = counts(build, folder, FEW, live)
        many = counts(build, folder, MANY, live)
    rows = {name: [0.0] * 3 for name, _ in STEPS}
    rows["other"] = [0.0] * 3
    rows["allocator"] = [0.0] * 3
    for key, values in many.items():
        if key[0] in ("hooks", "core", "arena"):
            name = next((name for name, files in STEPS if key[1] in files), "other")
        else:
            name = "allocator"
        for i, value in enumerate(values):
            rows[name][i] += (value - few.get(key, [0, 0, 0])[i]) / (MANY - FEW)
    # A miss less in the longer run is a miss that has nothing to do with pairs.
    return {name: [max(value, 0.0) for value in values] for name, values in rows.items()}


def table(small, large):
    lines = [BEGIN,
             "Of one `malloc(64)` and one `free`, random replacement in a stack of nine frames, as callgrind counts "
             "and simulates (48 KiB of L1 data cache, 2 MiB of L2).",
             "",
             "| step | instructions | L1 misses, 1,000 live blocks | L2 misses, 1,000,000 live blocks |",
             "|---|---:|---:|---:|"]
    total = [0.0, 0.0, 0.0]
    for name in [name for name, _ in STEPS] + ["other"]:
        cells = [small[name][0], small[name][1], large[name][2]]
        if name == "other" and cells[0] < 1:
            continue
        total = [a + b for a, b in zip(total, cells)]
        lines.append(f"| {name} | {cells[0]:.0f} | {cells[1]:.2f} | {cells[2]:.2f} |")
    lines.append(f"| **memtrack's own** | **{total[0]:.0f}** | **{total[1]:.2f}** | **{total[2]:.2f}** |")
    own = [small["allocator"][0], small["allocator"][1], large["allocator"][2]]
    lines.append(f"| the allocator's and the loop's | {own[0]:.0f} | {own[1]:.2f} | {own[2]:.2f} |")
    return "\n".join([*lines, END])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(PROJECT, "build"), help="whose memtrack to measure")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    options = parser.parse_args()
    for tool in ("valgrind", "callgrind_annotate"):
        if shutil.which(tool) is None:
            sys.exit(f"steps.py: {tool} is missing: scripts/packages.sh installs what the tests and benchmarks need")
    if not os.path.exists(PROGRAM):
        sys.exit("steps.py: build/tests/bench/cost_model is missing: build the project first (scripts/quickstart.sh)")
    text = table(per_pair(options.build, 1000), per_pair(options.build, 1000000))
    print(text)
    if options.no_docs:
        return
    with open(PAGE, encoding="utf-8") as page:
        old = page.read()
    if BEGIN not in old or END not in old:
        sys.exit(f"steps.py: {PAGE} has no place for this table: it needs the lines {BEGIN} and {END}")
    before, rest = old.split(BEGIN, 1)
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(before + text + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
