"""CPU samples: seconds against the kernel's own count, shares against known ones, and programs
that a sampler could disturb.

MEMTRACK_STORM_SECONDS: how long the storm lasts (3 by default).
"""

import json
import math
import os
import re

from harness import MEMTRACK, SAMPLES, MemtrackTest, main, need, run

CPU = os.path.join(SAMPLES, "cpu")
STORM = os.path.join(SAMPLES, "cpu_storm")
STORM_SECONDS = os.environ.get("MEMTRACK_STORM_SECONDS", "3")
# The slowest clock of any kernel: samples between two of its ticks fall on the same place.
TICKS_A_SECOND = 100
FORMATS = ("text", "json", "csv", "markdown")


class CpuTest(MemtrackTest):
    def cpu(self, *options, recording="run.mtk"):
        outcome = run([MEMTRACK, "cpu", self.path(recording), "--format", "json", *options])
        self.assertEqual(outcome.status, 0, outcome)
        result = json.loads(outcome.stdout)
        self.assertEqual(result["schema"], 1)
        return result

    def sample(self, mode, seconds, options=(), status=0):
        """Records the sample; returns its analysis and the CPU seconds that it says it used."""
        outcome = self.record([CPU, mode, str(seconds)], options)
        self.assertEqual(outcome.status, status, outcome)
        used, kernel = (float(word) for word in outcome.stdout.split())
        return self.cpu(), used, kernel

    def assert_agrees(self, result, used, hz=99, threads=1):
        """3 %, and one sample more or less for each thread."""
        self.assertLessEqual(abs(result["seconds"] - used), 0.03 * used + threads / hz,
                             {key: result[key] for key in ("seconds", "used_seconds",
                                                           "lost_samples")})

    def share(self, result, function):
        for entry in result["entries"]:
            if entry["function"] == function:
                return entry["total_percent"] / 100
        return 0

    def tolerance(self, share, seconds, hz=99):
        """4.5 standard deviations of a share in as many samples as are independent."""
        samples = seconds * min(hz, TICKS_A_SECOND)
        return 4.5 * math.sqrt(share * (1 - share) / samples)

    # ---- how much ----

    def test_cpu_seconds_agree_with_getrusage(self):
        result, used, _ = self.sample("split", 4)
        self.assert_agrees(result, used)
        self.assertEqual(result["hz"], 99)
        self.assertEqual(result["lost_samples"] + result["samples"],
                         round(result["seconds"] * 99))

    def test_cpu_seconds_agree_at_999_hertz(self):
        result, used, _ = self.sample("split", 2, ["--cpu", "999"])
        self.assert_agrees(result, used, 999)

    def test_cpu_seconds_agree_in_threads_that_never_allocate(self):
        result, used, _ = self.sample("threads", 1)
        self.assert_agrees(result, used, threads=5)
        threads = self.cpu("--by", "thread")["entries"]
        busy = [entry for entry in threads if entry["self_seconds"] > 0.5]
        self.assertEqual(len(busy), 4, threads)

    def test_cpu_seconds_agree_in_forked_children_that_never_allocate(self):
        result, used, _ = self.sample("forks", 1)
        self.assert_agrees(result, used, threads=4)
        pids = {entry["pid"] for entry in self.cpu("--by", "thread")["entries"]
                if entry["self_seconds"] > 0.5}
        self.assertEqual(len(pids), 3)

    def test_cpu_seconds_of_many_short_threads_are_not_forgotten(self):
        result, used, _ = self.sample("cancelled", 0.6)
        self.assert_agrees(result, used, threads=20)

    # ---- where ----

    def test_cpu_shares_are_those_of_the_functions(self):
        result, used, _ = self.sample("split", 4)
        for function, share in (("heavy", 0.7), ("light", 0.3)):
            self.assertLessEqual(abs(self.share(result, function) - share),
                                 self.tolerance(share, used), function)
        self.assertGreater(self.share(result, "work"), 0.97)
        self.assertIn("self", [finding["kind"] for finding in result["findings"]])

    def test_cpu_callers_and_callees_add_up(self):
        self.sample("split", 1)
        around = self.cpu("--of", "heavy")["of"]
        self.assertEqual([caller["function"] for caller in around["callers"]], ["work"])
        self.assertIn("spin", [callee["function"] for callee in around["callees"]])
        self.assertEqual(sum(callee["total"] for callee in around["callees"]) + around["self"],
                         around["total"])
        self.assertEqual(sum(caller["total"] for caller in around["callers"])
                         + around["outermost"], around["total"])

    def test_cpu_of_the_allocator_is_charged_to_its_sites(self):
        result, used, _ = self.sample("allocator", 1)
        self.assert_agrees(result, used)
        allocator = result["allocator"]
        self.assertGreater(allocator["percent"], 50)
        self.assertEqual(allocator["sites"][0]["location"]["function"], "allocate")
        ours = sum(site["samples"] for site in allocator["sites"]
                   if site["location"]["function"] == "allocate")
        self.assertGreater(ours, 0.97 * allocator["samples"])
        report = self.report()
        self.assertEqual(report["cpu"]["allocator"], allocator)
        self.assertEqual(sum(site["allocator_cpu_samples"] for site in report["sites"]),
                         allocator["samples"])

    def test_cpu_in_system_calls_is_told_from_page_faults(self):
        calls, used, _ = self.sample("kernel", 1)
        self.assertGreater(calls["system_samples"], 0.9 * calls["samples"])
        self.assert_agrees(calls, used)
        os.remove(self.path("run.mtk"))
        faults, _, kernel = self.sample("faults", 1)
        self.assertLess(faults["system_samples"], 0.4 * faults["samples"])
        self.assertGreater(faults["minor_faults"], 50000)
        self.assertGreater(kernel, 0.3)
        self.assertIn("kernel", [finding["kind"] for finding in faults["findings"]])

    def test_cpu_wall_clock_samples_waiting_too(self):
        outcome = self.record([CPU, "waits", "1"], ["--cpu-clock=wall"])
        self.assertEqual(outcome.status, 0, outcome)
        result = self.cpu("--process", "#0")
        self.assertEqual(result["clock"], "wall")
        waited = [entry["total_seconds"] for entry in result["entries"]
                  if entry["function"] == "wait_for_byte"]
        self.assertGreater(waited[0], 0.9)

    def test_cpu_says_that_threads_got_no_timer(self):
        outcome = self.record(["/bin/bash", "-c",
                               "ulimit -i 0; exec '%s' threads 0.2" % CPU])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.cpu()["threads_missed"], 5)
        text = run([MEMTRACK, "cpu", self.path("run.mtk")])
        self.assertIn(b"ulimit -i", text.stdout)

    # ---- programs that must not notice ----

    def assert_undisturbed(self, mode, seconds=0.6, threads=1, **how):
        plain = run([CPU, mode, str(seconds)])
        self.assertEqual(plain.status, 0, plain)
        result, used, _ = self.sample(mode, seconds, **how)
        self.assert_agrees(result, used, threads=threads)
        return result

    def test_cpu_samples_leave_sigprof_to_the_program(self):
        self.assert_undisturbed("profiled")

    def test_cpu_samples_reach_programs_that_block_all_signals(self):
        result = self.assert_undisturbed("blocked")
        self.assertLessEqual(result["lost_samples"], 2)

    def test_cpu_samples_leave_cancellation_alone(self):
        self.assert_undisturbed("cancelled", threads=20)

    def test_cpu_samples_leave_timer_threads_alone(self):
        self.assert_undisturbed("timers", threads=3)

    def test_cpu_samples_end_before_a_seccomp_filter(self):
        result, _, _ = self.sample("limited", 0.5)
        self.assertGreater(result["samples"], 0)
        text = run([MEMTRACK, "cpu", self.path("run.mtk")])
        self.assertIn(b"seccomp", text.stdout)

    def test_cpu_samples_survive_execs_at_full_rate(self):
        script = "for i in $(seq 150); do /bin/true; done; ls / | wc -l; (exec /bin/echo done)"
        self.assert_same_behaviour(["/bin/bash", "-c", script], ["--cpu", "4999"])

    def test_cpu_storm_neither_hangs_nor_fails(self):
        plugin = os.path.join(SAMPLES, "plugin_red.so")
        outcome = self.record([STORM, STORM_SECONDS, plugin], ["--cpu", "4999"],
                              timeout=60 + 10 * float(STORM_SECONDS))
        self.assertEqual(outcome.status, 0, outcome)
        self.assertGreater(self.cpu()["samples"], 1000)

    def test_cpu_storm_of_a_minute_neither_hangs_nor_fails(self):
        plugin = os.path.join(SAMPLES, "plugin_red.so")
        outcome = self.record([STORM, "60", plugin], ["--cpu", "4999"], timeout=600)
        self.assertEqual(outcome.status, 0, outcome)
        self.assertGreater(self.cpu()["samples"], 10000)

    def test_cpu_samples_of_python_agree(self):
        script = ("import resource\n"
                  "def burn(n):\n  return sum(len(str(i)) for i in range(n))\n"
                  "while sum(resource.getrusage(0)[:2]) < 2: burn(20000)\n"
                  "print(sum(resource.getrusage(0)[:2]))")
        outcome = self.record([need("python3"), "-c", script])
        self.assertEqual(outcome.status, 0, outcome)
        self.assert_agrees(self.cpu(), float(outcome.stdout), threads=4)

    # ---- the command ----

    def test_cpu_prints_every_grouping_in_every_format(self):
        self.sample("threads", 0.2)
        for by in ("function", "line", "module", "thread", "stack"):
            for form in FORMATS:
                outcome = run([MEMTRACK, "cpu", self.path("run.mtk"), "--by", by, "--format",
                               form])
                self.assertEqual(outcome.status, 0, outcome)
                self.assertGreater(len(outcome.stdout.splitlines()), 1, outcome)
            entries = self.cpu("--by", by)["entries"]
            self.assertEqual(sum(entry["self"] for entry in entries), self.cpu()["samples"], by)

    def test_cpu_report_has_the_same_functions(self):
        self.sample("split", 0.5)
        self.assertEqual(self.report()["cpu"]["functions"], self.cpu("--process", "#0")["entries"])

    def test_cpu_stacks_are_no_sites_of_memory(self):
        self.sample("split", 0.5)
        report = self.report()
        self.assertGreater(report["cpu"]["samples"], 20)
        # A sample may meet memtrack's own work while the program exits: that is listed as time
        # in the allocator, and only as that.
        self.assertEqual([site for site in report["sites"] if site["allocations"] == 0
                          and (site["cpu_samples"], site["allocator_cpu_samples"]) != (0, 1)], [])
        self.assertLessEqual(len([site for site in report["sites"] if site["allocations"] == 0]), 2)

    def test_cpu_says_why_there_are_no_samples(self):
        self.record([CPU, "split", "0.2"], ["--no-cpu"])
        outcome = run([MEMTRACK, "cpu", self.path("run.mtk")])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn(b"--no-cpu", outcome.stdout)
        self.assertEqual(self.cpu()["entries"], [])
        os.remove(self.path("run.mtk"))
        self.record(["/bin/true"])
        outcome = run([MEMTRACK, "cpu", self.path("run.mtk")])
        self.assertIn(b"No CPU samples", outcome.stdout)

    def test_cpu_refuses_bad_input(self):
        self.sample("split", 0.2)
        recording = self.path("run.mtk")
        with open(self.path("text"), "w") as file:
            file.write("no recording\n" * 100)
        for arguments, status in (([], 64), ([recording, recording], 64),
                                  ([recording, "--by", "colour"], 64),
                                  ([recording, "--of", "no_such_function"], 64),
                                  ([recording, "--of", ""], 64),
                                  ([recording, "--format", "xml"], 64),
                                  ([recording, "--process", "#77"], 66),
                                  ([self.path("text")], 65), ([self.path("missing")], 66)):
            outcome = run([MEMTRACK, "cpu", *arguments])
            self.assertEqual(outcome.status, status, (arguments, outcome))
            self.assertTrue(re.fullmatch(rb"memtrack: [^\n]+\n", outcome.stderr), outcome)
            self.assertEqual(outcome.stdout, b"")


if __name__ == "__main__":
    main()
