# The commands of the README. Each installs what it needs from Debian when it is missing, and says so.

CARGO ?= cargo
PALISADE := target/release/palisade

.PHONY: help demo build test check bench bench-dataplane bench-agent conformance fuzz mutants clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: build ## the three-tier example with real packets, and one denial explained
	@sh scripts/demo.sh $(PALISADE)

build: .rust ## the command, optimised: target/release/palisade
	$(CARGO) build --release --package palisade

test: .rust .tools ## every test
	$(CARGO) test --workspace

# Advisories are asked for in the workflow: their database has to be fetched.
check: .rust ## formatting, lints, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check licenses bans sources; \
	else echo 'skipped: cargo-deny is not installed (cargo install cargo-deny)'; fi

bench: .rust ## what it costs, up to 100,000 pods, as ratios within one run; fails when it is too much
	@sh scripts/bench.sh

bench-dataplane: .rust ## what a packet pays for the rules, beside conntrack alone; fails beyond the limits (minutes)
	@$(CARGO) run --quiet --release --package palisade-benches --bin dataplane

bench-agent: .rust ## change to enforced, CPU and memory of the agent, at three sizes; fails likewise (minutes)
	@$(CARGO) build --quiet --release --package palisade
	@$(CARGO) run --quiet --release --package palisade-benches --bin agent

conformance: .rust ## other people's cases, with real packets: CONFORMANCE=folder (default ../shared/conformance)
	PALISADE_CONFORMANCE=$(abspath $(or $(CONFORMANCE),../shared/conformance)) PALISADE_CONFORMANCE_LAB=1 \
		$(CARGO) test --package palisade --test conformance --test agents

fuzz: .rust ## each fuzz target for SECONDS (default 600)
	@sh scripts/fuzz.sh $(or $(SECONDS),600)

mutants: .rust ## cargo-mutants over the compiler, the verdict and the planner
	@sh scripts/mutants.sh

clean: ## remove what was built
	$(CARGO) clean

# What the others need.
.PHONY: .rust .tools
.rust:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is missing: install it with rustup, https://rustup.rs' >&2; exit 1; }
	@sh scripts/need.sh cc:gcc ld:binutils

.tools:
	@sh scripts/need.sh nft:nftables unshare:util-linux setpriv:util-linux ip:iproute2 curl:curl wget:wget nc:netcat-openbsd ping:iputils-ping
	@command -v google-chrome >/dev/null || sh scripts/need.sh chromium:chromium || \
		echo 'skipped: chromium cannot be installed here, so the page is not tried in a browser'
