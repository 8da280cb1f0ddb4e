#!/usr/bin/env bash
# Measures what tracking costs, beside other tools on the same workloads; writes docs/performance.md.
#
#   tests/bench/run.sh                    all workloads, all tools that are installed, 5 runs each
#   tests/bench/run.sh --quick            small inputs, 3 runs, nothing written to docs/
#   tests/bench/run.sh --help             all options
#
# The peers: scripts/packages.sh bench
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/build.sh
. "$project/scripts/build.sh"

case " $* " in
*" --help "* | *" -h "* | *" --list "*) ;;
*)
    "$project/scripts/packages.sh" build
    build_configure_and_compile "$project/build" -DCMAKE_BUILD_TYPE=Release ||
        { echo "run.sh: the build failed: see above" >&2; exit 1; }
    ;;
esac
exec /usr/bin/env -u PYENV_VERSION python3 -B "$project/tests/bench/bench.py" "$@"
