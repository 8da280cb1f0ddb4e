"""The scripts that a person meets first."""

import os
import re

from harness import SOURCE, MemtrackTest, main, run

PACKAGES = os.path.join(SOURCE, "scripts", "packages.sh")


class ScriptsTest(MemtrackTest):
    def test_packages_script_lists_each_package_once(self):
        outcome = run([PACKAGES, "--list", "all"], cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)
        names = outcome.stdout.decode().split()
        self.assertEqual(sorted(set(names)), sorted(names))
        for name in ("cmake", "libdw-dev", "libcmocka-dev", "valgrind", "heaptrack"):
            self.assertIn(name, names)

    def test_packages_script_refuses_an_unknown_group(self):
        outcome = run([PACKAGES, "no-such-group"], cwd=self.folder)
        self.assertEqual(outcome.status, 1, outcome)
        self.assertIn(b"no-such-group: no such group", outcome.stderr)

    def test_packages_script_without_rights_says_what_to_install(self):
        # A dpkg-query that knows no package, an id that is not root's, and no sudo.
        for name, text in (("dpkg-query", "exit 0"), ("id", "echo 1000"), ("apt-get", "exit 9")):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write("#!/bin/sh\n%s\n" % text)
            os.chmod(self.path(name), 0o755)
        for tool in ("bash", "awk", "sort", "env", "sed"):
            os.symlink(os.path.join("/usr/bin", tool), self.path(tool))
        outcome = run([PACKAGES, "build"], cwd=self.folder, env={"PATH": self.folder})
        self.assertEqual(outcome.status, 1, outcome)
        self.assertRegex(outcome.stderr.decode(), r"apt-get install .*\blibdw-dev\b")

    def test_every_script_is_valid_bash(self):
        folder = os.path.join(SOURCE, "scripts")
        scripts = [os.path.join(folder, name) for name in sorted(os.listdir(folder))
                   if re.search(r"\.sh$", name)]
        scripts.append(os.path.join(SOURCE, ".ci", "run"))
        self.assertGreater(len(scripts), 3)
        for script in scripts:
            outcome = run(["bash", "-n", script])
            self.assertEqual(outcome.status, 0, outcome)

    def test_quickstart_ends_with_a_report_and_what_to_try_next(self):
        quickstart = os.path.join(SOURCE, "scripts", "quickstart.sh")
        outcome = run([quickstart], cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn(b"6000 requests answered\n", outcome.stdout)
        self.assertIn(b"report_build", outcome.stderr)
        self.assertRegex(outcome.stderr.decode(), r"Try next:\n.* report memtrack.service.mtk ")
        outcome = run([quickstart, "sh", "-c", "exit 9"], cwd=self.folder)
        self.assertEqual(outcome.status, 9, outcome)
        self.assertEqual(sorted(os.listdir(self.folder)), ["memtrack.service.mtk", "memtrack.sh.mtk"])

    def test_every_link_in_the_documents_leads_somewhere(self):
        documents = [os.path.join(SOURCE, "README.md")]
        documents += [os.path.join(SOURCE, "docs", name) for name in
                      sorted(os.listdir(os.path.join(SOURCE, "docs"))) if name.endswith(".md")]
        self.assertGreater(len(documents), 2)
        missing = []
        for document in documents:
            with open(document, encoding="utf-8") as file:
                text = re.sub(r"```.*?```", "", file.read(), flags=re.DOTALL)
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
                if not re.match(r"[a-z]+:", target) and not os.path.exists(
                        os.path.join(os.path.dirname(document), target)):
                    missing.append("%s: %s" % (os.path.basename(document), target))
        self.assertEqual(missing, [])


if __name__ == "__main__":
    main()
