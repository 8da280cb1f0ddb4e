"""The samples' true answers, read from their first comments.

A line of the "Truth" block is "SUBJECT: FIELD VALUE, FIELD VALUE..."; SUBJECT is one of
    total                  the process's totals
    FUNCTION()             the sum over the sites whose location is that function
    child N total          the totals of the N-th child ("child 1 of child 2 total": nested)
    child FUNCTION()       the sum over all descendants' sites
    errors of ARGUMENT     defects by kind, status / status of ARGUMENT, stdout
"""

import os
import re

from harness import SOURCE, processes, sites_by_function

FOLDER = os.path.join(SOURCE, "samples")


def source_of(sample):
    for suffix in (".c", ".cpp"):
        path = os.path.join(FOLDER, sample + suffix)
        if os.path.exists(path):
            return path
    raise AssertionError("no such sample: %s" % sample)


def read_truth(sample):
    """Returns {subject: text} of a sample's Truth block, in order."""
    with open(source_of(sample), encoding="ascii") as file:
        comment = file.read().split("*/")[0]
    _, found, block = comment.partition("* Truth")
    if not found:
        raise AssertionError("%s states no truth" % sample)
    truth = {}
    for line in block.splitlines()[1:]:
        match = re.match(r" \*   (\S.*?): ?(.*)$", line)
        if match:
            truth[match.group(1)] = match.group(2)
    if not truth:
        raise AssertionError("%s states no truth" % sample)
    return truth


def numbers(text):
    """ "frees 1, allocations 2" -> {"frees": 1, "allocations": 2} """
    result = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, value = part.split()
        result[field] = int(value)
    return result


def plain_name(function):
    """A function's name without namespaces and arguments."""
    name = re.sub(r"\(anonymous namespace\)::", "", function or "")
    return name.split("(")[0].split("::")[-1]


def functions_of(process):
    result = {}
    for function, sums in sites_by_function(process).items():
        target = result.setdefault(plain_name(function), dict.fromkeys(sums, 0))
        for field, value in sums.items():
            target[field] += value
    return result


def compare(problems, subject, expected, actual):
    for field, value in expected.items():
        if actual.get(field) != value:
            problems.append("%s: %s should be %d, is %r" % (subject, field, value, actual.get(field)))


def descendant(report, subject):
    """The process that "child 1 of child 2 total" names."""
    process = report
    for number in reversed(re.findall(r"child (\d+)", subject)):
        index = int(number) - 1
        if index >= len(process["children"]):
            return None
        process = process["children"][index]
    return process


def disagreements(truth, report, is_wanted=lambda subject: True):
    """Every number of the report that is not the true one, as sentences."""
    problems = []
    functions = functions_of(report)
    below = {}
    for process in list(processes(report))[1:]:
        for function, sums in functions_of(process).items():
            target = below.setdefault(function, dict.fromkeys(sums, 0))
            for field, value in sums.items():
                target[field] += value
    for subject, text in truth.items():
        if not is_wanted(subject):
            continue
        if subject == "total":
            compare(problems, subject, numbers(text), report["totals"])
        elif re.match(r"child \d+ .*total$", subject):
            process = descendant(report, subject)
            if process is None:
                problems.append("%s: there is no such process" % subject)
            else:
                compare(problems, subject, numbers(text), process["totals"])
        elif subject.endswith("()"):
            is_child = subject.startswith("child ")
            name = subject[6 if is_child else 0:-2]
            known = below if is_child else functions
            compare(problems, subject, numbers(text),
                    known.get(name, dict.fromkeys(numbers(text), 0)))
    if report["totals"]["dropped_events"] != 0:
        problems.append("dropped_events is %d" % report["totals"]["dropped_events"])
    if not report["mode"]["complete"]:
        problems.append("the recording is not complete")
    return problems
