"""The installed program runs from where it was installed."""

import json
import os
import shutil

from harness import BUILD, SAMPLES, MemtrackTest, main, need, run


class InstallTest(MemtrackTest):
    def install(self):
        prefix = self.path("prefix")
        outcome = run([need("cmake"), "--install", BUILD, "--prefix", prefix])
        self.assertEqual(outcome.status, 0, outcome)
        return prefix

    def record_with(self, memtrack):
        recording = self.path("installed.mtk")
        outcome = run([memtrack, "run", "-q", "--report=none", "-o", recording, "--",
                       os.path.join(SAMPLES, "known_totals")], cwd="/")
        self.assertEqual(outcome.status, 3, outcome)
        outcome = run([memtrack, "report", recording, "--format", "json"], cwd="/")
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(json.loads(outcome.stdout)["totals"]["allocations"], 1021)
        os.unlink(recording)

    def test_installed_memtrack_runs_from_its_prefix(self):
        prefix = self.install()
        for path in ("bin/memtrack", "lib/memtrack/libmemtrack.so"):
            self.assertTrue(os.path.isfile(os.path.join(prefix, path)), path)
        # The build tree's shim must not be the one that is found.
        with open(os.path.join(prefix, "bin/memtrack"), "rb") as file:
            self.assertNotIn(os.path.join(BUILD, "lib").encode(), file.read())
        self.record_with(os.path.join(prefix, "bin/memtrack"))

    def test_installed_memtrack_runs_after_being_moved_and_through_a_link(self):
        moved = self.path("moved")
        shutil.move(self.install(), moved)
        self.record_with(os.path.join(moved, "bin/memtrack"))
        os.symlink(os.path.join(moved, "bin/memtrack"), self.path("link"))
        self.record_with(self.path("link"))


if __name__ == "__main__":
    main()
