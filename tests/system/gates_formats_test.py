"""What memtrack check writes for other tools, read by readers that are not memtrack's: SARIF's object
model, a JUnit parser, Valgrind itself as the model of its XML, and the rules of GitHub's commands.

The readers are Debian's packages, so this is for /usr/bin/python3.
"""

import json
import os
import re
import xml.etree.ElementTree as ElementTree

import junitparser
import sarif_om

from gate_case import GateCase
from harness import MEMTRACK, SAMPLES, main, need, run

ODD_NAME = 'a "name", <odd> & 100 % süß: %0A::error\nsecond line,x=1'

# Fields of SARIF that hold objects, or lists of objects, of these classes.
SARIF_OBJECTS = {
    "": "SarifLog", "runs": "Run", "tool": "Tool", "driver": "ToolComponent",
    "rules": "ReportingDescriptor", "shortDescription": "MultiformatMessageString",
    "defaultConfiguration": "ReportingConfiguration", "invocations": "Invocation", "results": "Result",
    "message": "Message", "locations": "Location", "location": "Location",
    "physicalLocation": "PhysicalLocation", "artifactLocation": "ArtifactLocation", "region": "Region",
    "logicalLocations": "LogicalLocation", "stacks": "Stack", "frames": "StackFrame",
}
SARIF_MAPS = {"originalUriBaseIds": "ArtifactLocation"}


def sarif_read(test, name, value, where="sarif"):
    """Builds the object model's objects: a property that it does not know, or lacks, is an error."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            sarif_read(test, name, item, "%s[%d]" % (where, i))
    elif name in SARIF_MAPS:
        for key, item in value.items():
            sarif_read(test, SARIF_MAPS[name], item, "%s.%s" % (where, key))
    elif name in SARIF_OBJECTS or name in SARIF_MAPS.values():
        model = getattr(sarif_om, SARIF_OBJECTS.get(name, name))
        fields = {field.metadata["schema_property_name"]: field.name
                  for field in model.__attrs_attrs__}
        for key in value:
            test.assertIn(key, fields, "%s of %s" % (model.__name__, where))
        model(**{fields[key]: item for key, item in value.items()})
        for key, item in value.items():
            sarif_read(test, key, item, where + "." + key)
    else:
        # What is not listed above holds no objects, except free ones.
        test.assertTrue(name in ("properties", "partialFingerprints") or not isinstance(value, dict),
                        "%s is no object of the model" % where)


def element_paths(element, prefix=""):
    path = prefix + "/" + element.tag
    yield path
    for child in element:
        yield from element_paths(child, path)


class FormatsTest(GateCase):
    CASES = (["--", "LEAKY", "lose", "2"], ["--no-errors", "--", "LEAKY", "release-inside"],
             ["--leak-classes", "definite,reachable", "--", "LEAKY", "hold", "3"],
             ["--max-peak", "10", "--leaks=counts", "--", "LEAKY", "clean"], ["--", "LEAKY", "clean"],
             ["--name", ODD_NAME, "--max-allocations", "0", "--", "LEAKY", "lose", "1"])

    def cases(self):
        for case in self.CASES:
            yield [self.leaky if word == "LEAKY" else word for word in case]

    def test_sarif_is_read_by_its_object_model(self):
        results = 0
        for case in self.cases():
            self.check("-q", "--sarif", self.path("s.json"), *case)
            with open(self.path("s.json"), encoding="utf-8") as file:
                sarif = json.load(file)
            sarif_read(self, "", sarif)
            self.assertEqual(sarif["version"], "2.1.0")
            for result in sarif["runs"][0]["results"]:
                results += 1
                self.assertRegex(result["partialFingerprints"]["memtrackStack/v1"], "^[0-9a-f]{16}$")
                for location in result["locations"]:
                    place = location["physicalLocation"]
                    base = place["artifactLocation"].get("uriBaseId")
                    uri = place["artifactLocation"]["uri"]
                    self.assertEqual(base is None, uri.startswith("file:///"), uri)
        self.assertGreaterEqual(results, 6)

    def test_junit_is_read_by_a_parser(self):
        for case in self.cases():
            outcome = self.check("-q", "--junit", self.path("j.xml"), *case)
            xml = junitparser.JUnitXml.fromfile(self.path("j.xml"))
            suite, = list(xml)
            tests = list(suite)
            failed = [test for test in tests if test.result]
            self.assertEqual((suite.tests, suite.failures, suite.errors, suite.skipped),
                             (len(tests), len(failed), 0, 0))
            self.assertEqual((xml.tests, xml.failures), (suite.tests, suite.failures))
            self.assertEqual(outcome.status == 0, not failed, outcome)
            for test in failed:
                self.assertIsInstance(test.result[0], junitparser.Failure)
                self.assertTrue(test.result[0].message)
            if "--name" in case:
                self.assertEqual(suite.name, ODD_NAME)
            again = run([need("xmllint"), "--noout", self.path("j.xml")])
            self.assertEqual((again.status, again.stderr), (0, b""))

    def test_github_annotations_keep_to_one_line_each(self):
        """Source: docs.github.com, workflow commands; the runner's own unescaping."""
        outcome = self.check("-q", "--github", "--name", ODD_NAME, "--", self.leaky, "lose", "2")
        lines = [line for line in outcome.stderr.decode().splitlines() if line.startswith("::")]
        self.assertGreaterEqual(len(lines), 2)
        for line in lines:
            match = re.fullmatch(r"::error ([^:]*)::(.*)", line)
            self.assertIsNotNone(match, line)
            properties = dict(part.split("=", 1) for part in match[1].split(","))
            self.assertLessEqual(set(properties), {"file", "line", "title"})
            title = properties["title"]
            for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
                title = title.replace(code, character)
            self.assertTrue(title.startswith("memtrack: " + ODD_NAME), title)

    def valgrind_xml(self, tool, name, *command):
        """The XML of memtrack or of Valgrind for a command."""
        path = self.path(name)
        options = ["--tool=memcheck", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
                   "--xml=yes", "--xml-file=" + path]
        run([*tool, *options, *command], cwd=self.folder)
        root = ElementTree.parse(path).getroot()
        self.assertEqual(run([need("xmllint"), "--noout", path]).status, 0)
        return root

    def test_valgrinds_xml_has_valgrinds_structure_and_findings(self):
        commands = ([self.leaky, "lose", "2"], [self.leaky, "release-inside"], [self.leaky, "clean"],
                    [os.path.join(SAMPLES, "defects"), "new-free"])
        own, other = [], []
        for i, command in enumerate(commands):
            own.append(self.valgrind_xml([MEMTRACK], "m%d.xml" % i, *command))
            other.append(self.valgrind_xml([need("valgrind")], "v%d.xml" % i, *command))
        known = {path for root in other for path in element_paths(root)}
        for root in own:
            self.assertEqual(set(element_paths(root)) - known, set())
        for mine, theirs in zip(own, other):
            self.assertEqual(self.errors(mine), self.errors(theirs))
            self.assertEqual(self.order(mine), self.order(theirs))

    @staticmethod
    def errors(root):
        """Kind, amount and program's own frames of each error."""
        found = []
        for error in root.findall("error"):
            frames = [(frame.findtext("fn"), frame.findtext("file"), frame.findtext("line"))
                      for frame in error.find("stack") if frame.findtext("file")]
            found.append((error.findtext("kind"), error.findtext("xwhat/leakedbytes"),
                          error.findtext("xwhat/leakedblocks"),
                          [frame for frame in frames if frame[1] not in ("libc_start_call_main.h", "libc-start.c")]))
        return sorted(found, key=str)

    @staticmethod
    def order(root):
        """Children of the root in order, repetitions once, without what there may be none of."""
        tags = [child.tag for child in root if child.tag not in ("error", "suppcounts", "errorcounts")]
        return [tag for i, tag in enumerate(tags) if i == 0 or tags[i - 1] != tag]


if __name__ == "__main__":
    main()
