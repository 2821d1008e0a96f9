#!/bin/sh
# bench.sh: every benchmark, each with the size of its input and a ratio to something of the same run.
set -eu
echo '== reading manifests, against the bare YAML parser'
cargo run --quiet --release --package palisade-manifest --example reading
echo '== compiling policies and planning a ruleset, against sorting the pods by label'
cargo run --quiet --release --package palisade-nftables --example scale
