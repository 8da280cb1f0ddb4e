"""The recipes of docs/gates.md for Meson, automake and pytest, and suites that run side by side."""

import glob
import os
import re
import shutil

from gate_case import PROJECT, GateCase
from harness import MEMTRACK, main, need, run

RECIPES = os.path.join(PROJECT, "recipes")
GATE = MEMTRACK + " check -q"


class RecipesTest(GateCase):
    def copy(self, *names):
        folder = self.path("suite")
        os.makedirs(folder, exist_ok=True)
        for name in names:
            shutil.copy(os.path.join(RECIPES, name), folder)
        return folder

    def must(self, *command, **how):
        outcome = run(list(command), **how)
        self.assertEqual(outcome.status, 0, outcome)
        return outcome

    def test_meson_runs_a_suite_under_a_gate(self):
        suite = self.copy("meson.build")
        shutil.copy(os.path.join(PROJECT, "leaky.c"), suite)
        build = self.path("build")
        self.must(need("meson"), "setup", build, suite)
        self.must(need("meson"), "test", "-C", build)
        gated = run([need("meson"), "test", "-C", build, "--print-errorlogs", "--wrapper", GATE])
        self.assertNotEqual(gated.status, 0, gated)
        results = dict(re.findall(r"(?m)^[ \d]*/\d+ (\w+) +(OK|FAIL)", gated.stdout.decode()))
        self.assertEqual(results, {"clean": "OK", "loses": "FAIL"}, gated)
        self.assertIn(b"exit status 23", gated.stdout)
        self.assertIn(b"96 B in 2 blocks definitely lost", gated.stdout)

    def test_automake_runs_a_suite_under_a_gate(self):
        suite = self.copy("configure.ac", "Makefile.am", "clean.c", "loses.c")
        self.must(need("autoreconf"), "-i", cwd=suite)
        self.must("./configure", "-q", cwd=suite)
        self.must(need("make"), "check", cwd=suite)
        gated = run([need("make"), "check", "MEMTRACK_CHECK=%s --" % GATE], cwd=suite)
        self.assertNotEqual(gated.status, 0, gated)
        results = dict(re.findall(r"(?m)^(PASS|FAIL): (\w+)", gated.stdout.decode()))
        self.assertEqual(results, {"PASS": "clean", "FAIL": "loses"}, gated)
        with open(os.path.join(suite, "loses.log"), encoding="utf-8") as file:
            self.assertIn("48 B in 1 block definitely lost", file.read())

    def test_pytest_of_an_extension_runs_under_a_gate(self):
        suite = self.path("suite")
        shutil.copytree(os.path.join(RECIPES, "python"), suite)
        includes = self.must("/usr/bin/python3-config", "--includes").stdout.decode().split()
        self.must(need("gcc"), "-g", "-O0", "-shared", "-fPIC", *includes, "-o", "extension.so",
                  "extension.c", cwd=suite)
        environment = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONDONTWRITEBYTECODE": "1"}
        for test, status in (("test_clean.py", 0), ("test_loses.py", 23)):
            outcome = run([MEMTRACK, "check", "-q", "--", "/usr/bin/python3", "-m", "pytest", "-q", "-p",
                           "no:cacheprovider", test], cwd=suite, env=environment)
            self.assertEqual(outcome.status, status, outcome)
            self.assertIn(b"1 passed", outcome.stdout)
        self.assertRegex(outcome.stderr.decode(), r"15 B in 3 blocks definitely lost")
        self.assertRegex(outcome.stderr.decode(), r"copy .*extension\.c:\d+")

    def test_suites_that_run_side_by_side_do_not_disturb_each_other(self):
        with open(self.path("CTestTestfile.cmake"), "w", encoding="utf-8") as file:
            for i in range(24):
                file.write('add_test(t%d "%s" check -- "%s" %s)\n' % (
                    i, MEMTRACK, self.leaky, "clean" if i % 2 else "lose %d" % (i + 1)))
        outcome = run([need("ctest"), "-j8"], cwd=self.folder)
        results = dict(re.findall(r"Test +#\d+: t(\d+) \.+[ *]*(Passed|Failed)", outcome.stdout.decode()))
        self.assertEqual(results, {str(i): "Passed" if i % 2 else "Failed" for i in range(24)}, outcome)
        self.assertEqual(len(glob.glob(self.path("*.mtk"))), 12)  # those that failed, one each

    def test_suites_that_share_a_recording_name_never_pass_by_it(self):
        """One name for all is a mistake: what cannot have its recording does not pass."""
        with open(self.path("CTestTestfile.cmake"), "w", encoding="utf-8") as file:
            for i in range(8):
                file.write('add_test(t%d "%s" check -o same.mtk -- "%s" lose 1)\n' % (
                    i, MEMTRACK, self.leaky))
        outcome = run([need("ctest"), "-j8", "-V"], cwd=self.folder)
        self.assertIn(b"0% tests passed, 8 tests failed out of 8", outcome.stdout)
        self.assertIn(b"same.mtk: exists: ", outcome.stdout)


if __name__ == "__main__":
    main()
