#!/usr/bin/env bash
# The one list of Debian packages that memtrack needs, and their installation.
#
#   scripts/packages.sh [GROUP...]          install what is missing (default: build test)
#   scripts/packages.sh --list [GROUP...]   print the packages
#
# Groups: build (compile and run memtrack), page (the HTML report's tools), test (all tests),
# bench (the other tools that tests/bench compares with), all.
#
# An entry "package=command" counts as present when that command is on the PATH, wherever it
# came from. apt-get update runs only when a package cannot be found without it.
set -euo pipefail

packages_of_group() {
    case "$1" in
    build)
        echo cmake ninja-build make gcc g++ pkg-config libc6-dev \
            libsqlite3-dev libdw-dev libelf-dev zlib1g-dev libzstd-dev libdeflate-dev libjemalloc-dev \
            libunwind-dev libiberty-dev libcmocka-dev
        ;;
    page)
        echo nodejs=node npm=npm
        ;;
    test)
        # clang builds everything a second time; the others are programs that the system
        # tests record, and valgrind is the independent count of their allocations.
        echo clang dwz llvm=llvm-symbolizer python3 valgrind jq libxml2-utils sqlite3 perl git binutils procps \
            redis-server redis-tools nginx nodejs=node \
            golang-go=go libdevel-nytprof-perl chromium libjemalloc-dev google-perftools libgoogle-perftools4 heaptrack \
            libgtest-dev catch2 meson automake python3-pytest cmark-gfm graphviz=dot less python3-dev \
            python3-sarif-python-om python3-junitparser
        ;;
    bench)
        echo heaptrack libjemalloc2 google-perftools libgoogle-perftools4 valgrind time \
            jq libxml2-utils sqlite3 perl python3 redis-server redis-tools
        ;;
    *)
        echo "packages.sh: $1: no such group, there are: build page test bench all" >&2
        return 1
        ;;
    esac
}

main() {
    local list_only=0
    if [ "${1:-}" = --list ]; then
        list_only=1
        shift
    fi
    local groups=("$@")
    [ ${#groups[@]} -gt 0 ] || groups=(build test)
    [ "${groups[0]}" != all ] || groups=(build page test bench)

    local wanted=() group words
    for group in "${groups[@]}"; do
        words=$(packages_of_group "$group")
        # shellcheck disable=SC2206 # package names are words
        wanted+=($words)
    done
    if [ "$list_only" = 1 ]; then
        printf '%s\n' "${wanted[@]%%=*}" | sort -u
        return 0
    fi
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "packages.sh: this is not a Debian system: install the equivalents of: ${wanted[*]%%=*}" >&2
        return 1
    fi

    local missing=() installed entry package
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${wanted[@]%%=*}" 2>/dev/null |
        awk '$2 == "installed" { print $1 }' || true)
    for entry in "${wanted[@]}"; do
        package=${entry%%=*}
        if [ "$package" != "$entry" ] && command -v "${entry#*=}" >/dev/null; then
            continue
        fi
        case $'\n'"$installed"$'\n' in
        *$'\n'"$package"$'\n'*) ;;
        *) missing+=("$package") ;;
        esac
    done
    if [ ${#missing[@]} -gt 0 ]; then
        mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
        install_packages "${missing[@]}"
    fi
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        # Without a terminal sudo could not ask for a password: use it only where it need not.
        if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            echo "packages.sh: missing packages, and neither root nor sudo: run this as root, then try again:" >&2
            echo "    apt-get update && apt-get install --no-install-recommends $*" >&2
            return 1
        fi
    fi

    echo "== installing: $*"
    # redis-server and nginx are wanted as programs only: their services must not start.
    local policy=/usr/sbin/policy-rc.d made_policy=0
    if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
        made_policy=1
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi

    local status=0
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300
        -o Acquire::Retries=3 -qq -y --no-install-recommends install)
    if ! "${as_root[@]}" "${install[@]}" "$@" </dev/null >/dev/null 2>&1; then
        echo "== apt-get update"
        "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq update </dev/null ||
            echo "packages.sh: apt-get update failed: going on with the lists there are" >&2
        "${as_root[@]}" "${install[@]}" "$@" </dev/null >/dev/null || status=$?
    fi
    [ "$made_policy" = 0 ] || "${as_root[@]}" rm -f "$policy"
    if [ "$status" != 0 ]; then
        echo "packages.sh: could not install: $*: see apt-get's message above, install them, then try again" >&2
        return 1
    fi
}

main "$@"
