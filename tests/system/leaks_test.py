"""The leak census: samples against their truth, real programs against Valgrind's memcheck."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree

import harness

CLASSES = ("definite", "indirect", "possible", "reachable")


def truth(source):
    """The cases of a sample, from its first comment: {case: {class: blocks}}."""
    with open(os.path.join(harness.SOURCE, "samples", source), encoding="utf-8") as file:
        comment = file.read().split("*/")[0]
    cases = {}
    for line in comment.split("Truth")[1].splitlines():
        match = re.match(r" \*   (\w+): (.*)", line)
        if match:
            cases[match[1]] = {name: int(count) for name, count in
                               (part.split() for part in match[2].split(", "))}
    return cases


def chain_truth():
    """The nine cases of leak_chains.c: {case: {"subject_a": class, ...}}."""
    with open(os.path.join(harness.SOURCE, "samples", "leak_chains.c"), encoding="utf-8") as file:
        comment = file.read().split("*/")[0]
    return {match[1]: {"subject_" + block: name for block, name in
                       (part.split() for part in match[2].split(", "))}
            for match in re.finditer(r" \*   (\d\w+): (.*)", comment.split("Truth")[1])}


def subject_of(functions):
    """The function subject... among these, or None."""
    return next((name for name in functions if (name or "").startswith("subject")), None)


class LeaksTest(harness.MemtrackTest):
    def leaks(self, recording="run.mtk", *options):
        outcome = harness.run([harness.MEMTRACK, "leaks", self.path(recording), "--format=json",
                               *options])
        self.assertEqual(outcome.status, 0, outcome)
        return json.loads(outcome.stdout)

    def subject_classes(self, report):
        """Blocks by class of the sites that have a function subject... in their stack."""
        found = {}
        for process in harness.processes(report):
            for site in process["sites"]:
                names = [frame["function"] or "" for frame in site["stack"]]
                if not any(name.startswith("subject") for name in names):
                    continue
                for name in CLASSES:
                    blocks = site["leaks"][name]["blocks"]
                    if blocks:
                        found[name] = found.get(name, 0) + blocks
        return found

    def check_sample(self, program, source):
        cases = truth(source)
        self.assertGreater(len(cases), 5)
        for case, expected in cases.items():
            with self.subTest(case=case):
                outcome = self.record([os.path.join(harness.SAMPLES, program), case],
                                      options=["-f"])
                if outcome.status == 77:
                    continue
                self.assertEqual(outcome.status, 0, outcome)
                report = self.report()
                if case.startswith("fork_"):
                    # The parent never had the blocks: only the child lost them.
                    report = {"sites": report["children"][0]["sites"], "children": []}
                elif report["leaks"]["scan"] != "full":
                    self.fail("scan: " + report["leaks"]["scan"])
                self.assertEqual(self.subject_classes(report), expected)

    def test_census_finds_pointers_wherever_a_program_keeps_them(self):
        self.check_sample("leaks", "leaks.c")

    def test_census_finds_what_leak_sanitizer_documents(self):
        self.check_sample("leaks_lsan", "leaks_lsan.c")

    def leak_sanitizer(self, program, case):
        """How many blocks of subject() LeakSanitizer calls lost; None where it does not run."""
        outcome = harness.run([program, case], cwd=self.folder)
        text = outcome.stderr.decode(errors="replace")
        if "LeakSanitizer has encountered a fatal error" in text:
            return None
        lost = 0
        for part in re.split(r"\n(?=Direct|Indirect)", text)[1:]:
            if re.search(r"#\d+ 0x[0-9a-f]+ in subject", part.split("\n\n")[0]):
                lost += int(re.search(r" in (\d+) object", part)[1])
        return lost

    # What LeakSanitizer does another way: it takes mappings for roots only when they are
    # registered, knows no tagged pointers, does not look at quick_exit, reads protected pages
    # (and dies of it), and cannot stop a thread that a debugger holds. (The others take long.)
    NOT_AS_LEAK_SANITIZER = {"mapping", "shared_mapping", "sealed_mapping", "guard", "sparse",
                             "tagged_above", "tagged_below", "tagged_in_block", "compressed",
                             "quick", "protected", "traced_thread", "traced_thread_local", "thread_storm",
                             "gigabyte", "list"}

    def check_leak_sanitizer(self, name):
        clang = harness.need("clang")
        program = self.path(name)
        built = harness.run([clang, "-g", "-O1", "-fno-inline", "-fno-builtin", "-fsanitize=leak",
                             "-D_GNU_SOURCE", "-pthread",
                             "-I", os.path.join(harness.SOURCE, "include"), "-o", program,
                             os.path.join(harness.SOURCE, "samples", name + ".c"), "-ldl"])
        if built.status != 0:
            self.skipTest("clang has no LeakSanitizer here")
        shutil.copy(os.path.join(harness.SAMPLES, "leaks_plugin.so"), self.folder)
        cases = truth(name + ".c")
        first = next(iter(cases))
        if self.leak_sanitizer(program, first) is None:
            self.skipTest("LeakSanitizer cannot run here: it needs ptrace")
        for case, expected in cases.items():
            if case not in self.NOT_AS_LEAK_SANITIZER:
                with self.subTest(case=case):
                    self.assertEqual(self.leak_sanitizer(program, case),
                                     expected.get("definite", 0) + expected.get("indirect", 0))

    def test_leak_sanitizer_says_the_same_of_what_it_documents(self):
        self.check_leak_sanitizer("leaks_lsan")

    def test_leak_sanitizer_says_the_same_of_pointers_in_odd_places(self):
        self.check_leak_sanitizer("leaks")

    def test_nine_chains_have_the_classes_of_memchecks_manual(self):
        cases = chain_truth()
        self.assertEqual(len(cases), 9)
        kinds = {"Leak_DefinitelyLost": "definite", "Leak_IndirectlyLost": "indirect",
                 "Leak_PossiblyLost": "possible", "Leak_StillReachable": "reachable"}
        program = os.path.join(harness.SAMPLES, "leak_chains")
        log = self.path("memcheck.xml")
        for case, expected in cases.items():
            with self.subTest(case=case):
                self.record([program, case], options=["-f"])
                leaks = self.leaks()
                ours = {}
                for site in leaks["lost"] + leaks["held"]:
                    subject = subject_of(frame["function"] for frame in site["stack"])
                    if subject:
                        ours[subject] = site.get("class", "reachable")
                self.assertEqual(ours, expected)
                harness.run([harness.need("valgrind"), "-q", "--leak-check=full",
                             "--show-leak-kinds=all", "--xml=yes", "--xml-file=" + log, program,
                             case])
                theirs = {}
                for error in xml.etree.ElementTree.parse(log).getroot().iter("error"):
                    subject = subject_of(frame.findtext("fn") for frame in error.iter("frame"))
                    if subject:
                        theirs[subject] = kinds[error.findtext("kind")]
                self.assertEqual(theirs, expected)

    def test_census_follows_pointers_in_blocks_of_before_the_real_malloc(self):
        outcome = self.record([os.path.join(harness.SAMPLES, "leaks_boot")], options=["-f"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.subject_classes(self.report()), {"reachable": 1})

    def test_threads_that_cannot_be_stopped_are_named_and_scanned_whole(self):
        for case in ("blocked_thread", "traced_thread"):
            with self.subTest(case=case):
                outcome = self.record([os.path.join(harness.SAMPLES, "leaks"), case],
                                      options=["-f"])
                if outcome.status == 77:
                    continue
                leaks = self.leaks()
                self.assertEqual(leaks["leaks"]["scan"], "full")
                self.assertEqual(leaks["remark"], "1 of 2 threads could not be stopped: their "
                                                  "whole stacks count")

    def test_census_knows_pointers_of_cxx_into_blocks(self):
        self.check_sample("leaks_cxx", "leaks_cxx.cpp")

    def memcheck(self, command):
        """Definite and possible blocks, as memcheck sees them."""
        log = self.path("memcheck.log")
        outcome = harness.run([harness.need("valgrind"), "--leak-check=full",
                               "--log-file=" + log, "--trace-children=no", *command],
                              cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        found = {}
        for words, name in (("definitely", "definite"), ("indirectly", "indirect"),
                            ("possibly", "possible")):
            match = re.search(words + r" lost: [\d,]+ bytes in ([\d,]+) blocks", text)
            found[name] = int(match[1].replace(",", "")) if match else 0
        return found

    def check_against_memcheck(self, command):
        memcheck = self.memcheck(command)
        outcome = self.record(command, options=["-f"])
        self.assertEqual(outcome.status, 0, outcome)
        leaks = self.leaks()
        self.assertEqual(leaks["leaks"]["scan"], "full")
        self.assertLessEqual(leaks["leaks"]["definite"]["blocks"], memcheck["definite"],
                             json.dumps(leaks["lost"][:5], indent=1))
        return leaks, memcheck

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def test_no_definite_leak_in_jq_that_memcheck_does_not_see(self):
        self.write("d.json", json.dumps([{"a": i, "b": ["x" * (i % 50)] * 3}
                                         for i in range(1000)]))
        self.check_against_memcheck([harness.need("jq"), ".[].a", "d.json"])

    def test_no_definite_leak_in_xmllint_that_memcheck_does_not_see(self):
        self.write("d.xml", "<r>" + "".join("<e i='%d'>t<b/></e>" % i for i in range(1000))
                   + "</r>")
        self.check_against_memcheck([harness.need("xmllint"), "--format", "d.xml"])

    def test_no_definite_leak_in_sqlite3_that_memcheck_does_not_see(self):
        self.check_against_memcheck(
            [harness.need("sqlite3"), ":memory:",
             "create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c "
             "where x<2000) insert into t select x, hex(x) from c; select count(*) from t;"])

    def test_no_definite_leak_in_git_that_memcheck_does_not_see(self):
        git = harness.need("git")
        harness.run([git, "init", "-q", "g"], cwd=self.folder)
        leaks, memcheck = self.check_against_memcheck([git, "-C", "g", "status"])
        self.assertEqual(leaks["leaks"]["possible"]["blocks"], memcheck["possible"])

    def test_no_definite_leak_in_bash_that_memcheck_does_not_see(self):
        self.check_against_memcheck(
            [harness.need("bash"), "-c",
             "x=(); for i in {1..500}; do x+=($i); done; f() { local a=$1; echo $a; }; f 3; exit 0"])

    def test_no_definite_leak_in_python_that_memcheck_does_not_see(self):
        self.check_against_memcheck(["/usr/bin/python3", "-c",
                                     "import json; print(len(json.dumps(list(range(1000)))))"])

    def test_perl_loses_what_memcheck_says_it_loses(self):
        leaks, memcheck = self.check_against_memcheck(
            [harness.need("perl"), "-e", "my %h; $h{$_}=[1..3] for 1..1000; print scalar keys %h"])
        self.assertGreater(memcheck["definite"], 0)
        self.assertEqual(leaks["leaks"]["definite"]["blocks"], memcheck["definite"])
        self.assertEqual(leaks["leaks"]["indirect"]["blocks"], memcheck["indirect"])

    def test_suppressions_of_both_syntaxes_take_leaks_out(self):
        self.record([os.path.join(harness.SAMPLES, "leaks"), "cycle"], options=["-f"])
        self.assertEqual(self.leaks()["leaks"]["definite"]["blocks"], 1)
        self.write("lsan.supp", "# known\nleak:make_cyc*\nleak:^nobody$\n")
        suppressed = self.leaks("run.mtk", "--suppressions", self.path("lsan.supp"))
        self.assertEqual(suppressed["leaks"]["definite"]["blocks"], 0)
        self.assertEqual(suppressed["leaks"]["suppressed"]["blocks"], 3)
        self.assertEqual([one["blocks"] for one in suppressed["suppressions"]], [3, 0])
        generated = harness.run([harness.MEMTRACK, "leaks", self.path("run.mtk"),
                                 "--gen-suppressions"])
        self.write("own.supp", generated.stdout.decode())
        suppressed = self.leaks("run.mtk", "--suppressions", self.path("own.supp"))
        self.assertEqual(suppressed["leaks"]["definite"]["blocks"], 0)
        self.assertEqual(suppressed["lost"], [])

    def test_malformed_suppressions_are_refused_with_their_line(self):
        self.record([os.path.join(harness.SAMPLES, "leaks"), "cycle"], options=["-f"])
        for text, line in (("leak:a\nleek:b\n", 2), ("{\n name\n Memcheck:Leak\n fun:x\n", 1),
                           ("{\nname\nMemcheck:Leak\nfoo:x\n}\n", 4), ("leak:\n", 1),
                           ("{\nn\nMemcheck:Leak\nmatch-leak-kinds: some\n}\n", 4)):
            with self.subTest(text=text):
                self.write("bad.supp", text)
                outcome = harness.run([harness.MEMTRACK, "leaks", self.path("run.mtk"),
                                       "--suppressions", self.path("bad.supp")])
                self.assertEqual(outcome.status, 64, outcome)
                self.assertIn(b"bad.supp:%d: " % line, outcome.stderr)
                self.assertEqual(len(outcome.stderr.splitlines()), 1)

    def test_holder_is_named_with_its_share(self):
        self.record([os.path.join(harness.SAMPLES, "leaks"), "static_in_function"], options=["-f"])
        held = [site for site in self.leaks()["held"]
                if any(frame["function"] == "subject" for frame in site["stack"])]
        self.assertEqual(len(held), 1)
        self.assertEqual(held[0]["held_by"][0]["blocks"], 1)
        self.assertRegex(held[0]["held_by"][0]["chain"][0], r"^kept(\.\d+)? \(leaks\)$")

    def test_thread_and_function_of_a_stack_that_holds_are_named(self):
        for case, place in (("thread_stack", "the stack of thread \\d+ 'kept here', in thread_stack "),
                            ("thread_register", "a register of thread \\d+ 'kept here', in "
                                                "thread_register "),
                            ("stack", "the stack of thread \\d+ 'leaks', in case_stack "),
                            ("specific_of_thread", "thread-local data of thread \\d+ 'kept here'")):
            with self.subTest(case=case):
                self.record([os.path.join(harness.SAMPLES, "leaks"), case], options=["-f"])
                held = [site for site in self.leaks()["held"]
                        if subject_of(frame["function"] for frame in site["stack"])]
                self.assertEqual(len(held), 1)
                end = r"leaks.c:\d+$" if place.endswith(" ") else "$"
                self.assertRegex(held[0]["held_by"][0]["chain"][0], "^" + place + end)

    def test_census_knows_the_heap_of_jemalloc(self):
        cases = truth("leaks.c")
        for case in ("global", "none", "thread_local", "thread_stack", "mapping", "list", "large",
                     "gigabyte", "large_held", "cycle", "dead_stack", "freed_block"):
            with self.subTest(case=case):
                outcome = self.record([os.path.join(harness.SAMPLES, "leaks"), case],
                                      options=["-f", "--allocator=jemalloc"])
                self.assertEqual(outcome.status, 0, outcome)
                self.assertEqual(self.subject_classes(self.report()), cases[case])

    def test_program_that_confines_itself_is_left_alone(self):
        outcome = self.record([os.path.join(harness.SAMPLES, "confined"), "seccomp"],
                              options=["-f"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.leaks()["leaks"]["scan"],
                         "failed: the program confined itself with seccomp")

    def test_program_locked_out_of_proc_is_scanned_with_the_recorders_help(self):
        for how in ("chroot", "close-all", "limit-files"):
            with self.subTest(how=how):
                outcome = self.record([os.path.join(harness.SAMPLES, "confined"), how],
                                      options=["-f"])
                if outcome.status == 77:
                    continue
                self.assertEqual(outcome.status, 0, outcome)
                leaks = self.leaks()["leaks"]
                self.assertEqual(leaks["scan"], "full")
                # before() keeps 100 blocks, after() 100 of 1000.
                self.assertEqual(leaks["reachable"]["blocks"], 200)
                self.assertEqual(leaks["definite"]["blocks"] + leaks["indirect"]["blocks"], 0)

    def test_options_choose_what_counts(self):
        program = os.path.join(harness.SAMPLES, "leaks")
        for case, options, expected in (
                ("global", ["--roots", "stacks,registers"], {"definite": 1}),
                ("mapping", ["--roots", "globals,stacks,registers,tls"], {"definite": 1}),
                ("mapping", ["--roots", "mappings"], {"reachable": 1}),
                ("interior", ["--interior-pointers"], {"reachable": 1}),
                ("interior_chain", ["--interior-pointers", "--pointer-alignment", "1"],
                 {"reachable": 2})):
            with self.subTest(case=case, options=options):
                self.record([program, case], options=["-f", *options])
                self.assertEqual(self.subject_classes(self.report()), expected)
        program = os.path.join(harness.SAMPLES, "leaks_lsan")
        for case, options, expected in (
                ("root_region", ["--roots", "globals,stacks,registers,tls"], {"reachable": 1}),
                ("unaligned", ["--pointer-alignment", "1"], {"reachable": 1})):
            with self.subTest(case=case, options=options):
                self.record([program, case], options=["-f", *options])
                self.assertEqual(self.subject_classes(self.report()), expected)
        for options in (["--roots", "globals,stack"], ["--roots", ""],
                        ["--pointer-alignment", "3"]):
            with self.subTest(options=options):
                outcome = self.record([program, "global"], options=["-f", *options])
                self.assertEqual(outcome.status, 64, outcome)
                self.assertEqual(len(outcome.stderr.splitlines()), 1)

    def test_scan_at_underscore_exit_is_made_when_asked(self):
        code = "import os; kept = [0] * 100; os._exit(3)"
        for options, expected in ((["--leaks-at-_exit"], "full"), ([], "failed: ")):
            outcome = self.record(["/usr/bin/python3", "-c", code], options=["-f", *options])
            self.assertEqual(outcome.status, 3, outcome)
            self.assertTrue(self.leaks()["leaks"]["scan"].startswith(expected))

    def test_running_process_scans_itself_and_goes_on(self):
        code = ("import os, time\n"
                "open('pid', 'w').write(str(os.getpid()))\n"
                "time.sleep(3)\n"
                "open('end', 'w').write('reached')\n")
        recorder = subprocess.Popen(
            [harness.MEMTRACK, "run", "-q", "--report=none", "-o", self.path("run.mtk"), "--",
             "/usr/bin/python3", "-c", code], cwd=self.folder)
        self.addCleanup(recorder.wait)
        for _ in range(200):
            time.sleep(0.05)
            if os.path.exists(self.path("pid")) and os.path.getsize(self.path("pid")) > 0:
                break
        with open(self.path("pid"), encoding="utf-8") as file:
            pid = file.read()
        for _ in range(2):
            outcome = harness.run([harness.MEMTRACK, "leaks", pid, "--format=json"])
            self.assertEqual(outcome.status, 0, outcome)
            leaks = json.loads(outcome.stdout)
            self.assertEqual(leaks["leaks"]["scan"], "full")
            self.assertEqual(leaks["leaks"]["definite"]["blocks"], 0)
            self.assertGreater(leaks["leaks"]["reachable"]["blocks"], 10)
        self.assertEqual(recorder.wait(), 0)
        self.assertTrue(os.path.exists(self.path("end")))
        self.assertEqual(self.leaks()["leaks"]["scan"], "full")

    def rest_under_memtrack(self, program, *options):
        """Starts the sample, which writes its pid to a file and rests; returns the pid."""
        recorder = subprocess.Popen(
            [harness.MEMTRACK, "run", "-q", "--report=none", "-f", *options,
             "-o", self.path("run.mtk"), "--", os.path.join(harness.SAMPLES, program), "pid"],
            cwd=self.folder)

        def end():
            if recorder.poll() is None:
                os.kill(pid, signal.SIGKILL)
                recorder.wait()
        for _ in range(1200):
            if os.path.exists(self.path("pid")) and os.path.getsize(self.path("pid")) > 0:
                break
            time.sleep(0.05)
        with open(self.path("pid"), encoding="utf-8") as file:
            pid = int(file.read())
        self.addCleanup(end)
        return pid

    def test_what_one_of_three_scans_reached_is_not_lost(self):
        pid = self.rest_under_memtrack("leak_moves")
        for _ in range(2):
            outcome = harness.run([harness.MEMTRACK, "leaks", str(pid), "--format=json"])
            self.assertEqual(outcome.status, 0, outcome)
            leaks = json.loads(outcome.stdout)
            self.assertEqual(
                [(subject_of(frame["function"] for frame in site["stack"]), site["class"],
                  site["blocks"]) for site in leaks["lost"]], [("subject_lost", "definite", 1)])
            self.assertEqual(leaks["leaks"]["reachable"]["blocks"], 3)
            self.assertRegex(leaks["remark"],
                             "^2 blocks .128 bytes. seemed lost, but not in each of 3 scans")

    def test_stopped_process_is_named_as_such(self):
        pid = self.rest_under_memtrack("leak_moves")
        os.kill(pid, signal.SIGSTOP)
        for _ in range(1200):
            with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "T":
                    break
            time.sleep(0.05)
        outcome = harness.run([harness.MEMTRACK, "leaks", str(pid), "--format=json"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(json.loads(outcome.stdout)["leaks"]["scan"],
                         "failed: the process is stopped: continue it and ask again")

    def test_scan_that_was_not_possible_says_why(self):
        for options, case, expected in ((["--leaks=off"], "global", "off"),
                                        (["--leaks=counts"], "global", "counts"),
                                        (["--sample", "1k"], "global", "failed: ")):
            with self.subTest(options=options):
                self.record([os.path.join(harness.SAMPLES, "leaks"), case],
                            options=["-f", *options])
                self.assertTrue(self.leaks()["leaks"]["scan"].startswith(expected))
        outcome = self.record([harness.need("bash"), "-c", "kill -9 $$"], options=["-f"])
        self.assertEqual(outcome.status, 137)
        self.assertEqual(self.leaks()["leaks"]["scan"],
                         "failed: the process was ended by signal 9")

    def test_program_asks_what_is_lost_in_mid_run(self):
        program = [os.path.join(harness.SAMPLES, "leak_check")]
        alone = harness.run(program)
        self.assertEqual(alone.stdout, b"before: Operation not supported\n"
                                       b"after: Operation not supported\n")
        outcome = self.record(program, options=["-f"])
        self.assertEqual(outcome.stdout, b"before: 0 definite, 0 bytes\n"
                                         b"after: 3 definite, 300 bytes\n")

    def test_program_asks_what_is_lost_since_a_mark(self):
        program = [os.path.join(harness.SAMPLES, "leak_since")]
        alone = harness.run(program)
        self.assertEqual(alone.stdout, b"".join(
            when + b": Operation not supported\n" for when in (b"nothing", b"kept", b"lost",
                                                              b"pair")))
        outcome = self.record(program, options=["-f"])
        self.assertEqual(outcome.stdout.splitlines(),
                         [b"nothing: 0 definite, 0 indirect, 0 reachable;",
                          b"kept: 0 definite, 0 indirect, 1 reachable;",
                          b"lost: 3 definite, 0 indirect, 1 reachable; 300 bytes in 3",
                          b"pair: 1 definite, 1 indirect, 0 reachable; 64 bytes in 2"])
        # Printed with functions; and nothing of it is a scan of the recording's own.
        self.assertRegex(outcome.stderr.decode(), r"(?s)memtrack: lost\n  300 bytes in 3 blocks.*"
                                                  r"at lose .*memtrack: pair\n  64 bytes in 2 ")
        leaks = self.leaks()["leaks"]
        self.assertEqual((leaks["scan"], leaks["definite"]["blocks"],
                          leaks["indirect"]["blocks"]), ("full", 6, 1))


if __name__ == "__main__":
    harness.main()
