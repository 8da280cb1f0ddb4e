"""memtrack's totals against two independent counts of the same run: valgrind's, and that of a
library that counts calls of malloc and does nothing else (count_calls.c).

valgrind prints allocations, frees and allocated bytes. With libc's and the C++ runtime's own
freeing at exit turned off (memtrack does not do it either) both must count the same, but for:

- failed allocations: valgrind counts a failed realloc as an allocation and a free, memtrack
  does not. The inputs here cause none.
- the environment: both tools add variables to it, and a program that copies its environment
  allocates for them. plain_environment.so takes them away in both runs, before main.
- addresses: programs that hash pointers make a few allocations more or less from run to run. The
  inputs avoid them, and hash seeds are fixed. python3 makes a few more under valgrind than
  alone even for an empty program, so there the counting library is the judge.
"""

import os
import re
import struct

import inputs
from harness import BUILD, SAMPLES, MemtrackTest, main, need, run

LIBRARIES = os.path.join(BUILD, "tests", "system")
FIELDS = ("allocations", "frees", "allocated_bytes")
FIXED = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C", "PERL_HASH_SEED": "0",
         "PERL_PERTURB_KEYS": "0", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
         "GIT_CONFIG_NOSYSTEM": "1"}


class OracleTest(MemtrackTest):
    def count_by_valgrind(self, command, env):
        log = self.path("valgrind.log")
        outcome = run([need("valgrind"), "--run-libc-freeres=no", "--run-cxx-freeres=no",
                       "--log-file=" + log, *command], env=env, cwd=self.folder)
        with open(log, encoding="utf-8", errors="replace") as file:
            match = re.search(r"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes",
                              file.read())
        self.assertIsNotNone(match, outcome)
        counts = [int(number.replace(",", "")) for number in match.groups()]
        return outcome, dict(zip(FIELDS, counts))

    def count_by_library(self, command, env):
        counts = self.path("counts")
        with open(counts, "wb"):
            pass
        preload = "%s:%s" % (os.path.join(LIBRARIES, "count_calls.so"), env["LD_PRELOAD"])
        outcome = run(command, env=dict(env, LD_PRELOAD=preload, COUNT_CALLS=counts), cwd=self.folder)
        with open(counts, "rb") as file:
            content = file.read()
        self.assertEqual(len(content), 24, outcome)
        return outcome, dict(zip(FIELDS, struct.unpack("<QQQ", content)))

    def check(self, command, allocations_min, by_valgrind=True, **more):
        env = dict(FIXED, **more)
        env.update(KEEP_ENVIRONMENT=":".join(sorted(env)), PLAIN_PROGRAM=os.path.realpath(command[0]),
                   LD_PRELOAD=os.path.join(LIBRARIES, "plain_environment.so"))
        tracked = self.record(command, ["--no-cpu"], env=env)
        totals = self.report()["totals"]
        actual = {field: totals[field] for field in FIELDS}
        self.assertGreaterEqual(actual["allocations"], allocations_min)
        counters = [self.count_by_library] + ([self.count_by_valgrind] if by_valgrind else [])
        for count in counters:
            outcome, expected = count(command, env)
            self.assertEqual((tracked.status, tracked.stdout), (outcome.status, outcome.stdout))
            self.assertEqual(actual, expected, count.__name__)

    def test_valgrind_counts_the_same_for_jq(self):
        inputs.write_json(self.path("items.json"), 500)
        self.check([need("jq"), "[.[]|.id]|add", "items.json"], 10000)

    def test_valgrind_counts_the_same_for_xmllint(self):
        inputs.write_xml(self.path("items.xml"), 1000)
        self.check([need("xmllint"), "--noout", "items.xml"], 8000)

    def test_valgrind_counts_the_same_for_sqlite3(self):
        with open(self.path("script.sql"), "w", encoding="ascii") as file:
            file.write(inputs.SQL.replace("20000", "3000"))
        self.check([need("sqlite3"), ":memory:", ".read script.sql"], 5000)

    def test_valgrind_counts_the_same_for_perl(self):
        self.check([need("perl"), "-e", inputs.PERL.replace("20000", "3000")], 10000)

    def test_a_counting_library_counts_the_same_for_python3(self):
        # Without sets and modules whose tables are ordered by addresses.
        program = "print(sum(len(str(i) * 3) for i in range(20000)), len(list(map(str, range(9000)))))"
        self.check(["/usr/bin/python3", "-s", "-S", "-c", program], 50000, by_valgrind=False,
                   PYTHONMALLOC="malloc")

    def test_valgrind_counts_the_same_for_bash(self):
        self.check([need("bash"), "-c", "x=; for i in {1..500}; do x=\"$x $i\"; done; "
                    "a=($x); echo ${#a[@]} ${x/1 2/}"], 3000)

    def test_valgrind_counts_the_same_for_git(self):
        git = need("git")
        with open(self.path("text"), "w", encoding="ascii") as file:
            file.write("".join("line %d\n" % i for i in range(5000)))
        with open(self.path("other"), "w", encoding="ascii") as file:
            file.write("".join("line %d\n" % (i * i % 4999) for i in range(5000)))
        self.check([git, "diff", "--no-index", "--stat", "text", "other"], 100)

    def test_valgrind_counts_the_same_for_coreutils(self):
        self.check([need("ls"), "-l", "/usr/bin"], 500)

    def test_valgrind_counts_the_same_for_objdump(self):
        self.check([need("objdump"), "-d", "-l", "-C", os.path.join(SAMPLES, "exceptions")], 1000)


if __name__ == "__main__":
    main()
