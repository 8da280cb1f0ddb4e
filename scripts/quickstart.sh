#!/usr/bin/env bash
# From a fresh Debian 12 machine to the first report.
#
#   scripts/quickstart.sh [PROGRAM ARGS...]
#
# Installs what is missing, builds memtrack and runs it on PROGRAM, or, without one, on the
# bundled sample service. The exit status is the program's.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/build.sh
. "$project/scripts/build.sh"

"$project/scripts/packages.sh" build
build=$project/build
[ -x "$build/bin/memtrack" ] || echo "== building memtrack in $build (about a minute)"
build_configure_and_compile "$build" -- --target quickstart ||
    { echo "quickstart.sh: the build failed: see above" >&2; exit 1; }

if [ $# -gt 0 ]; then
    name=$(basename -- "$1")
    command=("$@")
else
    name=service
    command=("$build/samples/service")
fi

# A name that is not taken: earlier recordings are kept.
recording=memtrack.$name.mtk
number=2
while [ -e "$recording" ]; do
    recording=memtrack.$name.$number.mtk
    number=$((number + 1))
done

memtrack=$build/bin/memtrack
case "$(pwd -P)/" in
"$(cd "$project" && pwd -P)/") memtrack=build/bin/memtrack ;;
esac
printf '== %s run -o %s -- %s\n\n' "$memtrack" "$recording" "${command[*]}"
status=0
"$memtrack" run -o "$recording" -- "${command[@]}" || status=$?
[ -e "$recording" ] || exit "$status"

cat >&2 <<END

Try next:
  $memtrack report $recording        this report again, later or on another machine
  $memtrack ./your-program its arguments        your own program, as it is
END
exit $status
