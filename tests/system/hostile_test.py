"""Programs and commands that try to break memtrack: nothing of theirs may change, and what
memtrack says must be true."""

import os

from harness import MEMTRACK, MemtrackTest, main, need, run

LIMITED = """
import os, resource
def report(what, works):
    print(what, works, flush=True)
def allocates(size):
    try:
        return len(bytearray(size)) == size
    except MemoryError:
        return False
resource.%s
report("limit", resource.getrlimit(resource.RLIMIT_AS))
report("within", allocates(300 << 20))
report("beyond", allocates(1 << 30))
if os.fork() == 0:
    report("child within", allocates(300 << 20))
    os._exit(0)
os.wait()
"""


# No block is small before the address space is full: the heap's first gets no record.
FULL = """
#include <stdlib.h>
#include <sys/resource.h>
static void *small[100];
int main(void)
{
    struct rlimit limit = {512u << 20, 512u << 20};
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 1;
    }
    while (malloc(1 << 20) != NULL) {
    }
    for (int i = 0; i < 100; i++) {
        small[i] = malloc(1000);
    }
    for (int i = 0; i < 100; i++) {
        free(small[i]);
    }
    return 0;
}
"""


class HostileTest(MemtrackTest):

    def test_a_program_may_limit_its_own_address_space(self):
        python = need("/usr/bin/python3")
        for call in ("setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))",
                     "prlimit(0, resource.RLIMIT_AS, (1 << 30, 1 << 30))",
                     "prlimit(os.getpid(), resource.RLIMIT_AS, (1 << 30, 1 << 30))"):
            with self.subTest(call):
                plain = self.assert_same_behaviour([python, "-c", LIMITED % call],
                                                   options=["-f"])
                self.assertIn(b"\nwithin True\nbeyond False\nchild within True\n",
                              plain.stdout)
                report = self.report()
                self.assertEqual(report["totals"]["dropped_events"], 0)
                self.assertTrue(report["mode"]["complete"])

    def test_no_release_is_called_invalid_once_records_were_dropped(self):
        with open(self.path("full.c"), "w", encoding="ascii") as source:
            source.write(FULL)
        built = run(["gcc", "-fno-builtin", "-o", self.path("full"), self.path("full.c")])
        self.assertEqual(built.status, 0, built)
        outcome = self.record([self.path("full")])
        self.assertEqual(outcome.status, 0, outcome)
        report = self.report()
        self.assertGreater(report["totals"]["dropped_events"], 0)
        self.assertEqual([error["kind"] for error in report["errors"]], [])

    def test_a_limit_that_is_refused_is_refused_as_without_us(self):
        script = ("import resource\n"
                  "for limit in ((5, 4), (-2, 3)):\n"
                  "    try: resource.setrlimit(resource.RLIMIT_AS, limit)\n"
                  "    except (ValueError, OSError, OverflowError) as error: print(error)\n")
        plain = self.assert_same_behaviour([need("/usr/bin/python3"), "-c", script])
        self.assertNotEqual(plain.stdout, b"")

    def test_a_program_with_address_sanitizer_is_refused_with_the_reason(self):
        with open(self.path("empty.c"), "w", encoding="ascii") as source:
            source.write("int main(void) { return 0; }\n")
        built = run(["gcc", "-fsanitize=address", "-o", self.path("empty"), self.path("empty.c")])
        self.assertEqual(built.status, 0, built)
        outcome = self.record([self.path("empty")])
        self.assertEqual(outcome.status, 125, outcome)
        self.assertIn(b"AddressSanitizer", outcome.stderr)
        self.assertEqual(outcome.stderr.count(b"\n"), 1, outcome)

    def test_an_output_that_is_a_device_is_refused_in_true_words(self):
        outcome = run([MEMTRACK, "run", "-f", "-o", "/dev/full", "--", "true"])
        self.assertEqual(outcome.status, 125, outcome)
        self.assertIn(b"/dev/full: not a regular file", outcome.stderr)
        self.assertNotIn(b"give -f", outcome.stderr)

    def test_a_folder_of_suppressions_is_refused_before_the_program_starts(self):
        outcome = self.record(["touch", self.path("started")], ["--suppressions", self.folder])
        self.assertEqual(outcome.status, 66, outcome)
        self.assertEqual(outcome.stderr.count(b"\n"), 1, outcome)
        self.assertFalse(os.path.exists(self.path("started")))

    def test_what_is_no_library_is_refused_as_an_allocator(self):
        outcome = self.record(["touch", self.path("started")], ["--allocator=/etc/passwd"])
        self.assertEqual(outcome.status, 64, outcome)
        self.assertEqual(outcome.stderr.count(b"\n"), 1, outcome)
        self.assertFalse(os.path.exists(self.path("started")))

    def test_valgrind_inside_a_run_finds_no_errors_of_ours(self):
        shell = [need("bash"), "-c", "%s -q --error-exitcode=9 %s -n 1"
                 % (need("valgrind"), need("jq"))]
        self.assert_same_behaviour(shell)


if __name__ == "__main__":
    main()
