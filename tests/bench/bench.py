"""Measures memtrack and its peers, interleaved, and writes the table of docs/performance.md.

One run of every tool, then the next round: what else the machine does falls on all of them.
Standard library only. See run.sh.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from page import write_page
from tools import all_tools
from workloads import Workload, all_workloads, find

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(PROJECT, "build")
MEMTRACK = os.path.join(BUILD, "bin", "memtrack")
SAMPLES = os.path.join(BUILD, "samples")
MEASURE = os.path.join(BUILD, "tests", "bench", "measure")
RUN_LIMIT_SECONDS = 300


class RunFailed(Exception):
    pass


class Measured:
    """A command under bench's `measure`, which writes down what the command took."""

    def __init__(self, command, env, cwd):
        descriptor, self.result = tempfile.mkstemp(prefix="memtrack-bench-")
        os.close(descriptor)
        # The environment is the command's: `measure` itself must run without a tool in it.
        setting = ["%s=%s" % pair for pair in env.items()]
        self.process = subprocess.Popen(
            [MEASURE, self.result, "/usr/bin/env", *setting, *command], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=cwd)

    def wait(self, end):
        """Returns {status, wall, total, own (seconds), rss (bytes)}."""
        try:
            self.process.wait(max(0.1, end - time.monotonic()))
            with open(self.result, encoding="ascii") as file:
                status, wall, total, own, rss = (int(word) for word in file.read().split())
        except subprocess.TimeoutExpired:
            raise RunFailed("not finished after %d s" % RUN_LIMIT_SECONDS) from None
        except ValueError:
            raise RunFailed("could not be measured") from None
        finally:
            self.stop()
        return {"status": status, "wall": wall / 1e9, "total": total / 1e6, "own": own / 1e6,
                "rss": rss * 1024}

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if os.path.exists(self.result):
            os.unlink(self.result)


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(folder) for name in names
               if os.path.isfile(os.path.join(root, name)))


def drive_redis(port, end, requests):
    """The load on a redis-server, from its first answer to its end; returns the load's seconds."""
    client = [find("redis-cli"), "-p", str(port)]
    while subprocess.run(client + ["ping"], capture_output=True, check=False).stdout != b"PONG\n":
        if time.monotonic() > end:
            raise RunFailed("redis-server does not answer")
        time.sleep(0.02)
    started = time.monotonic()
    subprocess.run([find("redis-benchmark"), "-p", str(port), "-q", "-n", str(requests), "-r", "100000",
                    "-P", "16", "-t", "set,get,lpush,hset"], stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - started
    subprocess.run(client + ["shutdown", "nosave"], capture_output=True, check=False)
    return seconds


def run_once(tool, workload, quick):
    """One run; returns its figures."""
    output = tempfile.mkdtemp(prefix="memtrack-bench-")
    end = time.monotonic() + RUN_LIMIT_SECONDS
    command = list(workload.command)
    port = 20000 + os.getpid() % 20000
    if workload.server:
        command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", output]
    helper = program = None
    try:
        launcher = tool.launcher(output)
        helper_command = tool.helper(output)
        if helper_command:
            helper = Measured(helper_command, {}, output)
        program = Measured(launcher + command, dict(workload.env, **tool.environment(output)), output)
        load_seconds = None
        if workload.server:
            load_seconds = drive_redis(port, end, 20000 if quick else 400000)
        figures = program.wait(end)
        helper_seconds = figures["own"] if launcher and tool.name != "massif" else 0.0
        program_seconds = figures["total"] - helper_seconds
        wall = figures["wall"]
        if helper is not None:
            behind = helper.wait(end)
            helper_seconds = behind["total"]
            wall = max(wall, behind["wall"])
            if behind["status"] != 0:
                raise RunFailed("its helper ended with status %d" % behind["status"])
        if figures["status"] != 0:
            raise RunFailed("status %d" % figures["status"])
        return {"wall": wall if load_seconds is None else load_seconds, "program": program_seconds,
                "helpers": helper_seconds, "rss": figures["rss"], "output": folder_bytes(output)}
    finally:
        for measured in (program, helper):
            if measured is not None:
                measured.stop()
        shutil.rmtree(output, ignore_errors=True)


def measure(tools, workload, runs, quick):
    """{tool name: medians, or a text saying why there are none}."""
    samples = {tool.name: [] for tool in tools}
    failed = {}
    for number in range(runs + 1):
        for tool in tools:
            if tool.name in failed or (tool.is_slow and number > 1):
                continue
            if number == 0 and tool.is_slow:
                continue  # the first round fills caches and is thrown away
            try:
                figures = run_once(tool, workload, quick)
            except (RunFailed, OSError, subprocess.SubprocessError) as error:
                failed[tool.name] = str(error)
                print("  %s: %s" % (tool.name, error), file=sys.stderr)
                continue
            if number > 0:
                samples[tool.name].append(figures)
    result = {}
    for tool in tools:
        if tool.name in failed:
            result[tool.name] = failed[tool.name]
        else:
            result[tool.name] = {field: statistics.median(run[field] for run in samples[tool.name])
                                 for field in ("wall", "program", "helpers", "rss", "output")}
            result[tool.name]["runs"] = len(samples[tool.name])
    return result


def program_rss(tool, command):
    """Peak resident bytes of the program itself. Under a launcher, whose own memory would count
    in the same maximum, the program runs under a second `measure` inside."""
    if not tool.launcher(""):
        return run_once(tool, Workload("", "", command), True)["rss"]
    descriptor, inner = tempfile.mkstemp(prefix="memtrack-bench-")
    os.close(descriptor)
    try:
        run_once(tool, Workload("", "", [MEASURE, inner, *command]), True)
        with open(inner, encoding="ascii") as file:
            return int(file.read().split()[4]) * 1024
    finally:
        os.unlink(inner)


def measure_memory(tools, count):
    """{tool name: peak resident bytes with few and with many live blocks of 64 bytes}."""
    result = {}
    program = os.path.join(SAMPLES, "live_blocks")
    for tool in tools:
        if tool.is_slow:
            continue
        try:
            result[tool.name] = {"few": program_rss(tool, [program, "1000", "64"]),
                                 "many": program_rss(tool, [program, str(count), "64"])}
        except (RunFailed, OSError, ValueError, IndexError) as error:
            print("  %s: %s" % (tool.name, error), file=sys.stderr)
    return result


def describe_machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1048576
    with open("/etc/os-release", encoding="utf-8") as file:
        system = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    return "%s, %d CPUs, %.0f GiB of memory, Linux %s, %s, glibc %s" % (
        model, os.cpu_count(), memory, os.uname().release,
        system.get("PRETTY_NAME", "").strip("\""), os.confstr("CS_GNU_LIBC_VERSION").split()[-1])


def print_table(workload, figures):
    base = figures["untracked"]
    print("\n%-24s %9s %7s %9s %9s %9s %9s" % (workload.name, "wall s", "ratio", "program s",
                                              "helpers s", "RSS MiB", "output KB"))
    for name, values in figures.items():
        if isinstance(values, str):
            print("  %-22s %s" % (name, values))
            continue
        print("  %-22s %9.3f %7.2f %9.3f %9.3f %9.1f %9.0f" % (
            name, values["wall"], values["wall"] / base["wall"], values["program"],
            values["helpers"], values["rss"] / 1048576, values["output"] / 1000))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description="Measures memtrack beside its peers.")
    parser.add_argument("--workloads", help="comma-separated names (default: all)")
    parser.add_argument("--tools", help="comma-separated names (default: all that are installed)")
    parser.add_argument("--runs", type=int, help="runs of each (default 5)")
    parser.add_argument("--quick", action="store_true",
                        help="small inputs, 3 runs, no slow peers, nothing written to docs/")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory per block")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args()

    tools = all_tools(MEMTRACK)
    folder = os.path.join(BUILD, "bench")
    workloads = all_workloads(folder, SAMPLES, options.quick)
    if options.list:
        print("workloads: " + ", ".join(workload.name for workload in workloads))
        print("tools:     " + ", ".join(
            tool.name + ("" if tool.is_installed() else " (not here)") for tool in tools))
        return 0
    for what, names, known in (("workload", options.workloads, [w.name for w in workloads]),
                               ("tool", options.tools, [t.name for t in tools])):
        for name in (names or "").split(","):
            if name and name not in known:
                parser.error("%s: no such %s, there are: %s" % (name, what, ", ".join(known)))
    if options.workloads:
        workloads = [w for w in workloads if w.name in options.workloads.split(",")]
    if options.tools:
        tools = [t for t in tools if t.name in options.tools.split(",") or t.name == "untracked"]
    elif options.quick:
        tools = [tool for tool in tools if not tool.is_slow]
    for tool in tools:
        if not tool.is_installed():
            print("skipped, not here: %s" % tool.name)
    tools = [tool for tool in tools if tool.is_installed()]
    runs = options.runs or (3 if options.quick else 5)

    results = {"machine": describe_machine(), "date": time.strftime("%Y-%m-%d"), "runs": runs,
               "tools": [[tool.name, tool.text] for tool in tools], "workloads": [], "memory": {}}
    print(results["machine"])
    for workload in workloads:
        if not workload.is_possible():
            print("skipped, not installed: %s" % workload.name)
            continue
        figures = measure(tools, workload, runs, options.quick)
        if isinstance(figures["untracked"], str):
            print("skipped, fails untracked: %s" % workload.name)
            continue
        print_table(workload, figures)
        results["workloads"].append([workload.name, workload.text, figures])
    if not options.no_memory:
        results["blocks"] = 400000 if options.quick else 4000000
        results["memory"] = measure_memory(tools, results["blocks"])
        base = results["memory"]["untracked"]
        print("\nmemory of its own: fixed, and per live block of 64 bytes")
        for name, values in results["memory"].items():
            fixed = values["few"] - base["few"]
            print("  %-22s %7.1f MiB %7.1f bytes" % (
                name, fixed / 1048576,
                (values["many"] - base["many"] - fixed) / (results["blocks"] - 1000)))

    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    if not options.quick and not options.no_docs:
        write_page(results, os.path.join(PROJECT, "docs"))
        print("\nwritten: docs/performance.md, docs/performance.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
