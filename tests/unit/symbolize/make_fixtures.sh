#!/usr/bin/env bash
# make_fixtures.sh FOLDER - builds fixture.cpp in every form in which debug information comes.
# A form whose tool is missing is left out; the test says so.
set -eu
source=$(cd "$(dirname "$0")" && pwd)/fixture.cpp
folder=$1
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
cp "$source" fixture.cpp

have() { command -v "$1" >/dev/null 2>&1; }
# build NAME COMPILER FLAGS...: in a folder of its own, so that .dwo files do not meet.
build() {
    local name=$1
    shift
    mkdir "$name"
    (cd "$name" && "$1" -O2 -g -Wl,--build-id "${@:2}" ../fixture.cpp -o program)
}

for compiler in g++ clang++; do
    have "$compiler" || continue
    build "$compiler-dwarf5" "$compiler" -gdwarf-5
    build "$compiler-dwarf4" "$compiler" -gdwarf-4
    build "$compiler-shared" "$compiler" -fPIC -shared
    build "$compiler-sections" "$compiler" -ffunction-sections -Wl,--gc-sections
    build "$compiler-zlib" "$compiler" -gz=zlib
    build "$compiler-split5" "$compiler" -gdwarf-5 -gsplit-dwarf
    build "$compiler-split4" "$compiler" -gdwarf-4 -gsplit-dwarf
done
build g++-lto g++ -flto
build g++-typeunits g++ -fdebug-types-section
build g++-nopie g++ -no-pie
build g++-lines g++ -g1

# Compressed in ways that need help.
cp -r g++-dwarf5 zstd
objcopy --compress-debug-sections=zstd zstd/program 2>/dev/null || rm -rf zstd
cp -r g++-dwarf5 zlib-gnu
objcopy --compress-debug-sections=zlib-gnu zlib-gnu/program

# Debug information beside the program: by .gnu_debuglink, and by build-id.
for place in beside hidden buildid; do
    mkdir "link-$place"
    objcopy --only-keep-debug g++-dwarf5/program "link-$place/program.debug"
    (cd "link-$place" && objcopy --strip-all --add-gnu-debuglink=program.debug ../g++-dwarf5/program program)
done
mkdir link-hidden/.debug
mv link-hidden/program.debug link-hidden/.debug/
id=$(readelf -n g++-dwarf5/program | sed -n 's/.*Build ID: //p')
mkdir -p "link-buildid/debug/.build-id/${id:0:2}"
mv link-buildid/program.debug "link-buildid/debug/.build-id/${id:0:2}/${id:2}.debug"

# Names shared by dwz between two programs.
if have dwz; then
    mkdir dwz
    cp g++-dwarf4/program dwz/program
    cp g++-dwarf4/program dwz/second
    (cd dwz && dwz -q -m shared.debug -M "$folder/dwz/shared.debug" program second 2>/dev/null) || rm -rf dwz
    [ ! -e dwz ] || readelf -SW dwz/program | grep -q gnu_debugaltlink || rm -rf dwz
fi
# All .dwo files in one .dwp, and they themselves gone. (llvm-dwp 14 does not end on gcc's.)
pack() {
    (cd "$1" && timeout 20 "$2" -e program -o program.dwp 2>/dev/null && rm -f ./*.dwo) || rm -rf "$1"
}
if have dwp; then
    build dwp4 g++ -gdwarf-4 -gsplit-dwarf
    pack dwp4 dwp
fi
if have llvm-dwp && have clang++; then
    build dwp5 clang++ -gdwarf-5 -gsplit-dwarf
    pack dwp5 llvm-dwp
fi

# Nothing but symbols; nothing at all; .dwo files that are gone; not even an ELF file.
mkdir symbols stripped lost-split text
objcopy --strip-debug g++-dwarf5/program symbols/program
objcopy --strip-all g++-dwarf5/program stripped/program
rmdir lost-split
build lost-split g++ -gdwarf-5 -gsplit-dwarf
rm lost-split/*.dwo
echo "no program" >text/program
: >.complete
