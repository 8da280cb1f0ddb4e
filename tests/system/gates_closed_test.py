"""Gates fail closed, whatever keeps them from seeing; and every exit status of memtrack check."""

import json
import os

from gate_case import GateCase
from harness import MEMTRACK, SOURCE, main, need, run

# Writes to recordings fail as on a full disk, from the file's second page on.
FULL_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int is_recording(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return strstr(path, ".mtk") != NULL;
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL) {
        real = dlsym(RTLD_NEXT, "pwrite64");
    }
    if (at >= 4096 && is_recording(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return real(fd, data, bytes, at);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    return pwrite64(fd, data, bytes, at);
}
"""

# A child that a signal ends once the recorder knows it: a snapshot has been taken in it.
KILLS_CHILD = """
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <memtrack/memtrack.h>
int main(void)
{
    int ready[2];
    char word;
    if (pipe(ready) != 0) {
        return 9;
    }
    pid_t child = fork();
    if (child == 0) {
        void *volatile block = malloc(10);
        if (memtrack_snapshot("child") != 0) {
            _exit(9);
        }
        free(block);
        if (write(ready[1], "x", 1) != 1) {
            _exit(9);
        }
        for (;;) {
            pause();
        }
    }
    if (read(ready[0], &word, 1) != 1) {
        return 9;
    }
    kill(child, SIGTERM);
    siginfo_t how;
    waitid(P_PID, (id_t)child, &how, WEXITED | WNOWAIT);
    for (int i = 0; i < 3; i++) { /* stays a zombie until the recorder has looked at it */
        memtrack_snapshot("parent");
        usleep(50000);
    }
    waitpid(child, NULL, 0);
    return 0;
}
"""


class ClosedTest(GateCase):
    def reasons(self, *arguments):
        """Checks, expects status 23 and returns the reasons why something was not seen."""
        status, result = self.check_json(*arguments)
        self.assertEqual(status, 23, result)
        self.assertFalse(result["passed"])
        self.assertIn("complete", [limit["name"] for limit in result["limits"]])
        return " / ".join(failure["message"] for failure in result["failures"]
                          if failure["kind"] == "incomplete")

    def test_a_program_that_the_shim_cannot_work_in_fails_the_check(self):
        program = self.compile("sanitized", "int main(void) { return 0; }\n", "-fsanitize=leak")
        self.assertIn("the shim was not loaded", self.reasons("--", program))
        text = self.check("--", program).stderr.decode()
        self.assertIn("check sanitized: FAILED", text)

    def test_a_child_without_the_shim_fails_the_check(self):
        program = self.compile("clears", """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char *nothing[] = {NULL};
    (void)argc;
    if (fork() == 0) {
        free(malloc(1)); /* what never allocates under its own name is never seen */
        execve(argv[1], argv + 1, nothing);
        _exit(9);
    }
    wait(NULL);
    return 0;
}
""")
        self.assertNotEqual(self.reasons("--", program, self.leaky, "lose", "1"), "")

    def test_a_child_that_a_signal_ended_fails_the_check_unless_allowed(self):
        program = self.compile("kills", KILLS_CHILD, "-I", os.path.join(SOURCE, "include"))
        self.assertIn("ended by signal 15", self.reasons("--", program))
        self.assertIn("ended by signal 15", self.reasons("--allow-signals", "KILL,HUP", "--", program))
        outcome = self.check("--allow-signals", "KILL,SIGTERM", "--", program)
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn(b"1 process was ended by a signal, as --allow-signals allows", outcome.stderr)

    def test_a_child_that_ends_unseen_fails_the_check(self):
        program = self.compile("ends", """
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    free(malloc(1));
    if (fork() == 0) {
        void *volatile lost = malloc(50);
        lost = NULL;
        syscall(SYS_exit_group, 0); /* past every hook */
    }
    wait(NULL);
    return 0;
}
""")
        self.assertIn("ended without a scan", self.reasons("--", program))

    def test_programs_can_be_left_out_by_name_but_not_all(self):
        script = ["--", need("bash"), "-c", "%s lose 2; :" % self.leaky]
        self.assertEqual(self.check(*script).status, 23)
        status, result = self.check_json("--ignore-program", "leaky", *script)
        self.assertEqual(status, 0, result)
        self.assertGreaterEqual(result["ignored_processes"], 1)
        self.assertEqual(self.check("--ignore-program", "*/leaky", *script).status, 0)
        self.assertEqual(self.check("--ignore-program", "leak", *script).status, 23)
        self.assertIn("no process is left to judge", self.reasons("--ignore-program", "*", *script))

    def test_a_damaged_recording_fails_the_check(self):
        self.record([self.leaky, "clean"])
        with open(self.path("run.mtk"), "r+b") as file:
            file.truncate(os.path.getsize(self.path("run.mtk")) * 2 // 3)
        outcome = self.check(self.path("run.mtk"))
        self.assertIn(outcome.status, (23, 65), outcome)
        self.assertTrue(outcome.stderr.startswith(b"memtrack: ") or b"damaged" in outcome.stdout, outcome)

    def test_a_full_disk_is_no_pass(self):
        preloaded = self.compile("full_disk.so", FULL_DISK, "-shared", "-fPIC", "-ldl")
        how = {"env": {**os.environ, "LD_PRELOAD": preloaded}}
        outcome = self.check("-o", self.path("run.mtk"), "--", self.leaky, "clean", **how)
        self.assertEqual(outcome.status, 125, outcome)
        self.assertRegex(outcome.stderr.decode(), r"(?m)^memtrack: .*run\.mtk: .*no space left")
        self.assertIn(b"FAILED", outcome.stderr)
        # What the program itself did is not lost on it.
        self.assertIn(self.check("-o", self.path("run.mtk"), "-f", "--", self.leaky, "fail", **how).status,
                      (5, 125))

    def test_a_limit_that_a_sampled_run_cannot_judge_fails(self):
        for limit in (["--max-allocations", "1000000"], ["--max-temporary", "1000000"],
                      ["--max-peak", "1G"], ["--max-live-at-exit", "1G"], ["--max-leaked-blocks", "9"]):
            reasons = self.reasons("--sample", "64k", "--max-leaked", "off", *limit, "--", self.leaky, "clean")
            self.assertIn("cannot be judged by " + limit[0][2:], reasons)


class StatusTest(GateCase):
    """The table of exit statuses."""

    def assert_status(self, status, *arguments, lines=None):
        outcome = self.check(*arguments)
        self.assertEqual(outcome.status, status, outcome)
        if lines is not None:
            self.assertEqual(len(outcome.stderr.splitlines()), lines, outcome)
            self.assertTrue(outcome.stderr.startswith(b"memtrack: "), outcome)
        return outcome

    def test_statuses_of_checked_programs(self):
        self.assert_status(0, "--", self.leaky, "clean")
        self.assert_status(5, "--", self.leaky, "fail")
        self.assert_status(134, "--", self.leaky, "crash")
        self.assert_status(23, "--", self.leaky, "lose", "1")
        self.assert_status(9, "--error-exitcode", "9", "--", self.leaky, "lose", "1")
        self.assert_status(0, "--error-exitcode", "0", "--", self.leaky, "lose", "1")

    def test_statuses_of_bad_usage_and_input(self):
        self.assert_status(64, lines=1)
        self.assert_status(64, "--max-leakd", "1", "--", self.leaky, lines=1)
        self.assert_status(64, "--allow-signals", "TRM", "--", self.leaky, lines=1)
        self.assert_status(64, "--allow-signals", "", "--", self.leaky, lines=1)
        self.assert_status(64, "--ignore-program", "", "--", self.leaky, lines=1)
        self.assert_status(65, self.write("a.mtk", "no recording\n" * 99), lines=1)
        self.assert_status(66, self.path("none.mtk"), lines=1)
        self.assert_status(66, "--baseline", self.path("none"), "--", self.leaky, "clean", lines=1)
        self.assert_status(66, "--suppressions", self.path("none"), "--", self.leaky, "clean", lines=1)
        self.assert_status(125, "-o", self.path("no/folder.mtk"), "--", self.leaky, "clean", lines=1)

    def test_statuses_of_programs_that_cannot_be_run(self):
        plain = self.write("plain.txt", "text\n")
        self.assert_status(126, "--", plain, lines=1)
        self.assert_status(126, "--", self.folder, lines=1)
        self.assert_status(127, "--", self.path("nothing"), lines=1)
        self.assert_status(127, "--", "no-such-program-anywhere", lines=1)

    def test_a_result_that_cannot_be_written_is_status_125(self):
        outcome = self.check("--junit", self.path("no/folder.xml"), "--", self.leaky, "clean")
        self.assertEqual(outcome.status, 125, outcome)
        for option in ("--junit", "--sarif", "--write-baseline", "--gen-suppressions", "-o"):
            form = ["--format", "json"] if option == "-o" else []
            what = ["lose", "1"] if option == "--gen-suppressions" else ["clean"]
            outcome = self.check(*form, option, "/dev/full", "--", self.leaky, *what)
            self.assertEqual(outcome.status, 125, (option, outcome))

    def test_a_recording_is_checked_without_the_shim(self):
        self.record([self.leaky, "lose", "2"])
        os.makedirs(self.path("elsewhere/bin"))
        copy = self.path("elsewhere/bin/memtrack")
        with open(MEMTRACK, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        os.chmod(copy, 0o755)
        outcome = run([copy, "check", "--format", "json", self.path("run.mtk")])
        self.assertEqual(outcome.status, 23, outcome)
        self.assertEqual(json.loads(outcome.stdout)["limits"][0]["actual"], 96)
        self.assertEqual(run([copy, "check", "--", self.leaky, "clean"]).status, 125)


if __name__ == "__main__":
    main()
