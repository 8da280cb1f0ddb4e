"""memtrack check, and gates in CTest: what passes, what fails and why, and that doubt never passes."""

import glob
import json
import os
import re
import xml.etree.ElementTree as ElementTree

from gate_case import PROJECT, GateCase
from harness import BUILD, MEMTRACK, SAMPLES, SOURCE, MemtrackTest, main, need, run

XML_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class CheckTest(GateCase):
    def test_check_passes_a_clean_program_and_keeps_no_recording(self):
        outcome = self.check("--", self.leaky, "clean")
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(outcome.stdout, b"")
        self.assertEqual(self.recordings(), [])

    def test_check_fails_a_leak_and_names_it(self):
        outcome = self.check("--", self.leaky, "lose", "2")
        self.assertEqual(outcome.status, 23, outcome)
        text = outcome.stderr.decode()
        self.assertIn("lose_block", text)
        self.assertIn("leaky.c:", text)
        self.assertRegex(text, r"memtrack leaks memtrack\.leaky\.\d+\.mtk")
        self.assertEqual(len(self.recordings()), 1)

    def test_check_json_has_limits_and_failures(self):
        status, result = self.check_json("--", self.leaky, "lose", "3")
        self.assertEqual(status, 23)
        self.assertEqual((result["schema"], result["passed"]), (1, False))
        self.assertEqual(result["limits"],
                         [{"name": "max-leaked", "limit": 0, "actual": 144, "passed": False}])
        failure, = result["failures"]
        self.assertEqual((failure["kind"], failure["class"], failure["blocks"], failure["bytes"]),
                         ("leak", "definite", 3, 144))
        self.assertEqual(failure["location"]["function"], "lose_block")
        self.assertEqual(failure["stack"][1]["function"], "main")

    def test_check_judges_a_recording_as_the_run_itself(self):
        self.record([self.leaky, "lose", "2"])
        outcome = self.check(self.path("run.mtk"), "--format", "json")
        self.assertEqual(outcome.status, 23, outcome)
        self.assertEqual(json.loads(outcome.stdout)["limits"][0]["actual"], 96)
        self.assertEqual(self.check("--max-leaked", "96", self.path("run.mtk")).status, 0)

    def test_check_keeps_every_limit_to_the_byte(self):
        for option, most in (("--max-leaked", 96), ("--max-leaked-blocks", 2), ("--max-peak", 1096),
                             ("--max-live-at-exit", 96), ("--max-allocations", 3)):
            lift = [] if option == "--max-leaked" else ["--max-leaked", "off"]
            for amount, status in ((most, 0), (most - 1, 23)):
                outcome = self.check(*lift, option, str(amount), "--", self.leaky, "lose", "2")
                self.assertEqual(outcome.status, status, (option, amount, outcome))

    def test_another_limit_leaves_the_leak_limit_in_force(self):
        outcome = self.check("--max-peak", "1G", "--", self.leaky, "lose", "1")
        self.assertEqual(outcome.status, 23, outcome)

    def test_leak_classes_decide_what_is_lost(self):
        held = ["--", self.leaky, "hold", "2"]
        self.assertEqual(self.check(*held).status, 0)
        status, result = self.check_json("--leak-classes", "definite,reachable", *held)
        self.assertEqual(status, 23)
        self.assertIn("held", result["failures"][0]["held_by"])
        self.assertEqual(result["failures"][0]["class"], "reachable")

    def test_a_baseline_lets_known_leaks_pass_and_more_fail(self):
        known = self.path("known.txt")
        self.assertEqual(
            self.check("--write-baseline", known, "--", self.leaky, "lose", "2").status, 0)
        with open(known, encoding="utf-8") as file:
            lines = [line.split() for line in file if not line.startswith("#")]
        self.assertEqual(lines, ["definite 2 blocks 96 bytes lose_block < main".split()])
        for count, status in ((2, 0), (1, 0), (3, 23)):
            outcome = self.check("--baseline", known, "--", self.leaky, "lose", str(count))
            self.assertEqual(outcome.status, status, outcome)
            self.assertEqual(b"better than the baseline" in outcome.stderr, count == 1, outcome)

    def test_a_baseline_survives_a_rebuild_with_moved_lines(self):
        known = self.path("known.txt")
        self.check("--write-baseline", known, "--", self.leaky, "lose", "2")
        with open(os.path.join(PROJECT, "leaky.c"), encoding="utf-8") as file:
            text = file.read()
        with open(self.path("moved.c"), "w", encoding="utf-8") as file:
            file.write("\n\n\nint unused_before(void) { return 42; }\n" + text)
        self.assertEqual(run([need("gcc"), "-g", "-O0", "-o", self.leaky, self.path("moved.c")]).status, 0)
        outcome = self.check("--baseline", known, "--", self.leaky, "lose", "2")
        self.assertEqual(outcome.status, 0, outcome)

    def test_a_recording_serves_as_baseline(self):
        self.record([self.leaky, "lose", "2"])
        for count, status in ((2, 0), (3, 23)):
            outcome = self.check("--baseline", self.path("run.mtk"), "--", self.leaky, "lose", str(count))
            self.assertEqual(outcome.status, status, outcome)

    def test_suppressed_leaks_pass_and_unused_suppressions_are_named(self):
        with open(self.path("supp"), "w", encoding="ascii") as file:
            file.write("leak:lose_block\nleak:never_called\n")
        outcome = self.check("--suppressions", self.path("supp"), "--", self.leaky, "lose", "2")
        self.assertEqual(outcome.status, 0, outcome)
        self.assertRegex(outcome.stderr.decode(), "supp:2: .*not used: never_called")

    def test_generated_suppressions_let_pass_what_they_were_made_of(self):
        supp = self.path("supp")
        outcome = self.check("--gen-suppressions", supp, "--", self.leaky, "lose", "2")
        self.assertEqual(outcome.status, 23, outcome)
        with open(supp, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("lose_block: 96 bytes in 2 blocks\n   Memcheck:Leak\n", text)
        self.assertEqual(self.check("--suppressions", supp, "--", self.leaky, "lose", "3").status, 0)
        # Valgrind reads the same file, as far as its stacks are the same.
        valgrind = run([need("valgrind"), "-q", "--leak-check=full", "--error-exitcode=9",
                        "--suppressions=" + supp, self.leaky, "clean"])
        self.assertEqual(valgrind.status, 0, valgrind)

    def test_suppressions_of_a_run_apply_to_every_view_of_it(self):
        with open(self.path("supp"), "w", encoding="ascii") as file:
            file.write("leak:lose_block\n")
        ran = run([MEMTRACK, "run", "-o", self.path("run.mtk"), "--suppressions", self.path("supp"),
                   "--", self.leaky, "lose", "2"], cwd=self.folder)
        text = ran.stderr.decode()
        self.assertRegex(text, r"definite +0 B in 0 blocks")
        self.assertRegex(text, r"suppressed +96 B in 2 blocks")
        self.assertEqual(run([MEMTRACK, "report", self.path("run.mtk")]).stdout.decode(), text)
        report = self.report()
        self.assertEqual(report["leaks"]["definite"], {"blocks": 0, "bytes": 0})
        self.assertEqual(report["leaks"]["suppressed"], {"blocks": 2, "bytes": 96})
        for kind in ("definite", "suppressed"):
            for what in ("blocks", "bytes"):
                self.assertEqual(sum(site["leaks"][kind][what] for site in report["sites"]),
                                 report["leaks"][kind][what])
        leaks = run([MEMTRACK, "leaks", self.path("run.mtk"), "--format=json"])
        self.assertEqual(json.loads(leaks.stdout)["leaks"]["suppressed"],
                         report["leaks"]["suppressed"])
        flame = run([MEMTRACK, "export", self.path("run.mtk"), "--format=collapsed",
                     "--metric=leaked"])
        self.assertEqual(flame.status, 0, flame)
        self.assertNotIn(b"lose_block", flame.stdout, flame)

    def test_what_suppressed_blocks_lead_to_is_suppressed_too(self):
        source = self.path("chain.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("""
#include <stdlib.h>
#include <string.h>
static void **volatile made;
static void child(void) { *made = malloc(30); }
static void parent(void) { made = malloc(sizeof *made); }
static void other(void) { made = malloc(sizeof *made); }
static void forget(void) { volatile char b[16384]; memset((void *)b, 0, sizeof b); }
int main(int argc, char **argv)
{
    (void)argv;
    parent();
    child();
    if (argc > 1) {
        other();
        child();
    }
    made = NULL;
    forget();
    return 0;
}
""")
        self.assertEqual(run([need("gcc"), "-g", "-o", self.path("chain"), source]).status, 0)
        with open(self.path("supp"), "w", encoding="ascii") as file:
            file.write("leak:parent\n")
        option = ["--suppressions", self.path("supp"), "--", self.path("chain")]
        self.assertEqual(self.check(*option).status, 0)
        # Another site leads to such blocks too: which are whose is not known, so none pass.
        outcome = self.check(*option, "more")
        self.assertEqual(outcome.status, 23, outcome)
        self.assertIn(b"child", outcome.stderr)

    def test_the_programs_own_failure_is_the_status(self):
        self.assertEqual(self.check("--", self.leaky, "fail").status, 5)
        outcome = self.check("--", self.leaky, "crash")
        self.assertEqual(outcome.status, 134, outcome)
        self.assertIn(b"signal 6", outcome.stderr)
        self.assertEqual(len(self.recordings()), 2)

    def test_a_suite_that_does_not_exist_is_status_127(self):
        self.assertEqual(self.check("--", self.path("nothing")).status, 127)

    def test_error_exitcode_replaces_23(self):
        outcome = self.check("--error-exitcode", "7", "--", self.leaky, "lose", "1")
        self.assertEqual(outcome.status, 7, outcome)

    def test_no_errors_fails_a_mismatched_release(self):
        defects = [os.path.join(SAMPLES, "defects"), "new-free"]
        self.assertEqual(self.check("--", *defects).status, 0)
        status, result = self.check_json("--no-errors", "--", *defects)
        self.assertEqual(status, 23)
        self.assertEqual(result["failures"][0]["class"], "mismatched-free")

    def assert_incomplete(self, reason, *arguments):
        status, result = self.check_json(*arguments)
        self.assertEqual(status, 23, result)
        self.assertIn("incomplete", [failure["kind"] for failure in result["failures"]])
        self.assertRegex(" ".join(failure["message"] for failure in result["failures"]), reason)

    def test_what_was_not_seen_never_passes(self):
        clean = ["--", self.leaky, "clean"]
        self.assert_incomplete("sampled", "--sample", "512", *clean)
        self.assert_incomplete("leaks=counts", "--leaks=counts", *clean)
        self.assert_incomplete("still ran", "--", self.leaky, "daemonise")
        self.assert_incomplete("growth cannot be judged", "--max-growth", "1k/s", *clean)
        self.assert_incomplete("no leak scan", "--", need("env"), "-i", self.leaky, "clean")

    def test_a_sampled_run_may_be_judged_by_nothing_that_it_cannot_know(self):
        outcome = self.check("--sample", "512", "--max-leaked", "off", "--", self.leaky, "clean")
        self.assertEqual(outcome.status, 0, outcome)

    def test_blocks_lost_before_a_fork_are_charged_once(self):
        source = self.path("forks.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("""
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void lose(void) { char *volatile p = malloc(77); p = NULL; }
static void forget(void) { volatile char b[16384]; memset((void *)b, 0, sizeof b); }
int main(void)
{
    lose();
    forget();
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            exit(0);
        }
        wait(NULL);
    }
    return 0;
}
""")
        self.assertEqual(run([need("gcc"), "-g", "-o", self.path("forks"), source]).status, 0)
        status, result = self.check_json("--", self.path("forks"))
        self.assertEqual(status, 23)
        self.assertEqual(result["limits"][0]["actual"], 77)

    def test_what_the_c_library_keeps_of_joined_threads_is_no_leak(self):
        source = self.path("joins.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("""
#include <pthread.h>
static void *nothing(void *argument) { return argument; }
int main(void)
{
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        pthread_create(&threads[i], NULL, nothing, NULL);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}
""")
        self.assertEqual(run([need("gcc"), "-g", "-pthread", "-o", self.path("joins"), source]).status, 0)
        outcome = self.check("--", self.path("joins"))
        self.assertEqual(outcome.status, 0, outcome)

    def test_repeat_fails_what_grows_each_time_though_it_is_reachable(self):
        status, result = self.check_json("--repeat", "6", "--", self.leaky, "hold", "2")
        self.assertEqual(status, 23)
        self.assertIn({"name": "repeat", "limit": 0, "actual": 96, "passed": False}, result["limits"])
        failure, = result["failures"]
        self.assertEqual((failure["kind"], failure["location"]["function"]), ("growth", "hold_block"))

    def test_repeat_lets_pass_what_is_allocated_once(self):
        source = self.path("once.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("""
#include <stdlib.h>
static void *cache;
int main(void)
{
    if (cache == NULL) {
        cache = malloc(1 << 16);
    }
    return 0;
}
""")
        self.assertEqual(run([need("gcc"), "-g", "-o", self.path("once"), source]).status, 0)
        outcome = self.check("--repeat", "6", "--", self.path("once"))
        self.assertEqual(outcome.status, 0, outcome)

    def test_repeat_of_what_cannot_be_repeated_fails(self):
        self.assert_incomplete("cannot be repeated", "--repeat", "6", "--", need("bash"), "-c", ":")

    def build_repeats(self):
        """The program, and what each of its ways adds."""
        source = os.path.join(PROJECT, "repeats.c")
        program = self.path("repeats")
        outcome = run([need("gcc"), "-g", "-O0", "-Wall", "-Wextra", "-Werror", "-I",
                       os.path.join(SOURCE, "include"), "-o", program, source])
        self.assertEqual(outcome.status, 0, outcome)
        with open(source, encoding="utf-8") as file:
            lines = re.findall(r"(?m)^ \*   (\d+): ([a-z_, ]+)", file.read().split("*/")[0])
        return program, {name.strip(): int(added) for added, names in lines
                         for name in names.split(",")}

    def test_repeat_in_a_program_tells_leaks_from_caches(self):
        program, truth = self.build_repeats()
        tracked = self.record([program, "api"])
        self.assertEqual(tracked.status, 0, tracked)
        found = {name: int(added) for name, added in
                 (line.split() for line in tracked.stdout.decode().splitlines())}
        self.assertEqual(found, truth)
        for name, added in truth.items():
            self.assertEqual(b"%s: grows with every" % name.encode() in tracked.stderr, added > 0)
        plain = run([program, "api"])
        self.assertEqual(re.findall(rb" (\d+)\n", plain.stdout), [b"0"] * len(truth))

    def test_repeat_of_main_tells_leaks_from_caches(self):
        program, truth = self.build_repeats()
        for name, added in truth.items():
            status, result = self.check_json("--max-leaked", "off", "--repeat", "20", "--", program, name)
            self.assertEqual((name, result["limits"][0]["actual"]), (name, added), result)
            self.assertEqual(status, 23 if added else 0)

    def assert_refused(self, status, pattern, *arguments):
        outcome = self.check(*arguments)
        self.assertEqual(outcome.status, status, outcome)
        lines = outcome.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, outcome)
        self.assertRegex(lines[0], "^memtrack: .*" + pattern)

    def test_bad_input_to_check_is_refused_in_one_line(self):
        clean = ["--", self.leaky, "clean"]
        def written(name, text):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
            return self.path(name)
        self.assert_refused(64, "did you mean --max-leaked", "--max-leakd", "3", *clean)
        self.assert_refused(64, "--max-peak", "--max-peak", "much", *clean)
        self.assert_refused(64, "no class", "--leak-classes", "some", *clean)
        self.assert_refused(64, "nothing was named")
        self.assert_refused(66, "baseline", "--baseline", self.path("none"), *clean)
        self.assert_refused(65, "a:1: .*expected", "--baseline", written("a", "junk\n"), *clean)
        self.assert_refused(65, "b:2: .*expected", "--baseline",
                            written("b", "# memtrack baseline 1\nlost 3 blocks\n"), *clean)
        self.assert_refused(65, "c:3: .*stack", "--baseline",
                            written("c", "# memtrack baseline 1\n#\ndefinite 1 blocks 2 bytes\n"), *clean)
        self.assert_refused(65, "d:1: .*empty", "--baseline", written("d", ""), *clean)
        self.assert_refused(64, "e:2: .*expected", "--suppressions", written("e", "leak:x\nlek:y\n"), *clean)
        self.assert_refused(66, "no such file", self.path("none.mtk"))
        self.assert_refused(65, "", written("f.mtk", "not a recording, though it is long enough" * 9))

    def test_junit_sarif_and_annotations_name_file_and_line(self):
        outcome = self.check("--junit", self.path("j.xml"), "--sarif", self.path("s.json"), "--github",
                             "--", self.leaky, "lose", "2")
        self.assertEqual(outcome.status, 23, outcome)
        suite = ElementTree.parse(self.path("j.xml")).getroot().find("testsuite")
        case = [case for case in suite if case.get("file")][0]
        self.assertTrue(case.get("file").endswith("leaky.c"))
        line = int(case.get("line"))
        self.assertGreater(line, 1)
        self.assertEqual(int(suite.get("tests")), len(suite.findall("testcase")))
        self.assertEqual(int(suite.get("failures")), len(suite.findall("testcase/failure")))
        self.assertRegex(outcome.stderr.decode(), r"(?m)^::error file=[^,]*leaky\.c,line=%d," % line)
        with open(self.path("s.json"), encoding="utf-8") as file:
            sarif = json.load(file)
        self.assert_sarif(sarif)
        result, = sarif["runs"][0]["results"]
        place = result["locations"][0]["physicalLocation"]
        self.assertEqual(place["region"]["startLine"], line)
        self.assertEqual(result["occurrenceCount"], 2)

    def assert_sarif(self, sarif):
        """The structure that SARIF 2.1.0 demands of what memtrack writes."""
        self.assertEqual(sarif["version"], "2.1.0")
        for sarif_run in sarif["runs"]:
            driver = sarif_run["tool"]["driver"]
            self.assertTrue(driver["name"])
            rules = [rule["id"] for rule in driver["rules"]]
            self.assertEqual(len(rules), len(set(rules)))
            for base in sarif_run.get("originalUriBaseIds", {}).values():
                self.assertRegex(base["uri"], "^file:///.*/$")
            for result in sarif_run["results"]:
                self.assertEqual(rules[result["ruleIndex"]], result["ruleId"])
                self.assertIn(result["level"], ("none", "note", "warning", "error"))
                self.assertTrue(result["message"]["text"])
                self.assertGreaterEqual(result["occurrenceCount"], 1)
                self.assertTrue(all(isinstance(value, str)
                                    for value in result["partialFingerprints"].values()))
                for stack in result["stacks"]:
                    self.assertTrue(stack["frames"])
                    for frame in stack["frames"]:
                        region = frame["location"].get("physicalLocation", {}).get("region", {})
                        self.assertGreaterEqual(region.get("startLine", 1), 1)

    def test_sarif_fingerprints_survive_a_rebuild(self):
        fingerprints = []
        for text in ("", "\n\n\nint before(void) { return 1; }\n"):
            with open(os.path.join(PROJECT, "leaky.c"), encoding="utf-8") as file:
                source = text + file.read()
            with open(self.path("leaky.c"), "w", encoding="utf-8") as file:
                file.write(source)
            self.assertEqual(run([need("gcc"), "-g", "-O0", "-o", self.leaky, self.path("leaky.c")]).status, 0)
            self.check("--sarif", self.path("s.json"), "--", self.leaky, "lose", "2")
            with open(self.path("s.json"), encoding="utf-8") as file:
                fingerprints.append(json.load(file)["runs"][0]["results"][0]["partialFingerprints"])
        self.assertEqual(fingerprints[0], fingerprints[1])


class MemcheckTest(GateCase):
    """memtrack called as Valgrind."""

    def memcheck(self, *arguments):
        return run([MEMTRACK, *arguments], cwd=self.folder)

    def test_memcheck_form_is_what_ctest_counts(self):
        outcome = self.memcheck("-q", "--tool=memcheck", "--leak-check=yes", "--show-reachable=yes",
                                "--num-callers=50", "--log-file=" + self.path("log"), self.leaky,
                                "lose", "2")
        self.assertEqual(outcome.status, 0, outcome)
        with open(self.path("log"), encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^==\d+== 96 bytes in 2 blocks are definitely lost in loss record"
                               r" 1 of 1$")
        self.assertEqual(self.recordings(), [])

    def test_memcheck_error_exitcode_is_for_errors(self):
        options = ["-q", "--leak-check=full", "--error-exitcode=9"]
        self.assertEqual(self.memcheck(*options, self.leaky, "lose", "1").status, 9)
        self.assertEqual(self.memcheck(*options, self.leaky, "hold", "1").status, 0)
        self.assertEqual(self.memcheck(*options, self.leaky, "fail").status, 5)

    def test_memcheck_xml_is_protocol_4(self):
        self.memcheck("--leak-check=full", "--xml=yes", "--xml-file=" + self.path("x.xml"),
                      self.leaky, "lose", "2")
        root = ElementTree.parse(self.path("x.xml")).getroot()
        self.assertEqual(root.tag, "valgrindoutput")
        self.assertEqual(root.findtext("protocolversion"), "4")
        self.assertEqual([state.text for state in root.findall("status/state")],
                         ["RUNNING", "FINISHED"])
        error = root.find("error")
        self.assertEqual(error.findtext("kind"), "Leak_DefinitelyLost")
        self.assertEqual(error.findtext("xwhat/leakedbytes"), "96")
        frame = error.find("stack/frame")
        self.assertEqual((frame.findtext("fn"), frame.findtext("file")), ("lose_block", "leaky.c"))

    def test_memcheck_refuses_another_tool(self):
        outcome = self.memcheck("--tool=massif", self.leaky, "clean")
        self.assertEqual(outcome.status, 64, outcome)


class FrameworkTest(MemtrackTest):
    """Gates of single tests, inside one process."""

    def build(self, source, *libraries):
        program = self.path("suite")
        compiler = need("g++" if source.endswith("pp") else "gcc")
        outcome = run([compiler, "-g", "-Wall", "-Wextra", "-Werror", "-I",
                       os.path.join(SOURCE, "include"), "-o", program,
                       os.path.join(PROJECT, source), *libraries])
        self.assertEqual(outcome.status, 0, outcome)
        return program

    def truth(self, source):
        with open(os.path.join(PROJECT, source), encoding="utf-8") as file:
            comment = file.read().split("*/")[0].replace("\n *", " ")
        passes, fails = re.search("passes: (.*) fails under memtrack: (.*)", comment).groups()
        return [[name.strip() for name in names.split(",")] for names in (passes, fails)]

    def assert_gated(self, source, pattern, *libraries):
        """pattern finds (name) or (word, name) of failed tests."""
        program = self.build(source, *libraries)
        passes, fails = self.truth(source)
        plain = run([program], cwd=self.folder)
        self.assertEqual(plain.status, 0, plain)
        self.assertEqual((plain.stdout + plain.stderr).count(b"memory gates are inactive"), 1, plain)
        required = run([program], cwd=self.folder, env={**os.environ, "MEMTRACK_REQUIRED": "1"})
        self.assertNotEqual(required.status, 0, required)
        tracked = self.record([program])
        text = (tracked.stdout + tracked.stderr).decode()
        failed = set(re.findall(pattern, text))
        self.assertEqual(failed, set(fails), text)
        self.assertFalse(failed & set(passes))
        self.assertNotEqual(tracked.status, 0)
        self.assertRegex(text, source.replace(".", r"\.") + r":\d+")
        return text

    def test_cmocka_tests_are_gates(self):
        text = self.assert_gated("in_cmocka.c", r"\[  (?:FAILED |ERROR  ) \] ([a-z_]+)", "-lcmocka",
                                 "-pthread")
        self.assertIn("77 bytes in 1 block", text)
        self.assertIn("grows with every repetition", text)

    def test_googletest_tests_are_gates(self):
        text = self.assert_gated("in_googletest.cpp", r"\[  FAILED  \] ([\w/]+\.[\w/]+)", "-lgtest",
                                 "-lgtest_main", "-pthread")
        self.assertIn("77 bytes in 1 block", text)

    def test_catch2_tests_are_gates(self):
        text = self.assert_gated("in_catch2.cpp", r"-{79}\n([a-z ]+)\n(?:  \w+\n)?-{79}")
        self.assertIn("78 bytes in 1 block", text)


class CtestTest(MemtrackTest):
    def configure(self, *options):
        build = self.path("project")
        outcome = run([need("cmake"), "-S", PROJECT, "-B", build, *options])
        self.assertEqual(outcome.status, 0, outcome)
        outcome = run([need("cmake"), "--build", build])
        self.assertEqual(outcome.status, 0, outcome)
        return build

    def install(self):
        prefix = self.path("prefix")
        outcome = run([need("cmake"), "--install", BUILD, "--prefix", prefix])
        self.assertEqual(outcome.status, 0, outcome)
        return prefix

    def test_a_cmake_project_finds_memtrack_and_gates_its_tests(self):
        prefix = self.install()
        build = self.configure("-DCMAKE_PREFIX_PATH=" + prefix)
        outcome = run([need("ctest"), "--output-on-failure"], cwd=build)
        results = dict(re.findall(r"Test +#\d+: (\w+) \.+[ *]*(Passed|Failed)", outcome.stdout.decode()))
        self.assertEqual(results, {"clean": "Passed", "loses": "Failed", "tolerated": "Passed",
                                   "worse": "Failed", "excused": "Passed", "greedy": "Failed"})
        self.assertIn(b"lose_block", outcome.stdout)
        self.assertTrue(os.path.exists(os.path.join(build, "loses.xml")))

    def test_ctest_memcheck_counts_defects(self):
        prefix = self.install()
        build = self.configure("-DWITH_MEMTRACK=OFF", "-DMEMORYCHECK_TYPE=Valgrind",
                               "-DMEMORYCHECK_COMMAND=" + os.path.join(prefix, "bin/memtrack"))
        run([need("ctest"), "-T", "memcheck"], cwd=build)
        report, = glob.glob(os.path.join(build, "Testing/*/DynamicAnalysis.xml"))
        with open(report, encoding="utf-8", errors="replace") as file:
            root = ElementTree.fromstring(XML_CONTROLS.sub("", file.read()))
        found = {test.findtext("Name"): {(defect.get("type"), defect.text)
                                         for defect in test.findall("Results/Defect")}
                 for test in root.findall("DynamicAnalysis/Test")}
        self.assertNotIn("clean", found)  # tests without defects are not listed
        self.assertEqual(found["loses"], {("Memory Leak", "1")})
        self.assertEqual(found["inside"], {("FIM", "1")})

    def test_ctest_memcheck_hands_suppressions_on(self):
        prefix = self.install()
        build = self.configure("-DWITH_MEMTRACK=OFF", "-DMEMORYCHECK_TYPE=Valgrind",
                               "-DMEMORYCHECK_COMMAND=" + os.path.join(prefix, "bin/memtrack"),
                               "-DMEMORYCHECK_SUPPRESSIONS_FILE=" + os.path.join(PROJECT, "known.supp"))
        outcome = run([need("ctest"), "-T", "memcheck", "-R", "loses"], cwd=build)
        self.assertNotIn(b"Memory Leak", outcome.stdout, outcome)
        self.assertEqual(outcome.status, 0, outcome)

    def test_crosscompiling_emulator_gates_a_whole_suite(self):
        prefix = self.install()
        build = self.configure("-DWITH_MEMTRACK=OFF", "-DCMAKE_CROSSCOMPILING_EMULATOR=%s;check;-q" %
                               os.path.join(prefix, "bin/memtrack"))
        outcome = run([need("ctest"), "-E", "inside"], cwd=build)
        results = dict(re.findall(r"Test +#\d+: (\w+) \.+[ *]*(Passed|Failed)", outcome.stdout.decode()))
        self.assertEqual(results, {"clean": "Passed", "loses": "Failed"})


if __name__ == "__main__":
    main()
