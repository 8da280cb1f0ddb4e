"""What the recorder promises the program and its caller: nothing changes for them, nothing is lost."""

import os
import pty
import resource
import select
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import MEMTRACK, SAMPLES, MemtrackTest, main, need, run

DEADLINE_SECONDS = 30


def wait_for(condition, what):
    """Waits until condition() is true; fails after a long time."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.02)


class RecorderTest(MemtrackTest):
    def rows(self, query, recording="run.mtk"):
        database = sqlite3.connect("file:%s?mode=ro" % self.path(recording), uri=True, timeout=10)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()

    def is_complete(self):
        try:
            return self.rows("SELECT value FROM run WHERE key = 'complete'")[0][0] in (1, "1")
        except sqlite3.Error:
            return False

    def script(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path


class TransparencyTest(RecorderTest):
    def test_exit_statuses_and_signals_are_the_programs_own(self):
        for command, status in (("exit 0", 0), ("exit 42", 42), ("exit 255", 255),
                                ("kill -TERM $$", 143), ("kill -KILL $$", 137),
                                ("kill -SEGV $$", 139), ("kill -PIPE $$", 141)):
            with self.subTest(command):
                outcome = self.record(["sh", "-c", command], ["-f"])
                self.assertEqual(outcome.status, status, outcome)
                self.assertEqual(outcome.stderr, b"")

    def test_how_each_process_ended_is_recorded(self):
        self.record(["sh", "-c", "sh -c 'exit 7'; sh -c 'sleep 0.1; kill -KILL $$'; exit 3"])
        ends = self.rows("SELECT exit_status, signal FROM process ORDER BY id")
        self.assertEqual(ends[0], (3, None))
        self.assertIn((7, None), ends)
        self.assertIn((None, 9), ends)

    def test_the_program_keeps_its_streams(self):
        text = os.urandom(300000)
        outcome = self.record(["cat"], stdin=text)
        self.assertEqual(outcome.stdout, text)
        self.assertEqual(outcome.stderr, b"")

    def test_the_program_sees_the_same_descriptors(self):
        listing = ["sh", "-c", "exec 7</dev/null; ls -l /proc/self/fd | awk '{print $9,$11}'"
                               " | grep -v -e pipe -e /proc/"]
        plain = run(listing, cwd=self.folder)
        self.assertEqual(self.record(listing).stdout, plain.stdout)
        self.assertIn(b"7 /dev/null", plain.stdout)

    def test_closed_standard_descriptors_stay_closed(self):
        command = ["sh", "-c", 'exec "$@" 0<&- 2>&-', "sh"]
        listing = ["/bin/sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do"
                                    " [ -e /proc/$$/fd/$i ] && echo $i; done; true"]
        plain = run(command + listing, cwd=self.folder)
        tracked = run(command + [MEMTRACK, "run", "-q", "--report=none", "-o", self.path("c.mtk"),
                                 "--", *listing], cwd=self.folder)
        self.assertEqual(tracked.stdout, plain.stdout)
        self.assertEqual(plain.stdout, b"1\n")
        self.assertEqual(tracked.status, 0)

    def test_the_environment_differs_by_our_variables_alone(self):
        dump = ["sh", "-c", "tr '\\0' '\\n' < /proc/$$/environ"]
        plain = run(dump, cwd=self.folder).stdout.splitlines()
        tracked = self.record(dump).stdout.splitlines()
        self.assertEqual([line for line in tracked
                          if not line.startswith((b"LD_PRELOAD=", b"MEMTRACK_ARENA="))], plain)

    def test_signal_dispositions_and_mask_are_inherited(self):
        dump = ["grep", "-E", "^(SigBlk|SigIgn|SigPnd)", "/proc/self/status"]

        def prepare():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
        plain = subprocess.run(dump, stdout=subprocess.PIPE, preexec_fn=prepare, check=True)
        tracked = subprocess.run([MEMTRACK, "run", "-q", "--report=none", "-o",
                                  self.path("s.mtk"), *dump], stdout=subprocess.PIPE,
                                 preexec_fn=prepare, check=True)
        self.assertEqual(tracked.stdout, plain.stdout)

    def test_limits_group_and_session_are_inherited(self):
        dump = ["sh", "-c", "cat /proc/$$/limits; ps -o pgid=,sid= -p $$ | tr -d '0-9'; ulimit -n;"
                            " cat /proc/$$/oom_score_adj; pwd; umask"]

        def prepare():
            resource.setrlimit(resource.RLIMIT_NOFILE, (77, 999))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 31))
            os.umask(0o31)
        plain = subprocess.run(dump, stdout=subprocess.PIPE, preexec_fn=prepare, check=True,
                               cwd=self.folder)
        tracked = subprocess.run([MEMTRACK, "run", "-q", "--report=none", "-o",
                                  self.path("l.mtk"), *dump], stdout=subprocess.PIPE,
                                 preexec_fn=prepare, check=True, cwd=self.folder)
        self.assertEqual(tracked.stdout, plain.stdout)

    def test_a_script_without_an_interpreter_line_runs_as_in_a_shell(self):
        script = self.script("plain", 'echo "$0 $1"; exit 5\n')
        outcome = self.record([script, "an argument"])
        self.assertEqual(outcome.status, 5, outcome)
        self.assertEqual(outcome.stdout.decode(), "%s an argument\n" % script)


class SignalTest(RecorderTest):
    def spawn(self, command):
        process = subprocess.Popen([MEMTRACK, "run", "-q", "--report=none", "-o",
                                    self.path("run.mtk"), *command], stdout=subprocess.PIPE,
                                   start_new_session=True)
        self.addCleanup(process.stdout.close)
        return process

    def test_signals_to_memtrack_reach_the_program(self):
        for name in ("TERM", "INT", "HUP", "USR1", "QUIT"):
            with self.subTest(name):
                process = self.spawn(["-f", "bash", "-c", "trap 'echo %s; exit 9' %s; echo ready;"
                                      " while :; do sleep 0.05; done" % (name, name)])
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(getattr(signal, "SIG" + name))
                self.assertEqual(process.stdout.read(), name.encode() + b"\n")
                self.assertEqual(process.wait(DEADLINE_SECONDS), 9)
                self.assertTrue(self.is_complete())

    def test_a_killed_program_loses_nothing(self):
        program = self.script("hold", "#!/usr/bin/perl\nmy @a = map { 'x' x 1000 . $_ } 1..5000;\n"
                              "kill 9, $$;\n")
        outcome = self.record([program])
        self.assertEqual(outcome.status, 137)
        allocated, freed, peak, live = self.rows(
            "SELECT sum(allocated_bytes), sum(freed_bytes), (SELECT peak_bytes FROM process),"
            " (SELECT live_bytes FROM process) FROM site")[0]
        self.assertEqual(allocated - freed, live)
        self.assertGreater(live, 5000000)
        self.assertGreaterEqual(peak, live)
        self.assertEqual(self.rows("SELECT sum(peak_bytes) FROM site")[0][0], peak)

    def test_a_program_outlives_a_killed_memtrack(self):
        process = self.spawn(["bash", "-c", "echo ready; read line < %s; echo $line $(echo 12345);"
                              " exit 0" % self.path("fifo")])
        os.mkfifo(self.path("fifo"))
        process.stdout.readline()
        process.kill()
        process.wait()
        with open(self.path("fifo"), "w", encoding="ascii") as fifo:
            fifo.write("go\n")
        self.assertEqual(process.stdout.read(), b"go 12345\n")
        # What had been committed can be read.
        self.assertEqual(self.rows("SELECT count(*) FROM run WHERE key = 'command'"), [(1,)])


class TerminalTest(RecorderTest):
    """memtrack on a terminal of its own, in the foreground."""

    def open_terminal(self, command, options=("-q",), stdout=None):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            if stdout is not None:
                os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600), 1)
            os.chdir(self.folder)
            os.execv(MEMTRACK, [MEMTRACK, "run", *options, "--report=none", "-o", "run.mtk",
                                *command])
        self.seen = b""
        self.addCleanup(os.close, self.terminal)

    def read_until(self, text):
        end = time.monotonic() + DEADLINE_SECONDS
        while text not in self.seen:
            if time.monotonic() > end:
                raise AssertionError("%r did not come: %r" % (text, self.seen))
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    part = os.read(self.terminal, 4096)
                except OSError:
                    part = b""
                if not part and text not in self.seen:
                    raise AssertionError("%r did not come: %r" % (text, self.seen))
                self.seen += part

    def read_all(self):
        while True:
            try:
                part = os.read(self.terminal, 4096)
            except OSError:
                return
            if not part:
                return
            self.seen += part

    def test_ctrl_c_reaches_the_program_once_and_the_recording_is_written(self):
        self.open_terminal(["bash", "-c", "n=0; trap 'n=$((n+1))' INT; echo ready;"
                            " for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; echo n=$n; exit 6"])
        self.read_until(b"ready")
        os.write(self.terminal, b"\x03")
        self.read_until(b"n=1")
        _, status = os.waitpid(self.pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 6)
        self.assertTrue(self.is_complete())

    def test_ctrl_c_ends_a_program_that_does_not_care(self):
        self.open_terminal(["sh", "-c", "echo ready; exec sleep 100"])
        self.read_until(b"ready")
        wait_for(lambda: b"sleep" in subprocess.run(
            ["ps", "-o", "comm=", "--ppid", str(self.pid)], stdout=subprocess.PIPE,
            check=False).stdout, "the exec")
        os.write(self.terminal, b"\x03")
        _, status = os.waitpid(self.pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 130)
        self.assertEqual(self.rows("SELECT signal FROM process ORDER BY id DESC LIMIT 1"), [(2,)])

    def test_ctrl_z_stops_both_and_fg_continues_both(self):
        # The pty's session leader is a stand-in for the shell: it keeps the terminal.
        leader, self.terminal = pty.fork()
        if leader == 0:
            os.chdir(self.folder)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            job = os.fork()
            if job == 0:
                os.setpgid(0, 0)
                signal.signal(signal.SIGTTOU, signal.SIG_DFL)
                os.execv(MEMTRACK, [MEMTRACK, "run", "-q", "--report=none", "-o", "run.mtk", "bash",
                                    "-c", "echo ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done;"
                                    " exit 4"])
            try:
                os.setpgid(job, job)
            except OSError:
                pass
            os.tcsetpgrp(0, job)
            _, status = os.waitpid(job, os.WUNTRACED)
            print("stopped" if os.WIFSTOPPED(status) else "ended", flush=True)
            time.sleep(0.2)
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
            _, status = os.waitpid(job, 0)
            print("status %d" % os.waitstatus_to_exitcode(status), flush=True)
            os._exit(0)
        self.seen = b""
        self.addCleanup(os.close, self.terminal)
        self.read_until(b"ready")
        time.sleep(0.1)
        os.write(self.terminal, b"\x1a")
        self.read_until(b"stopped")
        self.read_until(b"status 4")
        os.waitpid(leader, 0)
        self.assertTrue(self.is_complete())

    def test_progress_is_drawn_and_gone_at_the_end(self):
        self.open_terminal(["sleep", "2"], options=(), stdout=self.path("out"))
        self.read_until(b"allocations/s")
        _, status = os.waitpid(self.pid, 0)
        self.read_all()
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertRegex(self.seen, rb"memtrack: \d+\.\d s  live .* peak ")
        self.assertTrue(self.seen.rstrip(b"\r\n").endswith(b"\r\x1b[K"), self.seen)

    def test_no_progress_while_the_program_uses_the_terminal(self):
        self.open_terminal(["sh", "-c", "stty -icanon; sleep 1.5"], options=())
        _, status = os.waitpid(self.pid, 0)
        self.read_all()
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertNotIn(b"allocations/s", self.seen)


class DescendantsTest(RecorderTest):
    def test_memtrack_returns_with_the_program_and_records_what_stays(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        outcome = run([MEMTRACK, "run", "--report=none", "-o", self.path("run.mtk"), "sh", "-c",
                       "(read line < %s; sort /etc/passwd; exit 5) >/dev/null 2>&1 & exit 3" % fifo],
                      cwd=self.folder)
        self.assertEqual(outcome.status, 3, outcome)
        self.assertRegex(outcome.stderr, rb"^memtrack: 1 of its processes still runs")
        self.assertFalse(self.is_complete())
        with open(fifo, "w", encoding="ascii") as file:
            file.write("go\n")
        wait_for(self.is_complete, "the rest of the recording")
        programs = self.rows("SELECT executable, exit_status FROM process")
        self.assertIn("sort", [os.path.basename(program) for program, _ in programs])
        self.assertEqual(self.rows("SELECT count(*) FROM process WHERE ended_ns IS NULL"), [(0,)])
        self.assertEqual(self.rows("SELECT count(*) FROM address WHERE is_resolved = 0"), [(0,)])

    def test_a_daemon_that_registers_later_is_followed(self):
        daemon = self.script("daemon.py", """#!/usr/bin/python3
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
null = os.open("/dev/null", os.O_RDWR)
for fd in (0, 1, 2): os.dup2(null, fd)
os.closerange(3, 100)
os.chdir("/")
time.sleep(0.5)
kept = [bytes(100000) for i in range(50)]
time.sleep(0.3)
""")
        outcome = self.record([daemon])
        self.assertEqual(outcome.status, 0, outcome)
        wait_for(self.is_complete, "the daemon's end")
        self.assertGreater(self.rows("SELECT max(peak_bytes) FROM process")[0][0], 5000000)

    def test_the_background_keeps_no_descriptor_of_the_caller(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        process = subprocess.Popen([MEMTRACK, "run", "-q", "--report=none", "-o",
                                    self.path("run.mtk"), "sh", "-c",
                                    "sh -c 'read line < %s' >/dev/null 2>&1 & exit 0" % fifo],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # End of file comes although a descendant and its recorder still run.
        self.assertTrue(select.select([process.stdout], [], [], DEADLINE_SECONDS)[0])
        self.assertEqual(process.stdout.read(), b"")
        process.stdout.close()
        self.assertEqual(process.wait(), 0)
        self.assertFalse(self.is_complete())
        with open(fifo, "w", encoding="ascii") as file:
            file.write("go\n")
        wait_for(self.is_complete, "the rest of the recording")

    def test_every_one_of_hundreds_of_short_processes_is_recorded(self):
        outcome = self.record(["bash", "-c", "for i in {1..200}; do /bin/true $i; done; "
                               "for i in {1..100}; do /bin/echo $i & done; wait"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.rows("SELECT count(*) FROM process WHERE executable LIKE '%/true'"),
                         [(200,)])
        self.assertEqual(self.rows("SELECT count(*) FROM process WHERE executable LIKE '%/echo'"),
                         [(100,)])
        self.assertEqual(self.rows("SELECT count(*) FROM process WHERE ended_ns IS NULL"), [(0,)])

    def test_reports_open_with_the_program_that_a_wrapper_started(self):
        """Not with env or the shell; json has the whole tree, which begins with them."""
        program = os.path.join(SAMPLES, "live_blocks")
        self.record(["env", "sh", "-c", "%s 3000 1000; true" % program],
                    ["--snapshot-every", "50ms"])
        recording = self.path("run.mtk")
        text = run([MEMTRACK, "report", recording]).stdout.decode()
        self.assertRegex(text.splitlines()[0], "live_blocks 3000 1000$")
        self.assertRegex(text, r"shown +#\d+, the largest of \d+ processes; --process '#0' shows env")
        first = run([MEMTRACK, "report", recording, "--process", "#0"]).stdout.decode()
        self.assertIn("memtrack  env sh -c", first.splitlines()[0])
        self.assertNotIn("the largest of", first)
        self.assertEqual(self.report()["process"]["program"].rsplit("/", 1)[1], "env")
        leaks = run([MEMTRACK, "leaks", recording])
        self.assertRegex(leaks.stdout.decode().splitlines()[0], "live_blocks")
        self.assertRegex(leaks.stderr.decode(), r"^memtrack: .*shows #\d+ \(pid \d+, live_blocks\)")
        # Beside a child that is not much larger, the first is shown.
        self.record([program, "3000", "1000"], recording="alone.mtk")
        alone = run([MEMTRACK, "report", self.path("alone.mtk")])
        self.assertNotIn(b"shown ", alone.stdout)
        self.assertEqual(run([MEMTRACK, "leaks", self.path("alone.mtk")]).stderr, b"")

    def test_an_exec_begins_a_new_entry_and_ends_the_one_before(self):
        self.record(["sh", "-c", "exec sort /etc/passwd"])
        rows = self.rows("SELECT pid, parent, was_replaced, ended_ns, started_ns FROM process")
        self.assertEqual(len(rows), 2)
        self.assertEqual(rows[0][0], rows[1][0])
        self.assertEqual(rows[1][1], 0)
        self.assertEqual([row[2] for row in rows], [1, 0])
        self.assertEqual(rows[0][3], rows[1][4])

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_a_program_that_becomes_another_user_is_followed(self):
        os.chmod(self.folder, 0o777)
        outcome = self.record([need("setpriv"), "--reuid", "65534", "--clear-groups", "sort",
                               "/etc/passwd"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual([os.path.basename(row[0]) for row in
                          self.rows("SELECT executable FROM process ORDER BY id")],
                         ["setpriv", "sort"])


class RecordingTest(RecorderTest):
    def test_periodic_snapshots_come_as_often_as_asked(self):
        self.record(["sleep", "1.2"], ["--snapshot-every", "200ms"])
        causes = [row[0] for row in self.rows("SELECT cause FROM snapshot ORDER BY snapshot")]
        self.assertEqual(causes[0], "first")
        self.assertEqual(causes[-1], "exit")
        self.assertGreaterEqual(causes.count("periodic"), 3)

    def test_the_timeline_holds_the_true_peak(self):
        program = self.script("spike.py", "#!/usr/bin/python3\nimport time\ntime.sleep(0.3)\n"
                              "x = bytes(50000000); del x\ntime.sleep(0.3)\n")
        self.record([program])
        highest, = self.rows("SELECT max(live_max_bytes) FROM point")[0]
        peak, = self.rows("SELECT peak_bytes FROM process ORDER BY id")[0]
        self.assertEqual(highest, peak)
        self.assertGreater(peak, 50000000)
        self.assertLess(self.rows("SELECT live_bytes FROM point ORDER BY time_ns DESC")[0][0],
                        50000000)

    def test_jemalloc_is_loaded_behind_the_shim(self):
        outcome = self.record(["sh", "-c", "cat /proc/$$/maps"], ["--allocator=jemalloc"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn(b"libjemalloc.so.2", outcome.stdout)
        self.assertIn("jemalloc", self.rows("SELECT allocator FROM process")[0][0])

    def test_an_unwritable_output_does_not_stop_the_program(self):
        outcome = self.record(["echo", "still here"], recording="/proc/run.mtk")
        self.assertEqual(outcome.status, 125, outcome)
        self.assertEqual(outcome.stdout, b"still here\n")
        self.assertEqual(len(outcome.stderr.splitlines()), 1, outcome)
        self.assertRegex(outcome.stderr, rb"^memtrack: /proc/run.mtk: ")

    @unittest.skipIf(os.geteuid() != 0, "only root can mount")
    def test_a_disk_that_fills_up_costs_the_rest_alone(self):
        small = self.path("small")
        os.mkdir(small)
        if run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small]).status != 0:
            self.skipTest("this container forbids mount")
        self.addCleanup(run, ["umount", small])
        filler = self.path("small/filler")
        outcome = self.record(["bash", "-c", "sleep 0.5; head -c 10M /dev/zero > %s 2>/dev/null;"
                               " sleep 0.5; for i in {1..50}; do /bin/ls >/dev/null; done; echo done"
                               % filler], ["--snapshot-every", "100ms"], recording="small/run.mtk")
        self.assertEqual(outcome.status, 125, outcome)
        self.assertEqual(outcome.stdout, b"done\n")
        self.assertEqual(len(outcome.stderr.splitlines()), 1, outcome)
        self.assertRegex(outcome.stderr, rb"^memtrack: .*run\.mtk.*space")
        # What was committed before is there: in the file and its write-ahead log.
        for suffix in ("", "-wal"):
            if os.path.exists(self.path("small/run.mtk" + suffix)):
                shutil.copy(self.path("small/run.mtk" + suffix), self.path("copy.mtk" + suffix))
        database = sqlite3.connect(self.path("copy.mtk"))
        snapshots, = database.execute("SELECT count(*) FROM snapshot").fetchone()
        database.close()
        self.assertGreater(snapshots, 0)

    def test_two_runs_may_nest(self):
        outcome = self.record([MEMTRACK, "run", "-q", "--report=none", "-o", self.path("inner.mtk"),
                               "sh", "-c", "exit 8"])
        self.assertEqual(outcome.status, 8, outcome)
        self.assertEqual(self.rows("SELECT exit_status FROM process", "inner.mtk"), [(8,)])


if __name__ == "__main__":
    main()
