#!/usr/bin/env bash
# usage: large_debug.sh FOLDER [UNITS]
# Builds FOLDER/large, a program whose debug information takes about a gigabyte (300 units of
# 4 MB, -g3, not compressed), and that allocates in each of them. One unit is compiled; the others are
# copies of it with other symbols, which takes a minute instead of an hour.
set -eu
source=$(cd "$(dirname "$0")" && pwd)/large_unit.cpp
folder=$1
units=${2:-300}
mkdir -p "$folder"
cd "$folder"
[ ! -x large ] || exit 0
g++ -std=c++17 -O1 -g3 -c "$source" -o unit.o
# Also those that the linker would merge: each unit keeps code of its own.
nm --defined-only --format=just-symbols unit.o | sort -u >symbols
{
    echo '#include <cstddef>'
    for ((i = 0; i < units; i++)); do echo "extern \"C\" size_t u${i}_unit_entry(int);"; done
    echo 'int main() { size_t sum = 0;'
    for ((i = 0; i < units; i++)); do echo "sum += u${i}_unit_entry($i);"; done
    echo 'return sum == 0; }'
} >main.cpp
for ((i = 0; i < units; i++)); do
    sed "s/.*/& u${i}_&/" symbols >renamed
    objcopy --redefine-syms=renamed unit.o "unit$i.o"
done
linker=
for name in lld gold; do
    [ -n "$linker" ] || ! command -v "ld.$name" >/dev/null || linker=-fuse-ld=$name
done
g++ -g3 main.cpp unit[0-9]*.o $linker -Wl,--build-id -o large.new
mv large.new large
rm -f unit*.o symbols renamed
