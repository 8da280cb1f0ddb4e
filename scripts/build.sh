# shellcheck shell=bash
# Sourced by the other scripts: configures and compiles, quietly unless something fails.

# build_configure_and_compile FOLDER [CMAKE ARGUMENTS...] [-- BUILD ARGUMENTS...]
# Prints nothing on success; on failure the end of what cmake or the compiler said.
build_configure_and_compile() {
    local folder=$1 configure=() log status=0
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        configure+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    if [ ! -e "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        configure+=(-G Ninja)
    fi
    log=$(mktemp)
    if ! cmake -S "$project" -B "$folder" "${configure[@]}" >"$log" 2>&1 ||
        ! cmake --build "$folder" --parallel "$(nproc)" "$@" >>"$log" 2>&1; then
        tail -n 60 "$log" >&2
        status=1
    fi
    rm -f "$log"
    return $status
}
