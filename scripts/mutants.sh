#!/bin/sh
# mutants.sh: mutates the compiler, the verdict and the planner, and runs the tests that hold them.
# The survivors, each with its reason, are in docs/mutants.md.
set -eu
cargo mutants --version >/dev/null 2>&1 || { echo 'cargo-mutants is missing: cargo install cargo-mutants' >&2; exit 1; }
# A hundredth of the random clusters kills nearly what all of them kill, in a hundredth of the time.
export PALISADE_CLUSTERS="${PALISADE_CLUSTERS:-100}"
exec cargo mutants \
	--file 'crates/engine/src/compile/*.rs' --file 'crates/engine/src/verdict.rs' \
	--file 'crates/engine/src/matching.rs' --file 'crates/engine/src/sets/*.rs' \
	--file 'crates/engine/src/connections/*.rs' --file 'crates/engine/src/diff.rs' --file 'crates/engine/src/diff/*.rs' \
	--file 'crates/nftables/src/plan/*.rs' \
	--test-package palisade-engine --test-package palisade-nftables --timeout 120 "$@" \
	-- --lib --test agreement --test program --test semantics --test connections --test diff --test ends --test known_connections --test known_differences --test interpreter --test ruleset
