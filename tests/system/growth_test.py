"""memtrack growth and memtrack diff on programs whose answer is known."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import harness

SHAPES = os.path.join(harness.SAMPLES, "shapes")


class GrowthTest(harness.MemtrackTest):

    def growth(self, recording="run.mtk", options=()):
        outcome = harness.run([harness.MEMTRACK, "growth", self.path(recording), "--format",
                               "json", *options])
        self.assertEqual(outcome.status, 0, outcome)
        growth = json.loads(outcome.stdout)
        self.assertEqual(growth["schema"], 1)
        return growth

    def diff(self, a, b, options=()):
        outcome = harness.run([harness.MEMTRACK, "diff", self.path(a), self.path(b), "--format",
                               "json", *options])
        self.assertEqual(outcome.status, 0, outcome)
        diff = json.loads(outcome.stdout)
        self.assertEqual(diff["schema"], 1)
        return diff

    def verdicts(self, growth):
        """By function; of several sites of a function the one with most live bytes."""
        result = {}
        for site in sorted(growth["sites"], key=lambda site: site["live_bytes"]):
            result[site["location"]["function"]] = site
        return result

    def refused(self, *arguments):
        outcome = harness.run([harness.MEMTRACK, *arguments], cwd=self.folder)
        lines = outcome.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, outcome)
        self.assertTrue(lines[0].startswith("memtrack: "), lines)
        self.assertEqual(outcome.stdout, b"")
        return outcome.status, lines[0]

    def started(self, recording="run.mtk"):
        """CLOCK_REALTIME at the recording's beginning, in seconds."""
        database = sqlite3.connect(self.path(recording))
        value, = database.execute("SELECT value FROM run WHERE key = 'started_realtime_ns'"
                                  ).fetchone()
        database.close()
        return int(value) / 1e9

    def assert_seen(self, told, true, snapshots):
        """A moment told by growth is that of the program, to the snapshots around it."""
        before = [moment for moment in snapshots if moment <= true][-3:]
        after = [moment for moment in snapshots if moment > true][:3]
        self.assertGreaterEqual(told, before[0] if before else 0, (true, before, after))
        self.assertLessEqual(told, after[-1] if after else true, (true, before, after))

    def test_what_the_running_program_still_held_is_no_leak(self):
        held = os.path.join(harness.SAMPLES, "held")
        for options, expected in (([], "leak"), (["--leaks-every", "300ms"], "growing")):
            with self.subTest(options=options):
                self.record([held, "3000"], ["-f", "--snapshot-every", "40ms", *options])
                sites = self.verdicts(self.growth())
                self.assertEqual(sites["lose"]["verdict"], "leak", sites["lose"])
                self.assertEqual(sites["keep"]["verdict"], expected, sites["keep"])
        # The scans stay bounded: the latest of the running program, and the one at its end.
        with sqlite3.connect(self.path("run.mtk")) as recording:
            self.assertEqual(recording.execute(
                "SELECT is_final, scan FROM census ORDER BY is_final").fetchall(),
                [(0, "full"), (1, "full")])
        self.assertEqual(self.refused("run", "--leaks-every", "1ms", "--", held)[0], 64)

    def test_growth_tells_leaks_from_caches_and_churn(self):
        outcome = self.record([SHAPES, "4000"], ["--snapshot-every", "40ms"])
        began, stopped, full = (float(word) - self.started() for word in outcome.stdout.split())
        growth = self.growth()
        sites = self.verdicts(growth)
        report = self.report()
        truth = {"steady_leak": "growing", "slow_leak": "growing", "churn": "steady",
                 "bounded_cache": "bounded", "sawtooth": "steady", "late_leak": "growing",
                 "leak_that_stops": "bounded", "fragments": "steady",
                 "realloc_growth": "growing", "thread_leak": "growing",
                 "freed_at_exit": "freed-at-exit"}
        # Filled at once: a step that stays, if the first snapshot came before it.
        first = harness.sites_by_function(self.report("run.mtk@first"))
        filled = first.get("fragments", {"live_blocks": 0})["live_blocks"]
        if filled < 400:
            truth["fragments"] = "a step"
            self.assertIn(sites["fragments"]["verdict"], ("warm-up", "bounded"))
            sites["fragments"]["verdict"] = "a step"
        # Held by thread-local data alone: lost where the threads are gone before the scan.
        lost = sum(site["leaks"][kind]["blocks"] for site in report["sites"]
                   for kind in ("definite", "indirect")
                   if (site["location"] or {}).get("function") == "thread_leak")
        if lost * 2 > sites["thread_leak"]["live_blocks"]:
            truth["thread_leak"] = "leak"
        self.assertEqual({name: sites[name]["verdict"] for name in truth}, truth)
        # Nothing else is accused.
        accused = {site["location"]["function"] for site in growth["sites"]
                   if site["verdict"] in ("leak", "growing")}
        self.assertEqual(accused, {name for name in truth if truth[name] in ("growing", "leak")})
        # Rates: what the program allocated per second of what was looked at.
        for name in ("steady_leak", "slow_leak", "thread_leak"):
            site = sites[name]
            self.assertLessEqual(site["low"], site["bytes_per_second"])
            self.assertLessEqual(site["bytes_per_second"], site["high"])
            truth_rate = site["live_bytes"] / growth["to_seconds"]
            self.assertGreater(site["bytes_per_second"], 0.7 * truth_rate)
            self.assertLess(site["bytes_per_second"], 1.4 * truth_rate)
            self.assertLess(site["p_value"], 1e-6)
        # Moments: those of the program's own log.
        moments = [snapshot["seconds"] for snapshot in report["snapshots"]]
        self.assert_seen(sites["late_leak"]["began_seconds"], began, moments)
        self.assert_seen(sites["leak_that_stops"]["stopped_seconds"], stopped, moments)
        self.assert_seen(sites["bounded_cache"]["stopped_seconds"], full, moments)
        self.assertGreater(sites["steady_leak"]["oldest_seconds"], 2)

    def test_growth_ends_warm_up_where_it_is_told_to(self):
        self.record([SHAPES, "1500", "bounded_cache", "steady_leak"],
                    ["--snapshot-every", "30ms"])
        early = self.verdicts(self.growth())
        self.assertEqual(early["bounded_cache"]["verdict"], "bounded")
        growth = self.growth(options=["--warmup", "800ms"])
        late = self.verdicts(growth)
        self.assertEqual(late["bounded_cache"]["verdict"], "warm-up")
        self.assertEqual(late["steady_leak"]["verdict"], "growing")
        self.assertEqual(growth["warmup_seconds"], 0.8)
        self.assertFalse(growth["warmup_automatic"])
        status, line = self.refused("growth", "run.mtk", "--warmup", "1h")
        self.assertEqual(status, 65)
        self.assertIn("warm-up", line)
        self.assertEqual(self.refused("growth", "run.mtk", "--warmup", "label:none")[0], 64)
        self.assertEqual(self.refused("growth", "run.mtk", "--warmup", "soon")[0], 64)

    def test_growth_refuses_a_single_snapshot_in_one_line(self):
        self.record(["/bin/true"])
        status, line = self.refused("growth", "run.mtk")
        self.assertEqual(status, 65)
        self.assertIn("snapshots", line)

    def test_diff_shows_what_one_run_kept_between_two_snapshots(self):
        self.record([SHAPES, "800", "steady_leak", "churn"], ["--snapshot-every", "50ms"])
        diff = self.diff("run.mtk@first", "run.mtk@last")
        sites = {site["location"]["function"]: site for site in diff["sites"]}
        leak = sites["steady_leak"]
        self.assertIn(leak["status"], ("grew", "new"))
        self.assertEqual(leak["live_bytes"]["delta"], 1000 * leak["live_blocks"]["delta"])
        self.assertEqual(leak["live_bytes"]["delta"],
                         leak["live_bytes"]["b"] - leak["live_bytes"]["a"])
        # A snapshot may meet churn() with blocks in hand, and the first one may come before it ran.
        churned = sites["churn"]["live_bytes"]
        never_ran = sites["churn"]["allocations"]["a"] == 0
        self.assertEqual(sites["churn"]["status"] == "same",
                         churned["a"] == churned["b"] and not never_ran)
        deltas = [abs(site["live_bytes"]["delta"]) for site in diff["sites"]]
        self.assertEqual(deltas, sorted(deltas, reverse=True))
        for what in ("live_bytes", "live_blocks", "allocations"):
            self.assertEqual(diff["totals"][what]["delta"],
                             sum(site[what]["delta"] for site in diff["sites"]))
        self.assertLess(diff["a"]["seconds"], diff["b"]["seconds"])

    def test_diff_of_two_runs_of_one_program_finds_them_equal(self):
        for name in ("a.mtk", "b.mtk"):
            self.record([os.path.join(harness.SAMPLES, "edited_before")], recording=name)
        diff = self.diff("a.mtk", "b.mtk")
        self.assertGreater(len(diff["sites"]), 2)
        self.assertEqual({site["status"] for site in diff["sites"]}, {"same"})
        self.assertFalse(diff["matched"]["different_builds"])

    def test_diff_of_two_builds_matches_what_only_moved(self):
        for version in ("before", "after"):
            self.record([os.path.join(harness.SAMPLES, "edited_" + version)],
                        recording=version + ".mtk")
        diff = self.diff("before.mtk", "after.mtk")
        self.assertTrue(diff["matched"]["different_builds"])
        found = {site["location"]["function"]: (site["status"], site["live_bytes"]["delta"])
                 for site in diff["sites"]}
        self.assertEqual(found["keep"], ("grew", 20000))
        self.assertEqual(found["keep_more"], ("same", 0))
        self.assertEqual(found["added"], ("new", 500))
        self.assertEqual(found["removed"], ("gone", -1000))

    def test_diff_groups_and_filters(self):
        for version in ("before", "after"):
            self.record([os.path.join(harness.SAMPLES, "edited_" + version)],
                        recording=version + ".mtk")
        whole = self.diff("before.mtk", "after.mtk")["totals"]["live_bytes"]["delta"]
        for by in ("function", "file", "module", "line", "stack"):
            diff = self.diff("before.mtk", "after.mtk", ["--by", by])
            self.assertEqual(sum(site["live_bytes"]["delta"] for site in diff["sites"]), whole, by)
        only = self.diff("before.mtk", "after.mtk", ["--focus", "^keep$"])
        self.assertEqual([site["location"]["function"] for site in only["sites"]], ["keep"])
        without = self.diff("before.mtk", "after.mtk", ["--ignore", "^(keep|keep_more)$"])
        self.assertEqual({site["location"]["function"] for site in without["sites"]} &
                         {"keep", "keep_more"}, set())
        large = self.diff("before.mtk", "after.mtk", ["--min-bytes", "600"])
        self.assertEqual({site["location"]["function"] for site in large["sites"]},
                         {"keep", "removed"})

    def test_diff_refuses_bad_input_in_one_line(self):
        self.record(["/bin/true"])
        with open(self.path("text"), "w") as file:
            file.write("no recording\n")
        self.assertEqual(self.refused("diff", "run.mtk")[0], 64)
        self.assertEqual(self.refused("diff", "run.mtk", "missing.mtk")[0], 66)
        self.assertEqual(self.refused("diff", "run.mtk", "text")[0], 65)
        self.assertEqual(self.refused("diff", "run.mtk@label:none", "run.mtk")[0], 64)
        self.assertEqual(self.refused("diff", "run.mtk", "run.mtk@9999")[0], 64)
        self.assertEqual(self.refused("diff", "run.mtk", "run.mtk", "--by", "colour")[0], 64)
        self.assertEqual(self.refused("diff", "run.mtk", "run.mtk", "--focus", "(")[0], 64)
        self.assertEqual(self.refused("diff", "run.mtk", "run.mtk", "--process", "#7")[0], 66)

    def test_diff_of_different_sample_rates_works_and_is_said(self):
        program = [SHAPES, "300", "steady_leak", "churn"]
        self.record(program, recording="all.mtk")
        self.record(program, ["--sample", "64k"], recording="some.mtk")
        self.assertTrue(self.diff("all.mtk", "some.mtk")["matched"]["different_sample_rates"])
        outcome = harness.run([harness.MEMTRACK, "diff", self.path("all.mtk"),
                               self.path("some.mtk")])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn(b"different rates", outcome.stdout)

    def test_diff_of_first_and_peak_shows_what_made_the_peak(self):
        self.record([os.path.join(harness.SAMPLES, "service"), "600"],
                    ["--snapshot-every", "20ms"])
        diff = self.diff("run.mtk@first", "run.mtk@peak")
        # With several threads the composition is exact to 0.1 %.
        peak = diff["totals"]["peak_bytes"]["b"]
        self.assertLess(abs(diff["totals"]["live_bytes"]["b"] - peak), 0.001 * peak)
        largest = max(diff["sites"], key=lambda site: site["live_bytes"]["b"])
        self.assertEqual(largest["location"]["function"], "report_build")
        self.assertIsNone(diff["totals"]["allocations"]["b"])

    def children(self, pid):
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            return [int(child) for child in file.read().split()]

    def tracked(self, program, seconds=60, pid=None, parent=None):
        """The pid of a tracked process of that name, as `memtrack list` has it. `pid`, `parent`:
        wait for this one, or for a child of that memtrack; another test may run the same program
        at the same time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            outcome = harness.run([harness.MEMTRACK, "list", "--format", "json"])
            self.assertEqual(outcome.status, 0, outcome)
            for process in json.loads(outcome.stdout)["processes"]:
                if process["program"] == program and process["live_bytes"] > 0 \
                        and pid in (None, process["pid"]) \
                        and (parent is None or process["pid"] in self.children(parent)):
                    return process["pid"]
            time.sleep(0.05)
        self.fail("%s is not listed" % program)

    def test_snapshots_from_another_terminal_compare(self):
        program = self.path("shapes_to_watch")
        os.link(SHAPES, program) if os.stat(SHAPES).st_dev == os.stat(self.folder).st_dev \
            else shutil.copy(SHAPES, program)
        with subprocess.Popen([harness.MEMTRACK, "run", "-q", "--report=none", "-o",
                               self.path("run.mtk"), program, "2500", "steady_leak", "churn"],
                              start_new_session=True) as running:
            pid = str(self.tracked(program))
            for name, label in (("a.mtk", "before"), ("b.mtk", "after")):
                outcome = harness.run([harness.MEMTRACK, "snapshot", pid, "-o", self.path(name),
                                       "--label", label])
                self.assertEqual(outcome.status, 0, outcome)
                time.sleep(0.4)
            self.assertEqual(self.refused("snapshot", pid, "-o", "a.mtk")[0], 125)
            self.assertEqual(running.wait(30), 0)
        diff = self.diff("a.mtk@label:before", "b.mtk")
        leak = {site["location"]["function"]: site for site in diff["sites"]}["steady_leak"]
        self.assertEqual(leak["status"], "grew")
        # Two moments of one process, not two versions of a program of which one is worse.
        self.assertEqual(self.diff("a.mtk", "b.mtk")["verdict"], "grew")
        self.assertGreater(leak["live_blocks"]["delta"], 20)
        self.assertEqual(leak["live_bytes"]["delta"], 1000 * leak["live_blocks"]["delta"])
        # The snapshot and the recording of the whole run speak of the same sites.
        self.assertEqual(self.diff("b.mtk", "run.mtk")["matched"]["different_builds"], False)

    def test_snapshot_signal_takes_a_labelled_snapshot_and_spares_the_program(self):
        with subprocess.Popen([harness.MEMTRACK, "run", "-q", "--report=none", "-o",
                               self.path("run.mtk"), "--snapshot-signal", "USR1", "--snapshot-every",
                               "50ms", "--", SHAPES, "2500", "steady_leak"], start_new_session=True) as running:
            self.tracked(SHAPES, parent=running.pid)
            time.sleep(0.3)
            running.send_signal(signal.SIGUSR1)
            # The program would have died of it.
            self.assertEqual(running.wait(30), 0)
        labels = [snapshot["label"] for snapshot in self.report()["snapshots"]]
        self.assertEqual(labels.count("signal"), 1)
        # The warm-up may end at a label.
        moment, = [snapshot["seconds"] for snapshot in self.report()["snapshots"]
                   if snapshot["label"] == "signal"]
        growth = self.growth(options=["--warmup", "label:signal"])
        self.assertEqual(growth["warmup_seconds"], moment)
        self.assertEqual(self.verdicts(growth)["steady_leak"]["verdict"], "growing")
        diff = self.diff("run.mtk@label:signal", "run.mtk")
        self.assertGreater(diff["totals"]["live_bytes"]["delta"], 50000)
        self.assertEqual(self.refused("run", "--snapshot-signal", "KILL", "/bin/true")[0], 64)

    def test_growth_names_what_a_filling_redis_holds_and_calls_it_bounded_later(self):
        server, client, bench = harness.need("redis-server", "redis-cli", "redis-benchmark")
        port = str(20000 + os.getpid() % 20000)
        with subprocess.Popen([harness.MEMTRACK, "run", "-q", "--report=none", "-o",
                               self.path("run.mtk"), "--snapshot-every", "100ms", "--", server,
                               "--port", port, "--save", "", "--appendonly", "no", "--loglevel",
                               "warning"], start_new_session=True, cwd=self.folder,
                              stdout=subprocess.DEVNULL) as running:
            self.addCleanup(running.kill)
            for _ in range(100):
                if harness.run([client, "-p", port, "ping"]).stdout.startswith(b"PONG"):
                    break
                time.sleep(0.1)
            filling = [subprocess.run([bench, "-p", port, "-q", "-n", "6000", "-r", "1000000",
                                       "-d", "200", "-P", "4", "-t", "set"],
                                      stdout=subprocess.DEVNULL, check=True, timeout=60)
                       and time.sleep(0.2) for _ in range(8)]
            self.assertEqual(len(filling), 8)
            mark = self.path("filled.mtk")
            pid = re.search(rb"process_id:(\d+)", harness.run(
                [client, "-p", port, "info", "server"]).stdout).group(1).decode()
            self.assertEqual(harness.run([harness.MEMTRACK, "snapshot", pid, "-o",
                                          mark]).status, 0)
            with open(mark, "rb") as file:
                self.assertEqual(file.read(6), b"SQLite")
            seconds = self.diff("filled.mtk", "filled.mtk")["a"]["seconds"]
            time.sleep(3)
            harness.run([client, "-p", port, "shutdown", "nosave"])
            self.assertEqual(running.wait(60), 0)
        filling = self.growth("run.mtk@%.3fs" % seconds)
        held = [site for site in filling["sites"] if site["verdict"] in ("growing", "leak")]
        self.assertGreater(len(held), 0)
        names = {frame["function"] for site in held for frame in site["stack"]}
        self.assertTrue(names & {"setCommand", "setGenericCommand", "dbAdd", "createStringObject",
                                 "tryObjectEncoding", "call"}, names)
        before = {tuple(frame["module_offset"] for frame in site["stack"]) for site in held[:3]}
        after = {tuple(frame["module_offset"] for frame in site["stack"]): site["verdict"]
                 for site in self.growth("run.mtk")["sites"]}
        for stack in before:
            self.assertIn(after[stack], ("bounded", "freed-at-exit"))

    def test_timeline_has_every_point_in_csv_and_json(self):
        self.record([SHAPES, "400", "steady_leak"])
        outcome = harness.run([harness.MEMTRACK, "timeline", self.path("run.mtk"), "--format",
                               "json"])
        points = json.loads(outcome.stdout)["timeline"]
        self.assertGreater(len(points), 5)
        for point in points:
            self.assertLessEqual(point["live_min_bytes"], point["live_max_bytes"])
        seconds = [point["seconds"] for point in points]
        self.assertEqual(seconds, sorted(seconds))
        self.assertEqual(points[-1]["allocations"], self.report()["totals"]["allocations"])
        outcome = harness.run([harness.MEMTRACK, "timeline", self.path("run.mtk"), "--format",
                               "csv"])
        self.assertEqual(len(outcome.stdout.splitlines()), len(points) + 1)

    def assert_resident(self, process, printed, has_figures=True, is_glibc=True):
        """The ledger adds up to what the kernel told the program itself."""
        resident = {item["item"]: item["bytes"] for item in process["resident"]}
        slack = 512 << 10  # what it touches afterwards: its streams, its libraries' end
        self.assertAlmostEqual(sum(resident.values()), int(printed), delta=slack)
        self.assertAlmostEqual(resident["requested"], 20480000, delta=slack)
        self.assertAlmostEqual(resident["unexplained"], 0, delta=slack)
        self.assertGreater(resident["stacks"], 0)
        self.assertGreater(resident["files-and-code"], 1 << 20)
        self.assertEqual({"rounding", "allocator-free"} <= set(resident), has_figures)
        if has_figures and is_glibc:
            # It keeps what lies between live blocks. (jemalloc gives pages back when it likes.)
            self.assertAlmostEqual(resident["allocator-free"], 81920000, delta=slack)
            self.assertAlmostEqual(resident["own-mappings"], 32 << 20, delta=slack)

    def test_resident_memory_at_the_end_adds_up_to_what_the_kernel_says(self):
        program = os.path.join(harness.SAMPLES, "resident")
        for options, arguments, status in (([], [], 0), ([], ["_exit"], 3),
                                           (["--allocator=jemalloc"], [], 0)):
            with self.subTest(options + arguments):
                outcome = self.record([program, *arguments], ["-f", *options])
                self.assertEqual(outcome.status, status, outcome)
                self.assert_resident(self.report(), outcome.stdout, is_glibc=not options)
        alone = harness.run([program], env=self.preloaded(self.folder))
        left = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        self.assert_resident(self.report(left[0]), alone.stdout)

    def test_a_deep_snapshot_has_a_ledger_that_adds_up(self):
        program = [os.path.join(harness.SAMPLES, "resident"), "wait"]
        run = [harness.MEMTRACK, "run", "-q", "--report=none", "-o", self.path("run.mtk"),
               "--snapshot-signal", "USR1", "--snapshot-every", "1h", "--", *program]
        with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              start_new_session=True) as running:
            self.addCleanup(running.kill)
            printed = running.stdout.readline()
            pid = str(self.tracked(program[0], parent=running.pid))
            outcome = harness.run([harness.MEMTRACK, "snapshot", pid, "-o",
                                   self.path("taken.mtk")])
            self.assertEqual(outcome.status, 0, outcome)
            running.send_signal(signal.SIGUSR1)
            while harness.run([harness.MEMTRACK, "report", self.path("run.mtk@label:signal")]
                              ).status != 0:
                time.sleep(0.05)
            running.stdin.close()
            self.assertEqual(running.wait(60), 0)
        for recording in ("taken.mtk", "run.mtk@label:signal"):
            with self.subTest(recording):
                report = self.report(recording)
                # A program that does nothing just then is not waited for.
                has_figures = any(item["item"] == "rounding" for item in report["resident"])
                self.assert_resident(report, printed, has_figures)

    def serve(self, recording, paths, seconds=2.5):
        """Records the HTTP server under load; returns the number of requests."""
        load = os.path.join(harness.SOURCE, "samples", "growth", "load.py")
        with subprocess.Popen([harness.MEMTRACK, "run", "-q", "--report=none", "-o",
                               self.path(recording), "--snapshot-every", "50ms", "--",
                               os.path.join(harness.SAMPLES, "http_server")],
                              stdout=subprocess.PIPE, start_new_session=True) as running:
            self.addCleanup(running.kill)
            port = running.stdout.readline().decode().strip()
            loaded = harness.run(["/usr/bin/python3", load, port, str(seconds), *paths])
            self.assertEqual(loaded.status, 0, loaded)
            harness.run(["/usr/bin/python3", load, port, "0.001", "/quit"])
            self.assertEqual(running.wait(30), 0)
        return int(loaded.stdout)

    def test_growth_finds_the_one_url_that_leaks(self):
        requests = self.serve("leaking.mtk", ["/hello", "/session", "/big"])
        sites = [site for site in self.growth("leaking.mtk")["sites"]
                 if site["verdict"] in ("leak", "growing")]
        self.assertEqual({site["location"]["function"] for site in sites}, {"session_open"})
        for site in sites:
            self.assertAlmostEqual(site["live_blocks"], requests / 3, delta=2)
        self.serve("sound.mtk", ["/hello", "/big"], 1.5)
        self.assertEqual([site for site in self.growth("sound.mtk")["sites"]
                          if site["verdict"] in ("leak", "growing")], [])

    def test_snapshot_refuses_what_is_not_tracked(self):
        self.assertEqual(self.refused("snapshot", str(os.getpid()), "-o", "x.mtk")[0], 66)
        self.assertEqual(self.refused("snapshot", "4194304", "-o", "x.mtk")[0], 66)
        self.assertEqual(self.refused("snapshot", "me", "-o", "x.mtk")[0], 64)
        self.assertEqual(self.refused("snapshot", str(os.getpid()))[0], 64)
        self.assertFalse(os.path.exists(self.path("x.mtk")))

    def preloaded(self, folder):
        """An environment as one would set it for a service: no recorder, an output folder."""
        environment = dict(os.environ, MEMTRACK_OUTPUT=folder, LD_PRELOAD=os.path.join(
            harness.BUILD, "lib", "memtrack", "libmemtrack.so"))
        environment.pop("MEMTRACK_ARENA", None)
        return environment

    def test_program_without_a_recorder_leaves_its_counters(self):
        plain = harness.run([os.path.join(harness.SAMPLES, "known_totals")])
        alone = harness.run([os.path.join(harness.SAMPLES, "known_totals")],
                            env=self.preloaded(self.folder))
        self.assertEqual((plain.status, plain.stdout, plain.stderr),
                         (alone.status, alone.stdout, alone.stderr))
        left = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        self.assertEqual(len(left), 1, left)
        self.record([os.path.join(harness.SAMPLES, "known_totals")])
        recorded = self.report()
        by_itself = self.report(left[0])
        for name in ("allocations", "frees", "allocated_bytes", "live_blocks", "live_bytes",
                     "peak_bytes", "temporary_allocations"):
            self.assertEqual(by_itself["totals"][name], recorded["totals"][name], name)
        self.assertEqual({site["status"] for site in self.diff("run.mtk", left[0])["sites"]},
                         {"same"})

    def test_program_without_a_recorder_is_scanned_and_sampled(self):
        leaky = [os.path.join(harness.SAMPLES, "leaks"), "none"]
        environment = self.preloaded(self.folder)
        busy = ["/usr/bin/python3", "-c", "import time\n"
                "while time.process_time() < 0.5: [str(i) for i in range(1000)]"]
        self.assertEqual(harness.run(busy, env=environment).status, 0)
        left, = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        report = self.report(left)
        self.assertEqual(report["leaks"]["scan"], "full")
        self.assertEqual(sum(report["leaks"][kind]["blocks"] for kind in (
            "definite", "indirect", "possible", "reachable")), report["totals"]["live_blocks"])
        # 0.5 s of CPU time at 99 a second, and what was lost to a busy machine.
        self.assertGreater(report["cpu"]["samples"], 30)
        self.assertGreater(report["totals"]["peak_rss_bytes"], 1 << 20)
        text = harness.run([harness.MEMTRACK, "report", self.path(left)]).stdout.decode()
        self.assertIn("without a recorder", text)
        os.unlink(self.path(left))
        environment.update(MEMTRACK_CPU="0", MEMTRACK_LEAKS="off")
        self.assertEqual(harness.run(busy, env=environment).status, 0)
        left, = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        report = self.report(left)
        self.assertEqual(report["cpu"]["samples"], 0)
        self.assertEqual(report["leaks"]["scan"], "off")
        os.unlink(self.path(left))
        # The scan finds what it finds under a recorder.
        environment = self.preloaded(self.folder)
        harness.run(leaky, env=environment)
        left, = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        self.record(leaky)
        self.assertGreater(self.report()["leaks"]["definite"]["blocks"], 0)
        self.assertEqual(self.report(left)["leaks"], self.report()["leaks"])

    def test_killed_program_without_a_recorder_is_diffed_with_its_snapshot(self):
        with subprocess.Popen([SHAPES, "20000", "steady_leak"],
                              env=self.preloaded(self.folder)) as running:
            self.addCleanup(running.kill)
            self.assertEqual(self.tracked(SHAPES, pid=running.pid), running.pid)
            time.sleep(0.3)
            outcome = harness.run([harness.MEMTRACK, "snapshot", str(running.pid), "-o",
                                   self.path("alive.mtk")])
            self.assertEqual(outcome.status, 0, outcome)
            time.sleep(0.3)
            running.kill()
            running.wait()
        left = [name for name in os.listdir(self.folder) if name.endswith(".arena")]
        self.assertEqual(len(left), 1)
        diff = self.diff("alive.mtk", left[0])
        leak = {site["location"]["function"]: site for site in diff["sites"]}["steady_leak"]
        self.assertEqual(leak["status"], "grew")
        self.assertEqual(leak["live_bytes"]["delta"], 1000 * leak["live_blocks"]["delta"])

    def test_program_goes_on_when_its_output_folder_cannot_be_written(self):
        plain = harness.run([os.path.join(harness.SAMPLES, "known_totals")])
        for folder in (self.path("missing"), "/proc"):
            alone = harness.run([os.path.join(harness.SAMPLES, "known_totals")],
                                env=self.preloaded(folder))
            self.assertEqual((plain.status, plain.stdout, plain.stderr),
                             (alone.status, alone.stdout, alone.stderr))
        # A limit on files' sizes is kept, not met with a signal.
        limited = harness.run(["/bin/sh", "-c", "ulimit -f 40000; exec %s" % os.path.join(
            harness.SAMPLES, "known_totals")], env=self.preloaded(self.folder))
        self.assertEqual(plain.status, limited.status, limited)


if __name__ == "__main__":
    harness.main()
