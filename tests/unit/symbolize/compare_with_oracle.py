#!/usr/bin/env python3
"""compare_with_oracle.py PROBE FILE [COUNT [SEED]] - the symbolizer against llvm-symbolizer.

Resolves COUNT random addresses of FILE's code with both and compares whole chains of inlined
calls: functions, files and lines. Prints the classes of differences with examples, and fails
if more than one address in a thousand differs in a way that is not explained:

  line-0      compiler-made code: llvm prints line 0, the symbolizer the row before
  parameters  the same function, its signature written differently by the two demanglers
  no-linkage  debug information without a linkage name; llvm takes the symbol's name then
  symbol      no debug information: the two choose different symbols of one address, or none
"""
import collections
import os
import random
import re
import shutil
import subprocess
import sys


def code_sections(path):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    for match in re.finditer(r"\.text\S*\s+PROGBITS\s+(\w+)\s+\w+\s+(\w+)", out):
        yield int(match[1], 16), int(match[2], 16)


def chains_of(text):
    """Yields lists of (function, file, line), innermost first."""
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line != ""]
        if not lines:
            continue
        chain = []
        for function, place in zip(lines[0::2], lines[1::2]):
            name, line, _ = place.rsplit(":", 2)
            chain.append((function, os.path.normpath(name) if name != "??" else name, int(line)))
        yield chain


def plain(function):
    """A function's name without parameters, template arguments, return type or clone mark."""
    function = re.sub(r"\[abi:\w+\]|\[clone [^]]*\]|\.(part|isra|constprop|cold|lto_priv|llvm)\b[.\d]*", "", function)
    function = function.replace("(anonymous namespace)", "{anon}").replace("operator()", "{call}")
    function = re.sub(r"operator\s*(<=>|<<=|>>=|<<|>>|<=|>=|->\*|->|<|>)", "{op}", function)
    kept, depth = "", 0
    for char in function:
        if char in "<({[":
            depth += 1
        elif char in ">)}]":
            depth -= 1
        elif depth == 0:
            kept += char
    return kept.replace(" const", "").strip().split(" ")[-1].split("::")[-1]


def classify(ours, theirs):
    if ours == theirs:
        return None
    if any(line == 0 and name != "??" for _, name, line in theirs[:1]):
        return "line-0"
    if all(line == 0 for _, _, line in theirs) and all(line == 0 for _, _, line in ours):
        return "symbol"
    if len(ours) != len(theirs):
        return "CHAIN LENGTH"
    if [frame[1:] for frame in ours] != [frame[1:] for frame in theirs]:
        return "FILE OR LINE"
    pairs = [(a[0], b[0]) for a, b in zip(ours, theirs) if a[0] != b[0]]
    if all(plain(a) == plain(b) for a, b in pairs):
        return "parameters"
    if all("(" not in a or "(" not in b for a, b in pairs):
        return "no-linkage"
    return "FUNCTION"


def main():
    probe, path = sys.argv[1], sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    oracle = shutil.which("llvm-symbolizer") or shutil.which("llvm-symbolizer-14")
    if oracle is None:
        print("SKIP: llvm-symbolizer is not installed")
        return 77
    chance = random.Random(seed)
    sections = list(code_sections(path))
    addresses = []
    for _ in range(count):
        start, size = chance.choices(sections, weights=[size for _, size in sections])[0]
        addresses.append(start + chance.randrange(size))
    questions = "".join(f"0x{address:x}\n" for address in addresses)
    ours = list(chains_of(subprocess.run([probe, path], input=questions, capture_output=True,
                                         text=True, errors="replace", check=True).stdout))
    theirs = list(chains_of(subprocess.run(
        [oracle, f"--obj={path}", "--inlines", "--demangle", "--output-style=GNU", "--functions=linkage"]
        if False else [oracle, f"--obj={path}", "--inlines", "--demangle"],
        input=questions, capture_output=True, text=True, errors="replace", check=True).stdout))
    assert len(ours) == count and len(theirs) == count, (len(ours), len(theirs), count)
    classes = collections.defaultdict(list)
    for address, mine, other in zip(addresses, ours, theirs):
        kind = classify(mine, other)
        if kind is not None:
            classes[kind].append((address, mine, other))
    unexplained = 0
    for kind, cases in sorted(classes.items()):
        print(f"{kind}: {len(cases)} of {count}")
        unexplained += len(cases) if kind.isupper() else 0
        if kind.isupper() or os.environ.get("SHOW") == kind:
            for address, mine, other in cases[:4]:
                print(f"  0x{address:x}\n    ours   {mine}\n    theirs {other}")
    print(f"unexplained: {unexplained} of {count}")
    return 1 if unexplained * 1000 > count else 0


if __name__ == "__main__":
    sys.exit(main())
