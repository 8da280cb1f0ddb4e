#!/usr/bin/env python3
"""compare_with_oracle.py PROBE COUNT FILE... - the symbolizer against llvm-symbolizer.

A FILE that ends in .cpp is compiled first, in several forms. Resolves COUNT random addresses of
each FILE's code with both  and compares whole chains of inlined
calls: linkage names, files and lines. Prints the classes of differences with
examples, and fails if more than one address in a thousand differs in a way not explained here:

  line-0    code that the compiler made up: llvm prints line 0, the symbolizer the row before
  clone     the symbol table calls it f.part.0, f.isra.0 or f.cold, debug information f; or a
            constructor's or destructor's variants, which have one debug entry
  alias     several symbols of one address: each takes another, or debug information's name
  qualified an inlined function without a linkage name, with its namespaces and classes here
  no-debug  no debug information: llvm takes the nearest symbol before, also beyond its end,
            and does not look into a separate debug file's symbol table
  relative  the compilation's folder was told relative to another: no path is right or wrong
"""
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile


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


def without_clone(function):
    return re.sub(r"([CD])[1-5](?=E)", r"\1x", function.split(".")[0])


def classify(ours, theirs, aliases):
    if ours == theirs:
        return None
    if all(name == "??" for _, name, _ in theirs + ours):
        if theirs[0][0] in aliases.get(ours[0][0], ()):
            return "alias"
        return "no-debug" if "??" in (ours[0][0], theirs[0][0]) else "SYMBOL"
    if len(ours) != len(theirs):
        return "CHAIN LENGTH"
    kinds = set()
    for a, b in zip([frame[0] for frame in ours], [frame[0] for frame in theirs]):
        if without_clone(a) == without_clone(b):
            kinds.add("clone" if a != b else None)
        elif a.endswith("::" + b):
            kinds.add("qualified")
        else:
            # Only the outermost function has a symbol.
            is_alias = (a, b) == (ours[-1][0], theirs[-1][0]) and b in aliases.get(a, ())
            kinds.add("alias" if is_alias else "FUNCTION")
    if "FUNCTION" in kinds:
        return "FUNCTION"
    places = [(a[1:], b[1:]) for a, b in zip(ours, theirs)]
    if places[0][1][1] == 0 and places[0][0] != places[0][1]:
        places = places[1:]
        if all(a == b for a, b in places):
            return "line-0"
    if all(os.path.basename(a[0]) == os.path.basename(b[0]) and a[1] == b[1] and a[0][0] != "/"
           for a, b in places if a != b) and any(a != b for a, b in places):
        return "relative"
    if any(a != b for a, b in places):
        return "FILE OR LINE"
    return "alias" if "alias" in kinds else "qualified" if "qualified" in kinds else "clone"


def aliases_of(path):
    """Name -> names of the same address."""
    by_address = collections.defaultdict(set)
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
    build_id = re.search(r"Build ID: (\w+)", notes)
    debug = f"/usr/lib/debug/.build-id/{build_id[1][:2]}/{build_id[1][2:]}.debug" if build_id else path
    for command in (["nm", path], ["nm", "-D", path], ["nm", debug]):
        out = subprocess.run(command, capture_output=True, text=True).stdout
        for line in out.splitlines():
            parts = line.split()
            if len(parts) == 3:
                by_address[parts[0]].add(parts[2].split("@")[0])
    return {name: names for names in by_address.values() for name in names}


def forms_of(source, folder):
    """Compiles the source as each form below whose compiler is here; yields the programs."""
    for form in (["g++", "-O2", "-gdwarf-5"], ["g++", "-O3", "-gdwarf-4", "-flto"],
                 ["g++", "-O1", "-gdwarf-5", "-gsplit-dwarf"],
                 ["clang++", "-O2", "-gdwarf-5"], ["clang++", "-O2", "-gdwarf-4", "-ffunction-sections"]):
        if shutil.which(form[0]) is None:
            continue
        place = os.path.join(folder, "_".join(form))
        os.mkdir(place)
        subprocess.run([*form, source, "-o", "program"], cwd=place, check=True)
        yield os.path.join(place, "program")


def compare(probe, oracle, path, count, chance):
    sections = list(code_sections(path))
    addresses = []
    for _ in range(count):
        start, size = chance.choices(sections, weights=[size for _, size in sections])[0]
        addresses.append(start + chance.randrange(size))
    questions = "".join(f"0x{address:x}\n" for address in addresses)

    def ask(*command):
        out = subprocess.run(command, input=questions, capture_output=True, text=True,
                             errors="replace", check=True).stdout
        return list(chains_of(out))

    ours = ask(probe, path)
    theirs = ask(oracle, f"--obj={path}", "--inlines", "--no-demangle")
    assert len(ours) == count and len(theirs) == count, (len(ours), len(theirs), count)
    aliases = aliases_of(path)
    classes = collections.defaultdict(list)
    for address, mine, other in zip(addresses, ours, theirs):
        kind = classify(mine, other, aliases)
        if kind is not None:
            classes[kind].append((address, mine, other))
    frames = sum(len(chain) for chain in ours)
    unexplained = sum(len(cases) for kind, cases in classes.items() if kind.isupper())
    print(f"{path}: {count} addresses, {frames} frames, unexplained: {unexplained}")
    for kind, cases in sorted(classes.items()):
        print(f"  {kind}: {len(cases)}")
        if kind.isupper() or os.environ.get("SHOW") == kind:
            for address, mine, other in cases[:3]:
                print(f"    0x{address:x}\n      ours   {mine}\n      theirs {other}")
    return unexplained * 1000 <= count


def main():
    if len(sys.argv) < 4:
        print(__doc__)
        return 64
    oracle = shutil.which("llvm-symbolizer") or shutil.which("llvm-symbolizer-14")
    if oracle is None:
        print("SKIP: llvm-symbolizer is not installed")
        return 77
    chance = random.Random(1)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for path in sys.argv[3:]:
            for program in forms_of(path, folder) if path.endswith(".cpp") else [path]:
                if os.path.exists(program):
                    good = compare(sys.argv[1], oracle, program, int(sys.argv[2]), chance) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
