#!/usr/bin/env python3
"""What an allocation costs: runs cost_model alone and under memtrack, in turn, and writes
the table of docs/performance.md between its markers.

    tests/bench/cost.py [--runs N] [--no-docs]
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(PROJECT, "build")
PROGRAM = os.path.join(BUILD, "tests", "bench", "cost_model")
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
PAGE = os.path.join(PROJECT, "docs", "performance.md")
BEGIN = "<!-- cost: written by tests/bench/cost.py, do not edit by hand -->"
END = "<!-- end of cost -->"
TOOLS = {
    "alone": [],
    "exact": ["--no-cpu", "--leaks=off"],
    "all defaults": [],
    "--sample 512k": ["--sample", "512k", "--no-cpu", "--leaks=off"],
}
WORDS = {
    "depth": "frames between main and malloc, every pair from one site",
    "sites": "stacks in turn, 15 to 29 frames deep, every pair from another than before",
    "live": "live blocks of 64 bytes, a random one replaced each time",
    "threads": "threads at once, 1 000 live blocks each",
}


def run(tool, recording):
    command = [PROGRAM]
    if tool != "alone":
        command = [MEMTRACK, "run", "-q", "-f", "--report=none", "-o", recording,
                   *TOOLS[tool], "--", PROGRAM]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {tuple(line.split()[:2]): float(line.split()[2]) for line in output.splitlines()}


def table(figures, runs):
    lines = [BEGIN,
             f"Nanoseconds of the thread's CPU time for a pair of `malloc(64)` and `free`; medians of "
             f"{runs} runs, each the best of 7 rounds. *Exact* is without CPU samples and leak scan.",
             "",
             "| | alone | exact | added | all defaults | sampled, one per 512 KiB | added |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    dimension = None
    for key in figures["alone"]:
        if key[0] != dimension:
            dimension = key[0]
            lines.append(f"| **{dimension}**: {WORDS[dimension]} | | | | | | |")
        alone, exact, default, sampled = (figures[tool][key] for tool in TOOLS)
        lines.append(f"| {int(key[1]):,} | {alone:.1f} | {exact:.1f} | **{exact - alone:.1f}** | {default:.1f} | "
                     f"{sampled:.1f} | **{sampled - alone:.1f}** |")
    return "\n".join([*lines, END])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-docs", action="store_true", help="print only")
    options = parser.parse_args()
    if not os.path.exists(PROGRAM):
        sys.exit("cost.py: build/tests/bench/cost_model is missing: build the project first (scripts/quickstart.sh)")
    samples = {tool: {} for tool in TOOLS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.runs):
            for tool in TOOLS:
                for key, value in run(tool, os.path.join(folder, "cost.mtk")).items():
                    samples[tool].setdefault(key, []).append(value)
    figures = {tool: {key: statistics.median(values) for key, values in keys.items()}
               for tool, keys in samples.items()}
    text = table(figures, options.runs)
    print(text)
    if options.no_docs:
        return
    with open(PAGE, encoding="utf-8") as page:
        old = page.read()
    if BEGIN not in old or END not in old:
        sys.exit(f"cost.py: {PAGE} has no place for this table: it needs the lines {BEGIN} and {END}")
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(before + text + after)


if __name__ == "__main__":
    main()
