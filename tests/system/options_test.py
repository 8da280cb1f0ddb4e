"""What the commands have in common: options and their errors, colours, widths, the pager."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios

from harness import MEMTRACK, SAMPLES, TIME_LIMIT_SECONDS, MemtrackTest, main, need, run

READERS = {  # command -> the operands it needs, of one recording
    "report": ["{}"], "cpu": ["{}"], "diff": ["{}@first", "{}"], "leaks": ["{}"],
    "growth": ["{}"], "timeline": ["{}"], "annotate": ["{}"]}
SHARED = {"color", "no-color", "no-pager", "format", "output", "wide"}


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class OptionsTest(MemtrackTest):
    def setUp(self):
        super().setUp()
        self.recording = self.path("run.mtk")
        outcome = self.record([os.path.join(SAMPLES, "service"), "1000"],
                              options=["--snapshot-every", "10ms", "--cpu", "999"])
        self.assertEqual(outcome.status, 0, outcome)

    def command(self, name, *options):
        return [MEMTRACK, name] + [part.format(self.recording) for part in READERS[name]] + \
            list(options)

    def terminal(self, command, columns=100, rows=24, **variables):
        """Runs a command on a terminal of its own. Returns its status and what it showed."""
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE",
                                       "PAGER", "MEMTRACK_PAGER", "LESS", "COLUMNS")}
        environment.update(TERM="xterm", LC_ALL="C.UTF-8")
        environment.update(variables)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs,
                                   env=environment, start_new_session=True)
        os.close(theirs)
        shown = b""
        while True:
            ready, _, _ = select.select([ours], [], [], TIME_LIMIT_SECONDS)
            self.assertTrue(ready, "nothing more came: %r" % shown[-500:])
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # all who had it open are gone
                break
            shown += chunk
        status = process.wait(TIME_LIMIT_SECONDS)
        os.close(ours)
        return status, shown.decode().replace("\r\n", "\n")

    def script(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
        return path

    # ---- names and errors --------------------------------------------------------------

    def test_commands_refuse_the_same_mistakes_in_the_same_words(self):
        mistakes = {
            ("--format=jsom",): "--format=jsom: unknown, did you mean json?",
            ("--color=purple",): "--color=purple: unknown, choose auto, always or never",
            ("--colour=never",): None,
            ("--process",): None,
        }
        for options, message in mistakes.items():
            for name in READERS:
                outcome = run(self.command(name, *options))
                text = outcome.stderr.decode()
                self.assertEqual((outcome.status, outcome.stdout), (64, b""), (name, outcome))
                expected = message or {
                    "--colour=never": name + ": unknown option --colour, did you mean --color?",
                    "--process": "%s: --process needs a value: --process=%s"
                                 % (name, "P[,Q]" if name == "diff" else "PID|#INDEX|NAME"),
                }[options[0]]
                self.assertEqual(text, "memtrack: %s\n" % expected)
        for name in ("report", "cpu", "diff", "leaks", "growth", "annotate"):
            outcome = run(self.command(name, "--top=-1"))
            self.assertEqual(outcome.status, 64, outcome)
            self.assertRegex(outcome.stderr.decode(), r"^memtrack: --top: [^\n]+\n$")

    def test_top_0_shows_all_in_every_list(self):
        for name in ("report", "cpu", "diff", "leaks", "growth"):
            rows = [len(re.findall(r"^ {2,}[^ ].*  \S+\.c:\d+", run(self.command(name, "--top", top)).stdout
                                   .decode(), re.MULTILINE)) for top in ("1", "0", "1000000")]
            self.assertEqual(rows[1], rows[2], name)
            if name == "report":
                self.assertLess(rows[0], rows[1])

    def test_every_command_explains_the_shared_options_alike(self):
        texts = {}
        for name in READERS:
            outcome = run([MEMTRACK, name, "--help"])
            self.assertEqual((outcome.status, outcome.stderr), (0, b""), outcome)
            # An option, and all lines of its explanation.
            entries = re.findall(r"^ +(?:-\w, )?--([a-z-]+).*(?:\n {20,}.*)*", outcome.stdout.decode(),
                                 re.MULTILINE)
            self.assertGreaterEqual(set(entries), SHARED)
            for match in re.finditer(r"^ +(?:-\w, )?--([a-z-]+).*(?:\n {20,}.*)*",
                                     outcome.stdout.decode(), re.MULTILINE):
                if match.group(1) in SHARED - {"format"}:
                    texts.setdefault(match.group(1), set()).add(match.group(0))
        self.assertEqual({name: len(found) for name, found in texts.items()},
                         dict.fromkeys(SHARED - {"format"}, 1), texts)

    def test_a_process_is_named_by_number_index_or_program_everywhere(self):
        pid = self.report()["process"]["pid"]
        for name in READERS:
            outputs = {run(self.command(name, "--process", word, "--format", "json")).stdout
                       for word in (str(pid), "#0", "service")}
            self.assertEqual(len(outputs), 1, name)
            outcome = run(self.command(name, "--process", "nobody"))
            self.assertEqual(outcome.status, 66, outcome)
            self.assertIn(b"no process nobody in it; it has 1", outcome.stderr)

    # ---- the pager -----------------------------------------------------------------------

    def test_text_on_a_terminal_goes_through_the_pager(self):
        pager = self.script("pager", 'cat >"$PAGED"; printenv LESS >>"$PAGED"\n')
        for name in READERS:
            paged = self.path("paged." + name)
            status, shown = self.terminal(self.command(name), MEMTRACK_PAGER=pager, PAGER="false",
                                          PAGED=paged)
            self.assertEqual((status, shown), (0, ""), name)
            with open(paged, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(text.endswith("\nFRX\n"), text[-100:])
            self.assertIn("\x1b[", text, "colours are the pager's to show")
            _, direct = self.terminal(self.command(name, "--no-pager"), MEMTRACK_PAGER=pager)
            self.assertEqual(direct + "FRX\n", text)

    def test_only_text_for_people_is_paged(self):
        pager = self.script("pager", 'touch "$PAGED"; cat\n')
        variables = {"PAGER": pager, "PAGED": self.path("paged")}
        for name in READERS:
            self.terminal(self.command(name, "--format", "json"), **variables)
            self.terminal(self.command(name, "-o", self.path("out." + name)), **variables)
            self.terminal(self.command(name), **dict(variables, MEMTRACK_PAGER="cat"))
            self.terminal(self.command(name), **dict(variables, MEMTRACK_PAGER=""))
            run(self.command(name), env=dict(os.environ, **variables))
            self.assertFalse(os.path.exists(self.path("paged")), name)
        self.terminal(self.command("report"), **variables)
        self.assertTrue(os.path.exists(self.path("paged")))

    def test_a_pager_that_ends_early_ends_the_command_well(self):
        for name in READERS:
            status, shown = self.terminal(self.command(name, "--top", "0") if name != "timeline"
                                          else self.command(name), PAGER="true")
            self.assertEqual((status, shown), (0, ""), name)

    def test_a_pager_that_is_missing_loses_no_output(self):
        status, shown = self.terminal(self.command("report"), PAGER="no-such-pager -R")
        first, rest = shown.split("\n", 1)
        self.assertEqual((status, first), (0, "memtrack: PAGER=no-such-pager -R: no such program, "
                                              "output is not paged: install it, or set PAGER=cat"))
        self.assertEqual(rest, self.terminal(self.command("report", "--no-pager"))[1])

    def test_less_leaves_what_fits_on_the_screen(self):
        need("less")
        status, shown = self.terminal(self.command("report", "--no-color"), rows=500,
                                      LESSHISTFILE="-", LESSKEYIN="/dev/null")
        text = run(self.command("report", "--no-color"), env=dict(os.environ, LC_ALL="C.UTF-8")).stdout
        self.assertEqual((status, re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]|[\r\x1b]=?>?", "", shown)),
                         (0, text.decode()))

    # ---- colours and width ----------------------------------------------------------------

    def test_colours_follow_options_environment_and_terminal(self):
        rules = [
            ([], {}, True), ([], {"NO_COLOR": "1"}, False), ([], {"NO_COLOR": ""}, True),
            ([], {"CLICOLOR": "0"}, False), ([], {"TERM": "dumb"}, False),
            ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
            (["--color=always"], {"NO_COLOR": "1", "TERM": "dumb"}, True),
            (["--no-color"], {"FORCE_COLOR": "1"}, False), (["--color=never"], {}, False)]
        for options, variables, is_colored in rules:
            for name in READERS:
                _, shown = self.terminal(self.command(name, "--no-pager", *options), **variables)
                self.assertEqual("\x1b[" in shown, is_colored, (name, options, variables))
        for variables, is_colored in (({}, False), ({"FORCE_COLOR": "1"}, True),
                                      ({"CLICOLOR_FORCE": "1"}, True),
                                      ({"CLICOLOR_FORCE": "0"}, False)):
            environment = {name: value for name, value in os.environ.items()
                           if not name.endswith(("COLOR", "COLOR_FORCE"))}
            outcome = run(self.command("report"), env=dict(environment, TERM="xterm", **variables))
            self.assertEqual(b"\x1b[" in outcome.stdout, is_colored, variables)


if __name__ == "__main__":
    main()
