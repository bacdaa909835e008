#!/bin/bash
# Runs every fuzz target of the module, one after another, each for the given time (default 20s).
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-20s}
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir package; do
    shopt -s nullglob
    tests=("$dir"/*_test.go)
    [ "${#tests[@]}" -gt 0 ] || continue
    sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "${tests[@]}" | while read -r target; do
        echo "== $package $target"
        go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "$package" </dev/null
    done
done
