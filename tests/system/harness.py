"""What the system tests share: running a program with and without memtrack, and reading reports.

Python's standard library only. Every run is bounded in time and happens in a folder of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("MEMTRACK_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MEMTRACK_BUILD") or os.path.join(SOURCE, "build")
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
SAMPLES = os.path.join(BUILD, "samples")
TIME_LIMIT_SECONDS = 100


class Outcome:
    """How a program ended and what it wrote."""

    def __init__(self, status, stdout, stderr):
        self.status = status  # as a shell sees it: 128+N for signal N
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self):
        return "status %d\n--- stdout\n%s\n--- stderr\n%s" % (
            self.status, self.stdout[-2000:].decode(errors="replace"),
            self.stderr[-4000:].decode(errors="replace"))


def shell_status(returncode):
    return returncode if returncode >= 0 else 128 - returncode


def run(command, stdin=b"", env=None, cwd=None, timeout=TIME_LIMIT_SECONDS):
    """Runs a command in a process group of its own, and ends that group when time is up."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=env, cwd=cwd, start_new_session=True)
    try:
        stdout, stderr = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError("not finished after %d s: %r\n%s" % (
            timeout, command, Outcome(-1, stdout, stderr)))
    return Outcome(shell_status(process.returncode), stdout, stderr)


class MemtrackTest(unittest.TestCase):
    """A test with a temporary folder, self.folder."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memtrack-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def record(self, command, options=(), recording="run.mtk", **how):
        """Runs a command under memtrack; returns its outcome. The report: self.report()."""
        return run([MEMTRACK, "run", "-q", "--report=none", "-o", self.path(recording), *options,
                    "--", *command], cwd=how.pop("cwd", self.folder), **how)

    def report(self, recording="run.mtk"):
        outcome = run([MEMTRACK, "report", self.path(recording), "--format", "json"])
        self.assertEqual(outcome.status, 0, outcome)
        report = json.loads(outcome.stdout)
        self.assertEqual(report["schema"], 1)
        return report

    def assert_same_behaviour(self, command, options=(), **how):
        """Runs a command untracked and tracked; both must look the same from outside."""
        plain = run(command, cwd=self.folder, **how)
        tracked = self.record(command, options, **how)
        self.assertEqual(tracked.status, plain.status, tracked)
        self.assertEqual(tracked.stdout, plain.stdout)
        self.assertEqual(tracked.stderr, plain.stderr)
        return plain


def processes(report):
    """All processes of a report: itself, then its children in order of time."""
    yield report
    for child in report["children"]:
        yield from processes(child)


def program_name(process):
    return os.path.basename(process["process"]["program"] or "")


def sites_by_function(process):
    """Sums the sites of a process by the function of their location."""
    fields = ("allocations", "allocated_bytes", "frees", "freed_bytes", "temporary_allocations",
              "live_blocks", "live_bytes", "peak_blocks", "peak_bytes")
    result = {}
    for site in process["sites"]:
        name = (site["location"] or {}).get("function")
        sums = result.setdefault(name, dict.fromkeys(fields, 0))
        for field in fields:
            sums[field] += site[field] or 0
    return result


def need(*programs):
    """Paths of programs that scripts/packages.sh installs; their absence is a failure."""
    found = []
    for program in programs:
        path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ["PATH"])
        if path is None:
            raise AssertionError("%s is not installed: run scripts/packages.sh test" % program)
        found.append(path)
    return found[0] if len(found) == 1 else found


def main():
    """Runs the named test methods, or all; no such test is a failure."""
    names = set(sys.argv[1:])
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite()
    for case in loader.loadTestsFromModule(sys.modules["__main__"]):
        for test in case:
            if not names or test.id().rsplit(".", 1)[1] in names:
                suite.addTest(test)
    if suite.countTestCases() == 0:
        sys.exit("no such test: %s" % " ".join(sorted(names)))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() else 1)
