"""Captures are libunwind's, frame by frame: unwind_oracle/ is preloaded into real programs and
into small ones that do what unwinders get wrong."""

import json
import os
import random
import shutil
import subprocess

from harness import BUILD, MemtrackTest, main, need, run

ORACLE = os.path.join(BUILD, "tests", "system", "unwind_oracle")
PRELOAD = os.path.join(ORACLE, "libunwind_oracle.so")


class UnwindTest(MemtrackTest):
    def oracle(self, command, every=1, uncached=1000, env=None, stdin=b""):
        """Runs a program under the oracle; returns the results of its processes."""
        out = self.path("oracle.txt")
        if os.path.exists(out):
            os.remove(out)
        variables = dict(os.environ, LD_PRELOAD=PRELOAD, ORACLE_OUT=out, ORACLE_MODE="check",
                         ORACLE_EVERY=str(every), ORACLE_UNCACHED=str(uncached), **(env or {}))
        outcome = run(command, stdin=stdin, env=variables, cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)
        self.assertTrue(os.path.exists(out), "the oracle wrote nothing: was it loaded?")
        with open(out, encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        results = []
        for line in self.text.splitlines():
            words = line.split(" ")
            if words[0] == "check":
                results.append({words[i]: float(words[i + 1])
                                for i in range(len(words) - 1)
                                if words[i].replace("_", "").isalpha()
                                and words[i + 1].replace(".", "").isdigit()})
        return results

    def assert_exact(self, results, checked_min, approximate_max=0):
        checked = sum(result["checked"] for result in results)
        self.assertGreaterEqual(checked, checked_min, self.text)
        for result in results:
            self.assertEqual(result["mismatches"], 0, self.text[:6000])
            self.assertEqual(result["no_id"], 0, self.text[:6000])
            self.assertEqual(result["errno"], 0, self.text[:6000])
        self.assertLessEqual(sum(result["approximate"] for result in results), approximate_max)

    def edge(self, name, checked_min, approximate_max=0, **options):
        results = self.oracle([os.path.join(ORACLE, "unwind_edges"), name], **options)
        self.assert_exact(results, checked_min, approximate_max)
        return results[0]

    # ---- edges -------------------------------------------------------------

    def test_unwinder_walks_alloca_realigned_and_huge_frames(self):
        self.edge("frames_of_all_kinds", 5000, uncached=50)

    def test_unwinder_cuts_stacks_deeper_than_it_keeps(self):
        self.edge("deeper_than_kept", 3000)

    def test_unwinder_is_exact_where_stacks_become_cut_and_whole_again(self):
        self.edge("around_the_limit", 10000)

    def test_unwinder_survives_coroutine_stacks_that_are_unmapped(self):
        self.edge("unmapped_stacks", 3000, uncached=50)

    def test_unwinder_walks_through_signal_frames_and_alternate_stacks(self):
        self.edge("signal_frames", 2500, uncached=50)

    def test_unwinder_survives_jumps_out_of_a_capture(self):
        result = self.edge("jump_out_of_captures", 100000)
        self.assertGreater(result["nested"], 0, "no capture was interrupted by another")

    def test_unwinder_survives_coroutines_switched_in_mid_capture(self):
        result = self.edge("preempted_coroutines", 1000)
        self.assertGreater(result["nested"], 0, "no capture was interrupted by another")

    def test_unwinder_walks_from_an_overflowed_stack(self):
        self.edge("stack_overflow", 150)

    def test_unwinder_walks_calls_at_the_end_of_a_function(self):
        self.edge("noreturn_at_the_end", 1000)

    def test_unwinder_forgets_rules_of_closed_modules(self):
        # libunwind's own cache gets these wrong, so it is bypassed.
        self.edge("replaced_modules", 700, uncached=1)

    def test_unwinder_notices_replaced_modules_without_being_told(self):
        self.edge("replaced_modules", 700, uncached=1, env={"ORACLE_TELL_CLOSE": "0"})

    def test_unwinder_walks_through_lazy_binding(self):
        self.edge("lazy_binding", 40)

    def test_unwinder_guesses_through_generated_code_and_says_so(self):
        result = self.edge("generated_code", 300, approximate_max=300)
        self.assertEqual(result["approximate"], 300)

    def test_unwinder_serves_threads_by_the_thousand(self):
        self.edge("many_threads", 25000, uncached=0)

    def test_unwinder_is_exact_in_a_storm_of_exceptions(self):
        results = self.oracle([os.path.join(ORACLE, "unwind_exceptions")], uncached=0)
        self.assert_exact(results, 10000)

    # ---- real programs -----------------------------------------------------

    def json_file(self, records):
        random.seed(1)
        path = self.path("in.json")
        with open(path, "w", encoding="ascii") as file:
            json.dump([{"id": i, "name": "n%d" % i, "v": [random.random() for _ in range(5)],
                        "d": {"a": str(i), "b": None}} for i in range(records)], file)
        return path

    def test_unwinder_agrees_with_libunwind_in_jq(self):
        self.assert_exact(self.oracle([need("jq"), "map(.v|add)|add", self.json_file(5000)],
                                      every=5), 5000)

    def test_unwinder_agrees_with_libunwind_in_xmllint(self):
        path = self.path("in.xml")
        with open(path, "w", encoding="ascii") as file:
            file.write("<r>" + "".join('<e id="%d"><n>name %d</n><v x="1"/></e>' % (i, i)
                                       for i in range(10000)) + "</r>")
        self.assert_exact(self.oracle([need("xmllint"), "--noout", path], every=5), 5000)

    def test_unwinder_agrees_with_libunwind_in_perl(self):
        script = ("my %h; for my $i (0..20000) { push @{$h{'k'.($i%500)}}, {a=>$i, b=>\"x$i\"}; }"
                  "print scalar(keys %h);")
        self.assert_exact(self.oracle([need("perl"), "-e", script], every=5), 5000)

    def test_unwinder_agrees_with_libunwind_in_python(self):
        script = ("import json; d=json.load(open('in.json')); s=json.dumps(d); e=json.loads(s);"
                  "print(len(e))")
        self.json_file(3000)
        self.assert_exact(self.oracle(["/usr/bin/python3", "-c", script], every=20,
                                      env={"PYTHONMALLOC": "malloc"}), 5000)

    CPLUSPLUS = ("#include <map>\n#include <string>\n#include <vector>\n#include <algorithm>\n"
                 "int main() { std::map<std::string, std::vector<int>> m; m[\"a\"].push_back(1);"
                 " std::sort(m[\"a\"].begin(), m[\"a\"].end(), [](int a, int b) { return a < b; });"
                 " return m.size(); }\n")

    def cplusplus_file(self):
        path = self.path("in.cc")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.CPLUSPLUS)
        return path

    def test_unwinder_agrees_with_libunwind_in_cc1plus(self):
        compiler = subprocess.run([need("g++"), "-print-prog-name=cc1plus"], check=True,
                                  stdout=subprocess.PIPE).stdout.decode().strip()
        self.assert_exact(self.oracle([compiler, "-quiet", "-O1", "-D_GNU_SOURCE",
                                       self.cplusplus_file(), "-o", "/dev/null"], every=50), 5000)

    def test_unwinder_agrees_with_libunwind_in_clang(self):
        self.assert_exact(self.oracle([need("clang++"), "-O1", "-c", self.cplusplus_file(), "-o",
                                       "/dev/null"], every=50), 5000)

    def test_unwinder_guesses_only_through_generated_code_in_node(self):
        script = ("let m={};for(let i=0;i<50000;i++){m['k'+i%1000]=[i,''+i];}"
                  "console.log(JSON.stringify(m).length);")
        results = self.oracle([need("node"), "-e", script], every=50, uncached=0)
        checked = sum(result["checked"] for result in results)
        self.assert_exact(results, 500, approximate_max=checked / 4)
        self.assertEqual(sum(result["differing"] for result in results), 0)

    def test_unwinder_survives_interpreted_java(self):
        results = self.oracle([need("java"), "-Xint", "-version"], every=5, uncached=0)
        self.assert_exact(results, 100, approximate_max=float("inf"))

    def test_unwinder_agrees_with_libunwind_in_redis(self):
        server = need("redis-server")
        script = ("%s --port 0 --unixsocket %s --save '' >/dev/null & "
                  "for i in $(seq 100); do %s -s %s ping >/dev/null 2>&1 && break; sleep 0.1; done;"
                  "for i in $(seq 200); do echo set key$i value$i; echo lpush list $i; done"
                  " | %s -s %s >/dev/null; %s -s %s shutdown nosave; wait"
                  % (server, "redis.sock", *["env -u LD_PRELOAD redis-cli", "redis.sock"] * 3))
        if shutil.which("redis-cli") is None:
            self.skipTest("needs redis-cli")
        results = self.oracle(["/bin/sh", "-c", script], uncached=0)
        self.assert_exact(results, 1000)


if __name__ == "__main__":
    main()
