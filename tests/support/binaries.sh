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
