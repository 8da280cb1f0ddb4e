"""Real programs, with their output, errors and exit status as they were."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.request

import inputs
from harness import (MEMTRACK, SAMPLES, TIME_LIMIT_SECONDS, MemtrackTest, main, need, processes,
                     program_name, run, shell_status)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(is_true, what, seconds=30):
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.05)


class ProgramTest(MemtrackTest):
    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def check(self, command, allocations_min, status=0, **how):
        """Same behaviour, complete, and the first process made at least that many allocations."""
        plain = self.assert_same_behaviour(command, **how)
        self.assertEqual(plain.status, status, plain)
        report = self.report()
        self.check_recorded(report)
        self.assertGreaterEqual(report["totals"]["allocations"], allocations_min)
        return report

    def check_recorded(self, report):
        for process in processes(report):
            totals = process["totals"]
            name = program_name(process)
            self.assertEqual(totals["dropped_events"], 0, name)
            self.assertEqual(process["errors"], [], name)
            self.assertTrue(process["mode"]["complete"], name)
            inherited = totals.get("inherited_blocks") or 0
            self.assertEqual(totals["live_blocks"],
                             inherited + totals["allocations"] - totals["frees"], name)
            for field in ("allocations", "frees", "allocated_bytes", "freed_bytes", "live_bytes"):
                self.assertEqual(sum(site[field] for site in process["sites"]), totals[field],
                                 "%s of %s" % (field, name))

    def test_jq_runs_unchanged(self):
        inputs.write_json(self.path("items.json"))
        self.check([need("jq"), "-c", "[.[]|.id]|add, length", self.path("items.json")], 20000)
        self.assertEqual(run([need("jq"), "-n", "error(\"x\")"]).status, 5)

    def test_a_failing_jq_fails_in_the_same_way(self):
        self.check([need("jq"), "-n", "error(\"x\")"], 100, status=5)

    def test_xmllint_runs_unchanged(self):
        inputs.write_xml(self.path("items.xml"))
        self.check([need("xmllint"), "--noout", self.path("items.xml")], 30000)

    def test_xmllint_reports_the_same_errors(self):
        self.write("broken.xml", "<a><b></a>")
        self.check([need("xmllint"), "broken.xml"], 10, status=1)

    def test_sqlite3_runs_unchanged(self):
        self.check([need("sqlite3"), ":memory:"], 1000, stdin=inputs.SQL.encode())

    def test_perl_runs_unchanged(self):
        self.check([need("perl"), "-e", inputs.PERL], 20000)

    def test_python3_runs_unchanged(self):
        self.check(["/usr/bin/python3", "-c", inputs.PYTHON], 500)

    def test_python3_with_malloc_runs_unchanged(self):
        env = dict(os.environ, PYTHONMALLOC="malloc", PYTHONHASHSEED="0")
        self.check(["/usr/bin/python3", "-c", inputs.PYTHON], 50000, env=env)

    def test_bash_pipes_and_subshells_run_unchanged(self):
        report = self.check([need("bash"), self.write("script.sh", inputs.BASH)], 200, status=4)
        names = {program_name(process) for process in processes(report)}
        self.assertLessEqual({"bash", "sed", "cat", "sort", "tr", "paste", "sleep"}, names)

    def test_git_runs_unchanged(self):
        git = need("git")
        env = dict(os.environ, HOME=self.folder, GIT_CONFIG_NOSYSTEM="1",
                   GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="A",
                   GIT_COMMITTER_EMAIL="a@b", GIT_AUTHOR_DATE="2026-01-01T00:00:00Z",
                   GIT_COMMITTER_DATE="2026-01-01T00:00:00Z", GIT_PAGER="cat")
        repository = self.path("repository")
        run([git, "init", "-q", "-b", "main", repository], env=env)
        for number in range(5):
            self.write("repository/file%d.txt" % number, "".join(
                "line %d of %d\n" % (line, number) for line in range(500)))
            run([git, "-C", repository, "add", "."], env=env)
            outcome = run([git, "-C", repository, "commit", "-q", "-m", "change %d" % number], env=env)
            self.assertEqual(outcome.status, 0, outcome)
        self.check([git, "-C", repository, "log", "-p", "--stat"], 500, env=env)
        os.unlink(self.path("run.mtk"))
        self.check([git, "-C", repository, "fsck", "--strict"], 100, env=env)
        os.unlink(self.path("run.mtk"))
        self.check([git, "-C", repository, "rev-parse", "no-such-name"], 10, status=128, env=env)
        tracked = self.record([git, "-C", repository, "gc", "-q"], env=env, recording="gc.mtk")
        self.assertEqual(tracked.status, 0, tracked)
        self.assertEqual(run([git, "-C", repository, "fsck"], env=env).status, 0)
        self.assertGreater(len(list(processes(self.report("gc.mtk")))), 3)

    def test_gcc_compiles_unchanged_and_its_children_are_entries(self):
        source = self.write("program.cpp", inputs.CPLUSPLUS)
        command = [need("g++"), "-O1", "-o", self.path("program"), source]
        plain = run(command, cwd=self.folder)
        self.assertEqual(plain.status, 0, plain)
        with open(self.path("program"), "rb") as file:
            untracked = file.read()
        os.unlink(self.path("program"))
        tracked = self.record(command)
        self.assertEqual((tracked.status, tracked.stdout, tracked.stderr), (0, b"", b""), tracked)
        with open(self.path("program"), "rb") as file:
            self.assertEqual(file.read() == untracked, True, "the compiled program differs")
        report = self.report()
        self.check_recorded(report)
        by_name = {program_name(process): process for process in processes(report)}
        self.assertGreater(by_name["cc1plus"]["totals"]["allocations"], 10000)
        self.assertIn("collect2", by_name)
        self.assertTrue(any(name.endswith("as") for name in by_name), by_name.keys())
        self.assertTrue(any(name.startswith("ld") or name.endswith("-ld.bfd") or name.endswith("-ld")
                            for name in by_name), by_name.keys())

    def test_node_runs_unchanged(self):
        self.check([need("node"), "-e", inputs.NODE], 5000)

    def test_cplusplus_threads_with_exceptions_run_unchanged(self):
        self.check([os.path.join(SAMPLES, "exceptions")], 4200)

    # ---- servers ----

    def start(self, command):
        """Starts a server under memtrack; its end is asserted by finish()."""
        process = subprocess.Popen(
            [MEMTRACK, "run", "-q", "--report=none", "-o", self.path("run.mtk"), "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=self.folder, start_new_session=True)

        def stop():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(stop)
        return process

    def finish(self, process):
        stdout, stderr = process.communicate(timeout=TIME_LIMIT_SECONDS)
        return shell_status(process.returncode), stdout, stderr

    def test_redis_server_serves_a_benchmark(self):
        port = free_port()
        server = self.start([need("redis-server"), "--port", str(port), "--bind", "127.0.0.1",
                             "--save", "", "--appendonly", "no", "--dir", self.folder])
        client = [need("redis-cli"), "-p", str(port)]
        wait_until(lambda: run(client + ["ping"]).stdout == b"PONG\n", "redis-server answers")
        outcome = run([need("redis-benchmark"), "-p", str(port), "-q", "-n", "20000", "-r", "5000",
                       "-t", "set,get,lpush,sadd,hset"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(run(client + ["set", "a", "b"]).stdout, b"OK\n")
        self.assertEqual(run(client + ["get", "a"]).stdout, b"b\n")
        run(client + ["shutdown", "nosave"])
        status, stdout, _ = self.finish(server)
        self.assertEqual(status, 0, stdout)
        report = self.report()
        self.check_recorded(report)
        self.assertGreater(report["totals"]["allocations"], 100000)
        self.assertRegex(report["process"]["allocator"], "jemalloc")

    def test_nginx_serves_from_two_workers(self):
        port = free_port()
        for folder in ("logs", "html", "body", "proxy", "fastcgi", "uwsgi", "scgi"):
            os.mkdir(self.path(folder))
        os.chmod(self.folder, 0o755)
        content = "".join("line %d\n" % i for i in range(2000))
        self.write("html/index.html", content)
        user = "user root;" if os.geteuid() == 0 else ""
        self.write("nginx.conf", """
            daemon off; master_process on; worker_processes 2; %s
            pid %s/nginx.pid; error_log %s/logs/error.log;
            events { worker_connections 64; }
            http {
                access_log off; gzip on;
                client_body_temp_path %s/body; proxy_temp_path %s/proxy;
                fastcgi_temp_path %s/fastcgi; uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
                server { listen 127.0.0.1:%d; root %s/html; }
            }""" % ((user,) + (self.folder,) * 7 + (port, self.folder)))
        server = self.start([need("nginx"), "-e", self.path("logs/start.log"), "-p", self.folder,
                             "-c", self.path("nginx.conf")])

        def fetch():
            request = urllib.request.Request("http://127.0.0.1:%d/" % port)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read().decode()

        def answers():
            try:
                return fetch() == content
            except OSError:
                return False
        wait_until(answers, "nginx answers")
        for _ in range(300):
            self.assertEqual(fetch(), content)
        with open(self.path("nginx.pid"), encoding="ascii") as file:
            master = int(file.read())
        os.kill(master, signal.SIGQUIT)
        status, stdout, stderr = self.finish(server)
        self.assertEqual((status, stdout, stderr), (0, b"", b""))
        report = self.report()
        self.check_recorded(report)
        workers = [child for child in report["children"] if program_name(child) == "nginx"]
        self.assertEqual(len(workers), 2)
        self.assertGreater(sum(worker["totals"]["allocations"] for worker in workers), 300)

    # ---- the whole command ----

    def test_help_names_every_option_of_run(self):
        outcome = run([MEMTRACK, "run", "--help"])
        self.assertEqual(outcome.status, 0, outcome)
        for option in ("--output", "--snapshot-every", "--cpu", "--no-cpu", "--depth", "--follow",
                       "--allocator", "--report", "--top", "--log-file", "--color"):
            self.assertRegex(outcome.stdout.decode(), re.escape(option))

    def test_report_is_text_on_stderr_and_stdout_is_the_programs(self):
        outcome = run([MEMTRACK, "-o", self.path("run.mtk"), "--", os.path.join(SAMPLES, "service"),
                       "300"], cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(outcome.stdout, b"300 requests answered\n")
        for function in (b"catalogue_load", b"report_build", b"session_open"):
            self.assertIn(function, outcome.stderr)
        self.assertIn(b"service.c:", outcome.stderr)

    def test_allocator_jemalloc_runs_any_program_on_jemalloc(self):
        inputs.write_json(self.path("items.json"))
        command = [need("jq"), "length", self.path("items.json")]
        outcome = self.record(command, ["--allocator=jemalloc"])
        self.assertEqual((outcome.status, outcome.stdout, outcome.stderr), (0, b"2000\n", b""))
        report = self.report()
        self.assertRegex(report["process"]["allocator"], "^jemalloc")
        self.record(command, recording="plain.mtk")
        # Debian's libjemalloc brings libstdc++ into the program, whose pool for exceptions is one
        # allocation of its own.
        self.assertEqual(report["totals"]["allocations"],
                         self.report("plain.mtk")["totals"]["allocations"] + 1)


if __name__ == "__main__":
    main()
