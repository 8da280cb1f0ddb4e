"""docs/performance.md and its plot, from bench.py's results.

Only what stands between the two markers is replaced; the text around them is people's.
"""

import math
import os

BEGIN = "<!-- measured: written by tests/bench/run.sh, do not edit by hand -->"
END = "<!-- end of what is measured -->"
COLOURS = {"memtrack": "#0b6e4f", "memtrack --no-cpu": "#4aa37f", "memtrack --sample 512k": "#9bd1b8",
           "heaptrack": "#c8553d", "jemalloc prof": "#588b8b", "gperftools": "#e0a458",
           "LeakSanitizer": "#7d6b91", "massif": "#888888"}

FRAME = """# What tracking costs

Measured, not estimated: `tests/bench/run.sh` makes this page, on any machine, with one command.
Every workload runs once under each tool, then again, and so on; the figures are medians.

%s
%s
"""


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def ratio_of(figures, tool):
    values = figures.get(tool)
    if values is None or isinstance(values, str):
        return None
    return values["wall"] / figures["untracked"]["wall"]


def table(lines, head, rows):
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|" + "---|" + "---:|" * (len(head) - 1))
    for row in rows:
        lines.append("| " + " | ".join(row) + " |")
    lines.append("")


def summary(lines, results, names):
    """Wall time as a multiple of the untracked program's: one row for a workload."""
    lines.append("### Wall time, untracked = 1\n")
    rows = []
    ratios = {name: [] for name in names}
    for workload, _, figures in results["workloads"]:
        row = [workload, "%.2f s" % figures["untracked"]["wall"]]
        for name in names:
            ratio = ratio_of(figures, name)
            row.append("-" if ratio is None else "%.2f" % ratio)
            if ratio is not None and workload != "true":
                ratios[name].append(ratio)
        rows.append(row)
    count = max((len(values) for values in ratios.values()), default=0)
    means = [geometric_mean(ratios[name]) if len(ratios[name]) == count and count else None
             for name in names]
    rows.append(["**geometric mean** (without true)", ""] +
                ["-" if mean is None else "**%.2f**" % mean for mean in means])
    table(lines, ["workload", "untracked"] + names, rows)


def overhead(lines, results, names):
    """What a tool adds, as a share of what heaptrack adds."""
    if "heaptrack" not in names:
        return
    lines.append("### Added wall time, heaptrack's = 1\n")
    rows = []
    for workload, _, figures in results["workloads"]:
        other = ratio_of(figures, "heaptrack")
        if other is None or other <= 1.02:
            continue
        row = [workload]
        for name in names:
            ratio = ratio_of(figures, name)
            row.append("-" if ratio is None else "%.2f" % ((ratio - 1) / (other - 1)))
        rows.append(row)
    table(lines, ["workload"] + names, rows)


def details(lines, results):
    lines.append("### All figures\n")
    for workload, text, figures in results["workloads"]:
        lines.append("**%s**: %s\n" % (workload, text))
        rows = []
        for name, values in figures.items():
            if isinstance(values, str):
                rows.append([name, "failed: " + values] + [""] * 5)
                continue
            rows.append([name, "%.3f" % values["wall"], "%.2f" % ratio_of(figures, name),
                         "%.3f" % values["program"], "%.3f" % values["helpers"],
                         "%.1f" % (values["rss"] / 1048576), "%.0f" % (values["output"] / 1000)])
        table(lines, ["tool", "wall s", "ratio", "CPU of the program s", "CPU of helpers s",
                      "peak RSS MiB, largest process", "output KB"], rows)


def memory(lines, results):
    if not results["memory"]:
        return
    lines.append("### Memory of its own\n")
    lines.append("Peak RSS of a program with %d live blocks of 64 bytes, less the untracked program's.\n"
                 % results["blocks"])
    base = results["memory"]["untracked"]
    rows = []
    for name, values in results["memory"].items():
        fixed = values["few"] - base["few"]
        per_block = (values["many"] - base["many"] - fixed) / (results["blocks"] - 1000)
        rows.append([name, "%.1f" % (fixed / 1048576), "%.1f" % per_block])
    table(lines, ["tool", "fixed, MiB", "bytes per live block"], rows)


def plot(results, names):
    """Bars on a logarithmic scale, one group for a workload."""
    workloads = [(name, figures) for name, _, figures in results["workloads"]]
    bar, gap, left, top = 12, 14, 90, 40
    group = bar * len(names) + gap
    height = top + group * len(workloads) + 40
    width = 760
    largest = max([ratio_of(figures, name) or 1 for _, figures in workloads for name in names] + [2])
    scale = (width - left - 60) / math.log(largest)
    parts = ["<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
             "font-family=\"sans-serif\" font-size=\"11\">" % (width, height),
             "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"]
    x = left
    for name in names:
        parts.append("<rect x=\"%d\" y=\"10\" width=\"10\" height=\"10\" fill=\"%s\"/>"
                     "<text x=\"%d\" y=\"19\">%s</text>"
                     % (x, COLOURS.get(name, "#000"), x + 14, name))
        x += 26 + 6 * len(name)
    for mark in (1, 1.2, 1.5, 2, 3, 5, 7, 10, 20, 50, 100):
        if mark <= largest:
            at = left + scale * math.log(mark)
            parts.append("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>"
                         "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>"
                         % (at, at, top - 6, height - 30, at, height - 14, mark))
    y = top
    for workload, figures in workloads:
        parts.append("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>"
                     % (left - 8, y + (group - gap) / 2 + 4, workload))
        for name in names:
            ratio = ratio_of(figures, name)
            if ratio is not None:
                length = max(1.0, scale * math.log(max(ratio, 1.0)))
                parts.append("<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
                             "<text x=\"%.1f\" y=\"%d\" font-size=\"9\">%.2f</text>"
                             % (left, y, length, bar - 2, COLOURS.get(name, "#000"),
                                left + length + 4, y + bar - 3, ratio))
            y += bar
        y += gap
    parts.append("</svg>\n")
    return "\n".join(parts)


def write_page(results, docs):
    names = [name for name, _ in results["tools"] if name != "untracked"]
    lines = ["", "Machine: %s. Date: %s. Runs: %d of each (massif and gperftools: 1)."
             % (results["machine"], results["date"], results["runs"]), ""]
    for name, text in results["tools"]:
        lines.append("- **%s**: %s" % (name, text))
    lines += ["", "![Wall time as a multiple of the untracked program's](performance.svg)", ""]
    summary(lines, results, names)
    overhead(lines, results, names)
    memory(lines, results)
    details(lines, results)

    path = os.path.join(docs, "performance.md")
    os.makedirs(docs, exist_ok=True)
    page = FRAME % (BEGIN, END)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            page = file.read()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("%s: has lost its markers: put these two lines back:\n%s\n%s"
                         % (path, BEGIN, END))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n".join(lines) + END + after)
    with open(os.path.join(docs, "performance.svg"), "w", encoding="utf-8") as file:
        file.write(plot(results, names))
