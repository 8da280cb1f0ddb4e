"""Markdown for comments on a change, read back through GitHub's own renderer, cmark-gfm."""

import html.parser
import json
import os
import re

from harness import MEMTRACK, SAMPLES, MemtrackTest, main, need, run

CHARACTERS_MAX = 65000  # GitHub refuses comments above 65 536
NAMES = ["pipe|pipe", "tick`tick", "<script>alert(1)</script>", "star*star_under_score",
         "@somebody", "a[b](c)", "two\nlines", "~tilde~", "back\\slash", "&amp;"]


class Page(html.parser.HTMLParser):
    """What a reader sees: tables as lists of rows of texts, the other text, and all tags."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.text, self.cell = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""
        elif tag == "br":
            self.handle_data("\n")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell.strip())
            self.cell = None
        elif tag == "summary":
            self.handle_data("\n")

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell += data


def size(text):
    """Bytes of "12.5 MiB", and by how much the figure may be off."""
    number, unit = re.fullmatch(r"[+-]?([\d.]+) (B|KiB|MiB|GiB)", text).groups()
    factor = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]
    return float(number) * factor, 0 if unit == "B" else 0.0501 * factor


class MarkdownTest(MemtrackTest):
    def markdown(self, *command, statuses=(0,)):
        outcome = run([MEMTRACK, *command, "--format", "markdown"], cwd=self.folder)
        self.assertIn(outcome.status, statuses, outcome)
        text = outcome.stdout.decode() or outcome.stderr.decode()
        self.assertLessEqual(len(text), CHARACTERS_MAX)
        rendered = run([need("cmark-gfm"), "--unsafe", "-e", "table", "-e", "autolink", "-e",
                        "strikethrough", "-e", "tagfilter"], stdin=text.encode())
        self.assertEqual(rendered.status, 0, rendered)
        page = Page(rendered.stdout.decode())
        # All that was written as a table must have become one, with all of its cells.
        self.assertEqual(len(re.findall(r"^\|(?: :?--:? \|)+$", text, re.MULTILINE)),
                         len(page.tables))
        for table in page.tables:
            self.assertEqual({len(row) for row in table}, {len(table[0])}, table)
        return text, page

    def json(self, *command, statuses=(0,)):
        outcome = run([MEMTRACK, *command, "--format", "json"], cwd=self.folder)
        self.assertIn(outcome.status, statuses, outcome)
        return json.loads(outcome.stdout)

    def assert_size(self, text, expected):
        value, error = size(text)
        self.assertLessEqual(abs(value - abs(expected)), error, (text, expected))

    def compile(self, name, text, *flags):
        with open(self.path(name + ".c"), "w", encoding="ascii") as file:
            file.write(text)
        outcome = run([need("gcc"), "-g", "-O0", "-o", self.path(name), self.path(name + ".c"),
                       *flags])
        self.assertEqual(outcome.status, 0, outcome)
        return self.path(name)

    def record_two_builds(self):
        source = ("#include <stdlib.h>\nstatic void *kept[4096];\n"
                  "void *cache_fill(size_t n) { return malloc(n); }\n"
                  "void lose(void) { for (int i = 0; i < LOST; i++) (void)!malloc(100); }\n"
                  "int main(void) {\n"
                  "    for (int i = 0; i < KEPT; i++) kept[i] = cache_fill(1000);\n"
                  "    lose();\n    return 0;\n}\n")
        for name, kept, lost in (("before", 1000, 0), ("after", 1500, 3)):
            program = self.compile(name, source, "-DKEPT=%d" % kept, "-DLOST=%d" % lost)
            self.assertEqual(self.record([program], recording=name + ".mtk").status, 0)

    def test_markdown_of_a_diff_is_the_verdict_both_runs_and_what_changed(self):
        self.record_two_builds()
        text, page = self.markdown("diff", "before.mtk", "after.mtk")
        diff = self.json("diff", "before.mtk", "after.mtk")
        self.assertEqual(diff["verdict"], "worse")
        self.assertIn("B is worse: leaked bytes +300 B (from 0), peak bytes +", page.text)
        totals = {row[0]: row[1:] for row in page.tables[1][1:]}
        self.assertEqual(page.tables[1][0], ["", "A", "B", "delta", "change"])
        for label, name in (("live bytes", "live_bytes"), ("peak bytes", "peak_bytes"),
                            ("leaked bytes", "leaked_bytes"),
                            ("allocated bytes", "allocated_bytes")):
            for shown, side in zip(totals[label], ("a", "b", "delta")):
                self.assert_size(shown, diff["totals"][name][side])
        for label, name in (("live blocks", "live_blocks"), ("allocations", "allocations")):
            self.assertEqual([int(shown.replace(",", "")) for shown in totals[label][:3]],
                             [diff["totals"][name][side] for side in ("a", "b", "delta")])
        self.assertEqual(diff["totals"]["leaked_bytes"], {"a": 0, "b": 300, "delta": 300})
        changed = [site for site in diff["sites"] if site["live_bytes"]["delta"] != 0]
        rows = page.tables[2][1:]
        self.assertEqual([row[0] for row in rows], [site["status"] for site in changed])
        for row, site in zip(rows, changed):
            self.assert_size(row[1], site["live_bytes"]["delta"])
            self.assertIn(site["location"]["function"], row[6])
        self.assertIn("<details><summary>cache_fill", text)
        self.assertIn("main", rows[0][6])
        # A line for each run that lasted long enough to have two points of time.
        runs = sum(len(self.report(name)["timeline"]) >= 2 for name in ("before.mtk", "after.mtk"))
        self.assertEqual(len(re.findall("^`[ \u2581-\u2588]+` [AB]: live bytes, ", text,
                                        re.MULTILINE)), runs, text)

        better = self.json("diff", "after.mtk", "before.mtk")
        self.assertEqual(better["verdict"], "better")
        self.assertEqual(self.json("diff", "before.mtk", "before.mtk@exit")["verdict"], "same")
        self.assertIn("B is better", self.markdown("diff", "after.mtk", "before.mtk")[1].text)

    def test_markdown_of_a_check_is_limits_and_one_table_of_findings(self):
        self.record_two_builds()
        for name, status in (("before", 0), ("after", 23)):
            _, page = self.markdown("check", name + ".mtk", statuses=(status,))
            check = self.json("check", name + ".mtk", statuses=(status,))
            self.assertEqual(status == 0, check["passed"])
            self.assertIn("check %s: %s" % (name, "passed" if check["passed"] else "FAILED"),
                          page.text)
            self.assertEqual([row[0] for row in page.tables[0][1:]],
                             [limit["name"] for limit in check["limits"]])
            findings = page.tables[1][1:] if len(page.tables) > 1 else []
            self.assertEqual(len(findings), len(check["failures"]))
            for row, failure in zip(findings, check["failures"]):
                self.assert_size(row[2], failure["bytes"])
                self.assertEqual(int(row[3]), failure["blocks"])
                self.assertIn(failure["location"]["function"], row[4])

    def test_markdown_of_a_report_has_the_numbers_of_its_json(self):
        self.assertEqual(self.record([os.path.join(SAMPLES, "service"), "300"]).status, 0)
        text, page = self.markdown("report", "run.mtk")
        totals = self.report()["totals"]
        for number in ("allocations", "frees", "live_blocks", "peak_blocks"):
            self.assertRegex(page.text, r"\b%s\b" % format(totals[number], ","))
        self.assertEqual(len(re.findall("^`[ \u2581-\u2588]+` live, ", text, re.MULTILINE)),
                         len(self.report()["timeline"]) >= 2)

    def test_markdown_keeps_within_a_comment_whatever_the_names(self):
        types = "long_name_of_a_type_that_somebody_generated"
        functions = "\n".join(
            'template<class A, class B> struct T%d { __attribute__((noinline)) static'
            ' void *make(A a, B b) { (void)a; (void)b; return malloc(%d); } };' % (i, 1000 + i)
            for i in range(400))
        calls = "".join("kept[n++] = T%d<std::map<%s, std::map<%s, std::vector<%s>>>, %s>::make({}, {});"
                        % (i, types, types, types, types) for i in range(400))
        with open(self.path("long.cpp"), "w", encoding="ascii") as file:
            file.write("#include <cstdlib>\n#include <map>\n#include <vector>\n"
                       "struct %s { bool operator<(const %s &) const { return false; } };\n%s\n"
                       "void *kept[400]; int n;\nint main() { %s return 0; }\n"
                       % (types, types, functions, calls))
        outcome = run([need("g++"), "-O0", "-g", "-o", self.path("long"), self.path("long.cpp")])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.record([self.path("long")], ["--leaks=full"]).status, 0)
        for command in (["report", "run.mtk", "--top", "1000"], ["leaks", "run.mtk", "--top", "1000"],
                        ["diff", "run.mtk@first", "run.mtk", "--top", "1000"],
                        ["check", "--max-leaked", "off", "--leak-classes", "reachable",
                         "--max-leaked-blocks", "0", "--top", "0", "run.mtk"]):
            text, page = self.markdown(*command, statuses=(0, 23))
            self.assertGreater(sum(map(len, page.tables)), 4, command)
            if command[0] in ("report", "check"):  # 400 sites with their stacks are too much
                self.assertIn("Shortened to the length", page.text, command)

    def test_markdown_takes_no_name_for_syntax(self):
        program = self.compile("named", "#include <stdlib.h>\nint main(void){"
                               "for (int i = 0; i < 9; i++) (void)!malloc(77); return 0;}\n")
        self.assertEqual(self.record([program, *NAMES]).status, 0)
        for command in (["report", "run.mtk"], ["leaks", "run.mtk"], ["growth", "run.mtk"],
                        ["check", "run.mtk", "--name", " ".join(NAMES)]):
            outcome = run([MEMTRACK, *command, "--format", "markdown"], cwd=self.folder)
            if command[0] == "growth" and outcome.status != 0:
                continue  # one snapshot alone has no growth
            _, page = self.markdown(*command, statuses=(0, 23))
            self.assertLessEqual(set(page.tags), {
                "h2", "h3", "table", "thead", "tbody", "tr", "td", "th", "p", "code", "details",
                "summary", "sub", "br", "blockquote", "ul", "li"}, command)
            if command[0] in ("report", "check"):
                for name in NAMES:
                    shown = name.replace("\n", "\\u000a")
                    self.assertTrue(shown in page.text or name in page.text, (command, name, page.text))


if __name__ == "__main__":
    main()
