#!/bin/sh
# bench.sh: every benchmark that needs no kernel, each with the size of its input and a ratio to something of the
# same run. Packets and the agent are make bench-dataplane and make bench-agent: docs/inside/performance.md.
set -eu
echo '== reading manifests, against the bare YAML parser'
cargo run --quiet --release --package palisade-manifest --example reading
echo '== compiling policies and planning a ruleset, against sorting the pods by label'
cargo run --quiet --release --package palisade-nftables --example scale
echo '== the questions about large clusters, against reading their files (some minutes, 2 GiB at most)'
cargo run --quiet --release --package palisade-benches --bin questions -- --check
echo '== all rules of check, against reading the same 58 MB'
cargo run --quiet --release --package palisade-lint --example checking
