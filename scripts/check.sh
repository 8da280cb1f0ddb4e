#!/usr/bin/env bash
# Builds memtrack and runs every test: the check that a change must pass.
#
#   scripts/check.sh
#
# 1. gcc build with warnings as errors, all tests (unit and system)
# 2. clang build with warnings as errors
# 3. unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
# 4. unit tests of the code inside the program under ThreadSanitizer
# Every step runs, whatever failed before it. The end repeats ctest's closing lines.
set -uo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/build.sh
. "$project/scripts/build.sh"
exec </dev/null
export CTEST_OUTPUT_ON_FAILURE=1

failures=()
started=$SECONDS

say() {
    printf '\n== [%3d s] %s\n' "$((SECONDS - started))" "$1"
}

build() {
    say "build: $1"
    local name=$1
    shift
    build_configure_and_compile "$@" && return 0
    failures+=("build: $name")
    return 1
}

# ctest's own closing lines are kept in the log for the summary.
run_tests() {
    local name=$1 folder=$2 log=$3
    shift 3
    say "tests: $name"
    (cd "$folder" && ctest --no-tests=error --timeout 300 "$@") | tee "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failures+=("tests: $name")
}

"$project/scripts/packages.sh" build page test || exit 1
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

if build "gcc" "$project/build" -DCMAKE_BUILD_TYPE=Release -DMEMTRACK_WERROR=ON; then
    run_tests "all" "$project/build" "$logs/all" --parallel 2
fi
build "clang" "$project/build-clang" -DCMAKE_BUILD_TYPE=Release -DMEMTRACK_WERROR=ON \
    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DMEMTRACK_SAMPLES=OFF
if build "gcc, address and undefined behaviour sanitizers" "$project/build-asan" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMEMTRACK_SANITIZE=address,undefined -- --target unit_tests; then
    run_tests "unit, under ASan and UBSan" "$project/build-asan" "$logs/asan" -L unit --parallel 2
fi
if build "gcc, thread sanitizer" "$project/build-tsan" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMEMTRACK_SANITIZE=thread -- --target unit_tests; then
    run_tests "arena and core, under TSan" "$project/build-tsan" "$logs/tsan" -L '^(arena|core)$' --parallel 2
fi

say "summary"
for name in asan tsan all; do
    [ ! -s "$logs/$name" ] || printf '%-5s %s\n' "$name" "$(grep -E 'tests passed' "$logs/$name" || tail -n 1 "$logs/$name")"
done
if [ ${#failures[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failures[@]}"
    exit 1
fi
# The last line is ctest's own.
grep -E 'tests passed' "$logs/all"
