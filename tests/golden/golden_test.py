#!/usr/bin/env python3
"""Golden files, the JSON contract, exit statuses and the documentation's queries.

usage: golden_test.py MEMTRACK GOLDEN_RECORDINGS [--update]
"""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
MEMTRACK, MAKER = sys.argv[1], sys.argv[2]
UPDATE = "--update" in sys.argv

# What INTERFACE promises for `report --format json`: fields and their types.
COUNT, TEXT, FLOAT, FLAG = int, (str, type(None)), (int, float), bool
CLASS = {"blocks": COUNT, "bytes": COUNT}
CLASSES = {name: CLASS for name in ("definite", "indirect", "possible", "reachable")}
PLACE = {"function": TEXT, "file": TEXT, "line": (int, type(None))}
FRAME = dict(PLACE, module=TEXT, module_offset=COUNT, inlined=FLAG)
CONTRACT = {
    "schema": COUNT, "memtrack": str,
    "process": {"pid": COUNT, "ppid": COUNT, "program": TEXT, "arguments": [str],
                "exit_status": (int, type(None)), "signal": (int, type(None)), "started": TEXT,
                "seconds": FLOAT, "host": TEXT, "allocator": TEXT},
    "mode": {"sample_bytes": (int, type(None)), "cpu_hz": COUNT, "depth": COUNT, "complete": FLAG},
    "totals": dict.fromkeys(
        ("allocations", "frees", "allocated_bytes", "freed_bytes", "live_blocks", "live_bytes",
         "inherited_blocks", "inherited_bytes", "peak_bytes", "peak_blocks",
         "temporary_allocations", "dropped_events", "stacks"), COUNT)
    | {"peak_seconds": FLOAT, "peak_rss_bytes": (int, type(None))},
    "errors": [{"kind": str, "count": COUNT, "stack": [FRAME], "allocation_stack": [FRAME]}],
    "leaks": dict(CLASSES, suppressed=CLASS, scan=str),
    "sites": [dict({"id": COUNT, "stack": [FRAME], "location": PLACE, "leaks": CLASSES},
                   **dict.fromkeys(("allocations", "allocated_bytes", "frees", "freed_bytes",
                                    "temporary_allocations", "live_blocks", "live_bytes",
                                    "peak_blocks", "peak_bytes"), COUNT))],
    "timeline": [{"seconds": FLOAT, "live_bytes": COUNT, "live_blocks": COUNT,
                  "rss_bytes": (int, type(None)), "allocations": COUNT,
                  "cpu_seconds": (int, float, type(None))}],
    "snapshots": [{"index": COUNT, "seconds": FLOAT, "label": TEXT, "live_bytes": COUNT,
                   "live_blocks": COUNT}],
    "cpu": {"samples": COUNT, "hz": COUNT,
            "functions": [{"function": TEXT, "file": TEXT, "self": COUNT, "total": COUNT}]},
    "children": [],
}


def check_shape(test, value, shape, where="report"):
    if isinstance(shape, dict):
        test.assertIsInstance(value, dict, where)
        for name, inner in shape.items():
            test.assertIn(name, value, where)
            check_shape(test, value[name], inner, where + "." + name)
    elif isinstance(shape, list):
        test.assertIsInstance(value, list, where)
        for item in value:
            if where.endswith(".children"):
                check_shape(test, item, CONTRACT, where)
            else:
                check_shape(test, item, shape[0], where)
    else:
        test.assertIsInstance(value, shape, where)
        if shape is COUNT:
            test.assertNotIsInstance(value, bool, where)


def run(*arguments, folder=None, environment=None, stdout=subprocess.PIPE):
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "COLUMNS": "100", "TERM": "xterm"}
    env.update(environment or {})
    return subprocess.run([MEMTRACK, *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          stdout=stdout, stderr=subprocess.PIPE)


class Golden(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="memtrack-golden-")
        subprocess.run([MAKER, cls.folder], check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def report(self, *arguments, environment=None):
        result = run("report", *arguments, folder=self.folder, environment=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def assert_refused(self, status, *arguments, says=""):
        result = run(*arguments, folder=self.folder)
        self.assertEqual(result.returncode, status, result)
        self.assertEqual(result.stdout, b"")
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("memtrack: "), lines)
        self.assertIn(says, lines[0])

    def test_reports_are_as_committed(self):
        cases = [(name, options, form)
                 for name in ("service", "tree", "hostile", "empty")
                 for options in ("default",)
                 for form in ("text", "json", "csv", "markdown")]
        cases += [("service@peak", "default", "text"), ("service@1", "default", "text"),
                  ("service", "wide", "text"), ("service", "top=1", "text"),
                  ("tree", "process=101", "text"), ("service", "ascii", "text"),
                  ("service", "color", "text")]
        for recording, options, form in cases:
            name, at, selector = recording.partition("@")
            arguments = [name + ".mtk" + at + selector, "--format", form]
            environment = None
            if options == "ascii":
                environment = {"LC_ALL": "C"}
            elif options == "color":
                arguments.append("--color=always")
            elif options != "default":
                arguments.append("--" + options)
            got = self.report(*arguments, environment=environment)
            got = re.sub(r'("memtrack": )"[^"]+"', r'\1"VERSION"', got, count=1)
            self.assert_golden(got, f"{recording}.report.{options}.{form}")

    def assert_golden(self, got, name):
        path = os.path.join(HERE, name)
        if UPDATE:
            with open(path, "w", encoding="utf-8") as file:
                file.write(got)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(got, file.read(), f"{path}: golden_test.py --update rewrites it")

    def test_cpu_is_as_committed(self):
        cases = [(name, ("--by", by), form) for name, by, form in (
            ("service", "function", "text"), ("service", "function", "json"),
            ("service", "function", "csv"), ("service", "function", "markdown"),
            ("service", "line", "text"), ("service", "module", "text"),
            ("service", "thread", "json"), ("service", "stack", "text"),
            ("hostile", "thread", "text"), ("hostile", "stack", "json"),
            ("hostile", "stack", "csv"), ("hostile", "stack", "markdown"),
            ("empty", "function", "text"), ("empty", "function", "json"))]
        cases += [("service", ("--of", "main"), form) for form in ("text", "json", "csv")]
        for recording, options, form in cases:
            result = run("cpu", recording + ".mtk", *options, "--format", form,
                         folder=self.folder)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assert_golden(result.stdout.decode(),
                               f"{recording}.cpu.{options[0][2:]}={options[1]}.{form}")

    def test_json_has_every_field_of_the_contract(self):
        for name in ("service", "tree", "hostile", "empty"):
            check_shape(self, json.loads(self.report(name + ".mtk", "--format=json")), CONTRACT)

    def test_json_numbers_agree_with_the_recording(self):
        report = json.loads(self.report("service.mtk", "--format=json", "--top=1"))
        self.assertEqual(len(report["sites"]), 3)
        for total, field in (("allocations", "allocations"), ("live_bytes", "live_bytes"),
                             ("peak_bytes", "peak_bytes"),
                             ("temporary_allocations", "temporary_allocations")):
            self.assertEqual(report["totals"][total], sum(s[field] for s in report["sites"]))
        self.assertEqual(report["process"]["started"], "2026-01-01T00:00:00Z")
        self.assertEqual(report["errors"][0]["kind"], "mismatched-free")
        self.assertEqual(report["errors"][0]["count"], 3)
        self.assertEqual(report["leaks"]["definite"], {"blocks": 2, "bytes": 96})
        self.assertEqual(report["cpu"]["samples"], 100)
        by_name = {f["function"]: f for f in report["cpu"]["functions"]}
        self.assertEqual((by_name["main"]["self"], by_name["main"]["total"]), (0, 100))
        self.assertEqual(by_name["cache_insert"]["self"], 60)
        self.assertEqual(by_name["[malloc and free]"]["self"], 30)
        self.assertEqual([s["index"] for s in report["snapshots"]], [0, 1, 2])
        self.assertEqual(max(p["live_max_bytes"] for p in report["timeline"]), 25048)

    def test_children_are_nested_by_fork_and_exec(self):
        report = json.loads(self.report("tree.mtk", "--format=json"))
        worker = report["children"][0]
        other = worker["children"][0]
        self.assertEqual(worker["totals"]["inherited_blocks"], 7)
        self.assertEqual(other["process"]["signal"], 9)
        self.assertEqual(other["leaks"]["scan"], "failed: the process was killed")
        self.assertEqual(other["children"], [])

    def test_csv_is_read_back_by_a_csv_reader(self):
        rows = list(csv.DictReader(io.StringIO(self.report("service.mtk", "--format=csv"))))
        self.assertEqual(len(rows), 3)
        self.assertEqual(sum(int(r["allocated_bytes"]) for r in rows), 99096)
        self.assertEqual(len(list(csv.reader(io.StringIO(
            self.report("hostile.mtk", "--format=csv"))))), 2)

    def test_output_option_writes_the_same_and_spares_the_recording(self):
        expected = self.report("service.mtk")
        self.assertEqual(self.report("service.mtk", "-o", "out.txt"), "")
        with open(os.path.join(self.folder, "out.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), expected)
        self.assert_refused(64, "report", "service.mtk", "-o", "service.mtk", says="itself")
        self.assert_refused(125, "report", "service.mtk", "-o", "/nonexistent/x", says="-o")

    def test_failed_write_to_stdout_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = run("report", "service.mtk", folder=self.folder, stdout=full)
        self.assertEqual(result.returncode, 125)
        self.assertIn(b"stdout", result.stderr)

    def test_bad_arguments_get_one_line_and_a_status(self):
        self.assert_refused(66, "report", "missing.mtk", says="no such file")
        self.assert_refused(65, "report", MEMTRACK, says="not a recording")
        self.assert_refused(65, "report", ".", says="folder")
        self.assert_refused(64, "report", says="report FILE")
        self.assert_refused(64, "report", "a", "b", says="one file too many")
        self.assert_refused(64, "report", "--fromat", "json", "service.mtk", says="--format")
        self.assert_refused(64, "report", "--zzzzzz", says="--help")
        self.assert_refused(64, "report", "-Z", says="-Z")
        self.assert_refused(64, "report", "service.mtk", "--format=xml", says="xml")
        self.assert_refused(64, "report", "service.mtk", "--format", says="needs a value")
        self.assert_refused(64, "report", "service.mtk", "--wide=3", says="no value")
        self.assert_refused(64, "report", "service.mtk", "--top=-1", says="--top")
        self.assert_refused(64, "report", "service.mtk", "--top=x", says="--top")
        self.assert_refused(64, "report", "service.mtk@9", says="@2")
        self.assert_refused(66, "report", "service.mtk", "--process=77", says="77")
        self.assert_refused(64, "reprot", "service.mtk", says="`memtrack report`")
        self.assert_refused(64, "help", "reprot", says="help report")

    def test_help_and_version_go_to_stdout(self):
        for arguments in (["--help"], ["help"], ["report", "--help"], ["help", "report"],
                          ["--version"], ["help", "run"]):
            result = run(*arguments)
            self.assertEqual(result.returncode, 0, arguments)
            self.assertEqual(result.stderr, b"")
            self.assertIn(b"memtrack", result.stdout)

    def test_colour_obeys_option_and_environment(self):
        def has_colour(*arguments, **environment):
            return "\x1b[" in self.report("service.mtk", *arguments, environment=environment)
        self.assertFalse(has_colour())
        self.assertTrue(has_colour("--color=always"))
        self.assertTrue(has_colour(FORCE_COLOR="1"))
        self.assertFalse(has_colour(FORCE_COLOR="1", NO_COLOR="1"))
        self.assertFalse(has_colour("--color=never", FORCE_COLOR="1"))
        self.assertTrue(has_colour("--color=always", NO_COLOR="1"))

    def test_cut_recording_is_partial_with_status_0(self):
        whole = os.path.join(self.folder, "service.mtk")
        size = os.path.getsize(whole)
        with open(whole, "rb") as file:
            content = file.read(size - 8192)
        with open(os.path.join(self.folder, "cut.mtk"), "wb") as file:
            file.write(content)
        result = run("report", "cut.mtk", "--format=json", folder=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertFalse(json.loads(result.stdout)["mode"]["complete"])
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertIn(b"cut short", result.stderr)

    def test_text_fits_the_width_it_is_given(self):
        for columns in (80, 120):
            text = self.report("service.mtk", environment={"COLUMNS": str(columns)})
            self.assertLessEqual(max(len(line) for line in text.splitlines()), columns, text)

    def test_queries_of_the_documentation_run(self):
        if shutil.which("sqlite3") is None:
            self.skipTest("no sqlite3 shell")
        page = os.path.join(HERE, "..", "..", "docs", "recording.md")
        with open(page, encoding="utf-8") as file:
            queries = re.findall(r"```sql\n(.*?)```", file.read(), re.DOTALL)
        self.assertGreaterEqual(len(queries), 3)
        for query in queries:
            result = subprocess.run(["sqlite3", "-bail", "service.mtk", query], cwd=self.folder,
                                    capture_output=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotEqual(result.stdout, b"", query)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
