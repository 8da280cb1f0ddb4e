"""What cannot be done is refused in one line, `memtrack: what: why, and what to do`."""

import os
import shutil
import struct

from harness import MEMTRACK, SAMPLES, MemtrackTest, main, need, run

KNOWN = os.path.join(SAMPLES, "known_totals")


class RefusalTest(MemtrackTest):
    def assert_refused(self, outcome, status, pattern):
        self.assertEqual(outcome.status, status, outcome)
        lines = outcome.stderr.decode(errors="replace").splitlines()
        self.assertEqual(len(lines), 1, outcome)
        self.assertRegex(lines[0], r"^memtrack: .+: .+")
        self.assertRegex(lines[0], pattern)
        self.assertEqual(outcome.stdout, b"")

    def compile(self, name, text, *flags):
        source = self.path(name + ".c")
        with open(source, "w", encoding="ascii") as file:
            file.write(text)
        outcome = run([need("gcc"), "-o", self.path(name), source, *flags])
        self.assertEqual(outcome.status, 0, outcome)
        return self.path(name)

    def test_a_static_binary_is_refused(self):
        program = self.compile("static", "int main(void){return 0;}", "-static")
        self.assert_refused(self.record([program]), 125, "static")

    def test_a_set_uid_binary_is_refused(self):
        if os.geteuid() == 0:
            program = self.path("setuid")
            shutil.copy("/bin/true", program)
            os.chown(program, 1, 1)
            os.chmod(program, 0o4755)
        else:
            program = need("su")
        self.assert_refused(self.record([program]), 125, "set-uid")

    def test_a_32_bit_binary_is_refused(self):
        # The header of an i386 executable is all that is looked at.
        with open(self.path("small"), "wb") as file:
            file.write(b"\x7fELF\x01\x01\x01" + b"\0" * 9 + struct.pack(
                "<HHIIIIIHHHHHH", 2, 3, 1, 0x8048000, 52, 0, 0, 52, 32, 0, 40, 0, 0))
        os.chmod(self.path("small"), 0o755)
        self.assert_refused(self.record([self.path("small")]), 125, "32-bit")

    def test_a_missing_interpreter_is_named(self):
        with open(self.path("script"), "w", encoding="ascii") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(self.path("script"), 0o755)
        self.assert_refused(self.record([self.path("script")]), 127, "/no/such/interpreter")

    def test_a_missing_program_is_status_127(self):
        self.assert_refused(self.record(["no-such-program-anywhere"]), 127, "no-such-program-anywhere")
        self.assert_refused(self.record([self.path("nothing")]), 127, "nothing")

    def test_what_cannot_be_executed_is_status_126(self):
        with open(self.path("text"), "w", encoding="ascii") as file:
            file.write("just text\n")
        self.assert_refused(self.record([self.path("text")]), 126, "text")
        self.assert_refused(self.record([self.folder]), 126, "directory")

    def test_an_existing_output_is_refused_without_force(self):
        with open(self.path("run.mtk"), "w", encoding="ascii") as file:
            file.write("mine")
        self.assert_refused(self.record([KNOWN]), 125, "run.mtk.*exists")
        with open(self.path("run.mtk"), encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")
        self.assertEqual(self.record([KNOWN], ["-f"]).status, 3)
        self.assertEqual(self.report()["totals"]["allocations"], 1021)

    def test_an_output_folder_that_is_missing_is_refused(self):
        self.assert_refused(self.record([KNOWN], recording="no/such/folder/run.mtk"), 125,
                            "no/such/folder")

    def test_unknown_options_are_usage_errors(self):
        for command in (["run", "--no-such-option", "true"], ["--no-such-option"],
                        ["report", "--no-such-option"], ["run"], ["report"],
                        ["run", "--depth", "many", "true"], ["run", "--cpu", "-5", "true"],
                        ["run", "--follow=some", "true"]):
            with self.subTest(command):
                self.assert_refused(run([MEMTRACK, *command], cwd=self.folder), 64, ".")

    def test_what_is_not_a_recording_is_refused(self):
        for name, content in (("empty.mtk", b""), ("text.mtk", b"hello\n" * 100),
                              ("zeros.mtk", b"\0" * 100000),
                              ("header.mtk", b"SQLite format 3\0" + b"\xff" * 5000)):
            with self.subTest(name):
                with open(self.path(name), "wb") as file:
                    file.write(content)
                self.assert_refused(run([MEMTRACK, "report", self.path(name)]), 65, name)

    def test_a_missing_recording_is_status_66(self):
        self.assert_refused(run([MEMTRACK, "report", self.path("none.mtk")]), 66, "none.mtk")

    def test_another_sqlite_database_is_refused(self):
        run([need("sqlite3"), self.path("other.mtk"), "CREATE TABLE t(x);"])
        self.assert_refused(run([MEMTRACK, "report", self.path("other.mtk")]), 65, "other.mtk")

    def test_a_truncated_recording_never_crashes(self):
        self.record([os.path.join(SAMPLES, "fork_tree")])
        with open(self.path("run.mtk"), "rb") as file:
            whole = file.read()
        statuses = set()
        for percent in (1, 5, 10, 25, 50, 75, 90, 99):
            with self.subTest(percent):
                cut = self.path("cut%d.mtk" % percent)
                with open(cut, "wb") as file:
                    file.write(whole[:len(whole) * percent // 100])
                outcome = run([MEMTRACK, "report", cut, "--format", "json"])
                self.assertIn(outcome.status, (0, 65), outcome)
                self.assertRegex(outcome.stderr.decode().splitlines()[0], "^memtrack: .*cut")
                if outcome.status == 0:
                    self.assertIn(b'"complete": false', outcome.stdout.replace(b'":', b'": ')
                                  .replace(b":  ", b": "))
                statuses.add(outcome.status)
        self.assertTrue(statuses)

    def test_damaged_recordings_never_crash(self):
        self.record([KNOWN])
        with open(self.path("run.mtk"), "rb") as file:
            whole = bytearray(file.read())
        for step in range(40):
            damaged = bytearray(whole)
            start = (step * 7919 * 64) % len(damaged)
            for offset in range(start, min(start + 64, len(damaged))):
                damaged[offset] ^= 0x5a
            with open(self.path("damaged.mtk"), "wb") as file:
                file.write(damaged)
            outcome = run([MEMTRACK, "report", self.path("damaged.mtk"), "--format", "json"])
            self.assertIn(outcome.status, (0, 65), (step, outcome))

    def test_a_full_disk_does_not_stop_the_program(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small tmpfs")
        small = self.path("small")
        os.mkdir(small)
        mounted = run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small])
        if mounted.status != 0:
            self.skipTest("this container forbids mount")
        try:
            outcome = self.record([os.path.join(SAMPLES, "service"), "300"],
                                  recording="small/run.mtk")
        finally:
            run(["umount", small])
        self.assertEqual(outcome.status, 125, outcome)
        self.assertEqual(outcome.stdout, b"300 requests answered\n")
        self.assertRegex(outcome.stderr.decode(), r"memtrack: .*run\.mtk")

    def test_stdout_that_cannot_be_written_is_an_error(self):
        self.record([KNOWN])
        outcome = run(["/bin/sh", "-c", "exec \"$0\" report \"$1\" --format json > /dev/full",
                       MEMTRACK, self.path("run.mtk")])
        self.assertEqual(outcome.status, 125, outcome)
        self.assertRegex(outcome.stderr.decode(), "^memtrack: ")


if __name__ == "__main__":
    main()
