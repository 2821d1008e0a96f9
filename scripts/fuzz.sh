#!/bin/sh
# fuzz.sh SECONDS: each fuzz target for that long. cargo-fuzz wants a nightly; RUSTC_BOOTSTRAP lets the stable one do.
set -eu
cargo fuzz --version >/dev/null 2>&1 || { echo 'cargo-fuzz is missing: cargo install cargo-fuzz' >&2; exit 1; }
for target in yaml_reader manifest_reader dns_answer flow_line; do
	mkdir -p "fuzz/corpus/$target"
	dictionary=-dict=fuzz/yaml.dict
	seeds=examples/*/*.yaml
	case $target in
	dns_answer) dictionary= ;;
	flow_line) dictionary= seeds=docs/reference/*.jsonl ;;
	esac
	cp -n $seeds "fuzz/corpus/$target/" 2>/dev/null || true
	RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none "$target" -- \
		-max_total_time="$1" -timeout=10 -rss_limit_mb=4096 $dictionary
done
