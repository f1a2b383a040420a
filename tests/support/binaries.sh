# Sourced by tests/chaos and tests/again.

# Builds the test binaries with these arguments of cargo; prints "directory of the package, name, binary" of each whose
# name matches $ONLY. Tests run where their package is.
binaries() {
    local found
    found=$(
        cargo test --locked --quiet "$@" -p smarm-workspace -p smarm -p smarm-compat --lib --tests \
            --no-run --message-format json |
            sed -n 's/.*"manifest_path":"\([^"]*\)\/Cargo.toml".*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*/\1 \2 \3/p' |
            awk -v only="${ONLY:-.}" '$2 ~ only'
    )
    [ -n "$found" ] || { echo "no test binary matches '${ONLY:-.}'" >&2; return 2; }
    printf '%s\n' "$found"
}

# attempt FIRST COUNT: calls the caller's function `one NUMBER DIRECTORY NAME BINARY`, which must be exported, with each
# number for each line of $binaries, as many as $JOBS (1) at once; what it prints, should it fail, follows `failed`.
# Prints how far it has come, in the end how many failed, and fails if one did.
attempt() {
    local first=$1 count=$2 number
    scratch=$(mktemp -d)
    export scratch
    trap 'rm -rf "$scratch"' EXIT
    for ((number = first; number < first + count; number++)); do
        awk -v number="$number" '{ print number, $0 }' <<<"$binaries"
    done | xargs -P "${JOBS:-1}" -L 1 bash -c 'logged "$@"' logged || true
    local binaries_each failures
    binaries_each=$(wc -l <<<"$binaries")
    failures=$(find "$scratch" -name 'failed.*' | wc -l)
    printf '\n%s times %s binaries in %s s: %s failures\n' "$count" "$binaries_each" "$SECONDS" "$failures"
    [ "$failures" = 0 ] && [ "$(find "$scratch" -name 'passed' -size "$((count * binaries_each))c" | wc -l)" = 1 ]
}

# One attempt, whose output is shown if it fails.
logged() {
    local log
    log=$(mktemp "$scratch/log.XXXXXX")
    if one "$@" >"$log" 2>&1 </dev/null; then
        rm "$log"
        printf . >>"$scratch/passed"
    else
        {
            printf '\n== %s\n' "$(failed "$@")"
            tail -n "${LINES_OF_LOG:-30}" "$log"
        } >"$log.report"
        cat "$log.report"
        mv "$log" "$scratch/failed.${log##*.}"
    fi
}
export -f logged
