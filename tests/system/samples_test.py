"""The samples' own truth, against what memtrack says of them."""

import os
import re

from harness import SAMPLES, MemtrackTest, main, need, processes, run
from truth import compare, disagreements, functions_of, numbers, read_truth


def sample(name):
    return os.path.join(SAMPLES, name)


class SampleTest(MemtrackTest):
    def check(self, name, arguments=(), argument=None, is_wanted=lambda subject: True, options=(),
              env=None, behaves=True):
        """Runs a sample, compares exit status, errors and every stated number."""
        truth = read_truth(name)
        plain = run([sample(name), *arguments], cwd=self.folder, env=env)
        tracked = self.record([sample(name), *arguments], options, env=env)
        suffix = " of " + argument if argument else ""
        status = int(truth.get("status" + suffix, truth.get("status", "0")))
        self.assertEqual(plain.status, status, plain)
        self.assertEqual(tracked.status, status, tracked)
        if behaves:
            self.assertEqual(tracked.stdout, plain.stdout)
            self.assertEqual(tracked.stderr, plain.stderr)
        if "stdout" in truth:
            self.assertEqual(tracked.stdout.decode().strip(), truth["stdout"])
        report = self.report()
        problems = disagreements(truth, report, is_wanted)
        errors = {}
        for error in report["errors"]:
            errors[error["kind"]] = errors.get(error["kind"], 0) + error["count"]
        self.assertEqual(errors, numbers(truth.get("errors" + suffix, "")))
        self.assertEqual(problems, [])
        return report

    # ---- numbers ----

    def test_known_totals_are_exact(self):
        self.check("known_totals")

    def test_temporaries_are_exact(self):
        self.check("temporaries")

    def test_share_at_the_peak_is_exact(self):
        self.check("peak")

    def test_reallocs_count_one_free_and_one_allocation(self):
        self.check("reallocs")

    def test_live_blocks_are_exact(self):
        truth = read_truth("live_blocks")
        self.record([sample("live_blocks"), "1000", "64"])
        report = self.report()
        problems = []
        compare(problems, "total", numbers(truth["total with 1000 64"]), report["totals"])
        compare(problems, "hold()", numbers(truth["hold() with 1000 64"]),
                functions_of(report)["hold"])
        self.assertEqual(problems, [])

    def test_sites_add_up_to_the_totals(self):
        for name in ("known_totals", "peak", "reallocs", "fork_tree"):
            self.record([sample(name)], recording=name)
            totals = self.report(name)["totals"]
            sites = self.report(name)["sites"]
            for field in ("allocations", "frees", "allocated_bytes", "freed_bytes", "live_blocks",
                          "live_bytes", "peak_bytes", "peak_blocks", "temporary_allocations"):
                self.assertEqual(sum(site[field] for site in sites), totals[field],
                                 "%s of %s" % (field, name))

    # ---- entry points ----

    def test_every_c_entry_point_is_seen(self):
        self.check("entry_points")

    def test_every_form_of_new_and_delete_is_seen(self):
        self.check("entry_points_new")

    def test_jemalloc_extended_api_is_seen(self):
        self.check("jemalloc_api")

    def test_usable_size_belongs_to_the_program(self):
        self.check("usable_size")

    def test_allocations_before_main_are_seen(self):
        self.check("before_main")

    def test_frees_after_main_are_seen(self):
        self.check("late_frees")

    # ---- ends ----

    def check_end(self, how):
        # pthread_exit in main loads libgcc_s, which allocates.
        exact = lambda subject: subject != "total" or how != "thread-exit"
        report = self.check("ends", [how], how, exact)
        process = report["process"]
        signals = {"abort": 6, "segv": 11, "kill": 9, "term": 15}
        self.assertEqual(process["signal"], signals.get(how))
        if how not in signals and how != "exec":
            self.assertEqual(process["exit_status"], int(read_truth("ends")["status of " + how]))
        return report

    def test_return_from_main_loses_nothing(self):
        self.check_end("return")

    def test_exit_loses_nothing(self):
        self.check_end("exit")

    def test_underscore_exit_loses_nothing(self):
        self.check_end("_exit")

    def test_quick_exit_loses_nothing(self):
        self.check_end("quick_exit")

    def test_abort_loses_nothing(self):
        self.check_end("abort")

    def test_segmentation_fault_loses_nothing(self):
        self.check_end("segv")

    def test_sigkill_loses_nothing(self):
        self.check_end("kill")

    def test_sigterm_loses_nothing(self):
        self.check_end("term")

    def test_exit_of_the_main_thread_loses_nothing(self):
        self.check_end("thread-exit")

    def test_exec_loses_nothing(self):
        report = self.check_end("exec")
        self.assertEqual([os.path.basename(os.path.realpath(child["process"]["program"]))
                          for child in report["children"]], ["true"])

    # ---- defects ----

    def test_a_clean_program_has_no_defects(self):
        self.check("defects", ["none"], "none")

    def test_wrong_frees_are_reported_and_behave_as_before(self):
        for defect in ("double-free", "double-delete", "free-inside", "free-stack", "free-global",
                       "realloc-stack"):
            with self.subTest(defect):
                self.record_again()
                report = self.check("defects", [defect], defect)
                release = report["errors"][0]["stack"]
                self.assertTrue(any(re.match(r"release_by_", frame["function"] or "")
                                    for frame in release), release)
                allocation = report["errors"][0]["allocation_stack"]
                if defect.startswith("double-"):
                    self.assertTrue(any(re.match(r"allocate_by_", frame["function"] or "")
                                        for frame in allocation), allocation)

    def test_mismatched_releases_are_reported_and_behave_as_before(self):
        for defect in ("new-free", "new-array-free", "malloc-delete", "malloc-delete-array",
                       "new-delete-array", "new-array-delete", "new-realloc", "three-times"):
            with self.subTest(defect):
                self.record_again()
                report = self.check("defects", [defect], defect)
                for stack, prefix in (("stack", "release_by_"), ("allocation_stack", "allocate_by_")):
                    frames = report["errors"][0][stack]
                    self.assertTrue(any((frame["function"] or "").startswith(prefix)
                                        for frame in frames), frames)

    def record_again(self):
        if os.path.exists(self.path("run.mtk")):
            os.unlink(self.path("run.mtk"))

    # ---- processes ----

    def test_forked_children_have_numbers_of_their_own(self):
        self.check("fork_tree")

    def check_spawn(self, how, children):
        env = dict(os.environ, SPAWNS=sample("spawns"))
        wanted = {"in_parent()", "status"} | set(children)
        report = self.check("spawns", [how], None, lambda subject: subject in wanted, env=env)
        below = [process for process in list(processes(report))[1:]]
        self.assertTrue(below, "no child is in the report")
        return report

    def test_fork_and_exec_is_followed(self):
        self.check_spawn("fork-exec", ["child in_child()"])

    def test_vfork_and_exec_is_followed(self):
        self.check_spawn("vfork-exec", ["child in_child()"])

    def test_allocations_of_a_vfork_child_count_for_the_parent(self):
        self.check_spawn("vfork-allocates", ["child in_child()", "in_vfork_child()"])

    def test_posix_spawn_is_followed(self):
        self.check_spawn("posix-spawn", ["child in_child()"])

    def test_system_is_followed(self):
        self.check_spawn("system", ["child in_child()"])

    def test_raw_clone_is_followed(self):
        self.check_spawn("clone", ["child in_clone()"])

    def test_follow_none_records_the_first_process_alone(self):
        self.record([sample("fork_tree")], ["--follow=none"])
        report = self.report()
        self.assertEqual(report["children"], [])
        self.assertEqual(report["totals"]["allocations"], 110)

    def test_follow_fork_stops_at_exec(self):
        self.record([sample("spawns"), "fork-exec"], ["--follow=fork"])
        names = [functions_of(process) for process in processes(self.report())]
        self.assertFalse(any("in_child" in functions for functions in names))
        self.record([sample("fork_tree")], ["--follow=fork"], "tree.mtk")
        self.assertEqual(len(list(processes(self.report("tree.mtk")))), 4)

    # ---- threads, signals, jumps, libraries ----

    def test_threads_that_come_and_go_lose_nothing(self):
        self.check("many_threads")

    def test_blocks_freed_by_another_thread_are_exact(self):
        self.check("handed_over")

    def test_exceptions_across_threads_work_and_are_counted(self):
        self.check("exceptions")

    def test_libraries_at_the_same_address_are_told_apart(self):
        self.check("plugins")

    def test_longjmp_over_frames_keeps_stacks_exact(self):
        self.check("jumps")

    def test_signal_handlers_may_allocate(self):
        self.check("signal_handlers")

    def test_children_forked_in_the_middle_of_an_event_go_on(self):
        self.check("fork_in_handler")

    def test_coroutines_are_walked_or_cut(self):
        self.check("swapped_stacks")

    def test_deep_stacks_are_cut_and_counted(self):
        report = self.check("deep")
        self.assertLessEqual(max(len(site["stack"]) for site in report["sites"]), 128 + 16)

    def test_depth_limits_the_frames_kept(self):
        self.record([sample("deep")], ["--depth", "5"])
        report = self.report()
        self.assertEqual(report["mode"]["depth"], 5)
        self.assertLessEqual(max(len(site["stack"]) for site in report["sites"]), 5)
        self.assertEqual(report["totals"]["allocations"], 601)

    def test_stress_with_two_threads_is_exact(self):
        truth = read_truth("stress")
        self.record([sample("stress"), "2", "1000", "local"])
        problems = []
        compare(problems, "churn()", numbers(truth["churn() with 2 1000 local"]),
                functions_of(self.report())["churn"])
        self.assertEqual(problems, [])

    def test_service_is_exact(self):
        self.check("service")

    # ---- programs that confine themselves ----

    def check_confined(self, how):
        self.check("confined", [how])

    def test_closed_descriptors_lose_nothing(self):
        self.check_confined("close-all")

    def test_close_range_loses_nothing(self):
        self.check_confined("close-range")

    def test_a_limit_on_files_loses_nothing(self):
        self.check_confined("limit-files")

    def test_a_limit_on_file_size_loses_nothing(self):
        self.check_confined("limit-file-size")

    def test_a_limit_on_memory_loses_nothing(self):
        self.check_confined("limit-memory")

    def test_a_seccomp_filter_loses_nothing(self):
        self.check_confined("seccomp")

    def test_changed_root_and_dropped_rights_lose_nothing(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        for how in ("chroot", "setuid"):
            with self.subTest(how):
                self.record_again()
                self.check_confined(how)

    def test_programs_started_under_limits_lose_nothing(self):
        truth = read_truth("known_totals")
        for resource, value in (("memory", 192 << 20), ("file-size", 0), ("files", 8)):
            with self.subTest(resource):
                self.record_again()
                outcome = self.record([sample("limited_start"), resource, str(value),
                                       sample("known_totals")])
                self.assertEqual(outcome.status, 3, outcome)
                started = [process for process in processes(self.report())
                           if process["process"]["program"].endswith("known_totals")]
                self.assertEqual(len(started), 1)
                self.assertEqual(disagreements(truth, started[0]), [])


class TruthTest(MemtrackTest):
    """An independent count of what the samples state."""

    def test_samples_truth_agrees_with_valgrind(self):
        valgrind = need("valgrind")
        for name in ("known_totals", "temporaries", "peak", "usable_size", "deep", "jumps",
                     "signal_handlers", "swapped_stacks"):
            with self.subTest(name):
                stated = numbers(read_truth(name)["total"])
                outcome = run([valgrind, "--run-libc-freeres=no", "--log-file=" + self.path(name),
                               sample(name)])
                self.assertEqual(outcome.status, int(read_truth(name)["status"]), outcome)
                with open(self.path(name), encoding="utf-8") as file:
                    counted = re.search(r"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, "
                                        r"([\d,]+) bytes", file.read())
                allocations, frees, size = (int(number.replace(",", ""))
                                            for number in counted.groups())
                self.assertEqual(allocations, stated["allocations"])
                self.assertEqual(frees, stated["frees"])
                self.assertEqual(size, stated.get("allocated_bytes", size))


if __name__ == "__main__":
    main()
