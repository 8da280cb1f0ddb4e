"""What the tests of gates share: a program that loses what it is told to, under memtrack check."""

import glob
import json
import os

from harness import MEMTRACK, SOURCE, MemtrackTest, need, run

PROJECT = os.path.join(SOURCE, "tests/system/gates")


class GateCase(MemtrackTest):
    """Has a program that loses what it is told to."""

    def setUp(self):
        super().setUp()
        self.leaky = self.path("leaky")
        outcome = run([need("gcc"), "-g", "-O0", "-o", self.leaky, os.path.join(PROJECT, "leaky.c")])
        self.assertEqual(outcome.status, 0, outcome)

    def check(self, *arguments, **how):
        return run([MEMTRACK, "check", *arguments], cwd=self.folder, **how)

    def check_json(self, *arguments):
        out = self.path("result.json")
        outcome = self.check("--format", "json", "-o", out, *arguments)
        with open(out, encoding="utf-8") as file:
            return outcome.status, json.load(file)

    def compile(self, name, text, *options):
        """Builds a C program of this text; returns its path."""
        source = self.path(name + ".c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        outcome = run([need("gcc"), "-g", "-O0", "-o", self.path(name), source, *options])
        self.assertEqual(outcome.status, 0, outcome)
        return self.path(name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def recordings(self):
        return glob.glob(self.path("*.mtk"))
