# Everything a developer does here. Needs a stable Rust (rustup) and a C linker; what else a target can use
# it looks for, and says "skipped" when it is not there.

# Where cargo builds, as cargo itself decides it.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# For all calls of cargo that build, e.g. --locked.
CARGO_FLAGS ?=

# How long each fuzz target, or the comparison with the model, runs.
SECONDS := 60

# What runs on Redox; it takes all crates that ship there.
REDOX_PROGRAMS := lcs-scheme loregd regtool regman

# Debian's own Rust can build std from source for Redox; rustup's stable cannot.
REDOX_RUST := env PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$(TARGET)/redox"
REDOX_NEEDS := Debian's packages rustc-web, cargo-web and rust-web-src

# The machine's own, because the machine's linker is used. It is for errors: the quickest code will do.
REDOX_TARGET := $(shell uname -m)-unknown-redox
REDOX_BUILD := CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
	CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_REDOX_LINKER="$(CURDIR)/recipes/link-without-libc.sh"

.PHONY: help build run test bench lint redox-check redox-overlay redox-overlay-remove fuzz model clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 28

build: ## Build redox-hosted, lcs-scheme, loregd, regtool, regman and libreg.so (in target/release)
	cargo build $(CARGO_FLAGS) --release --bins -p hosted -p lcs-scheme -p loregd -p regtool -p regman
	cargo build $(CARGO_FLAGS) --release -p libreg-c

run: build ## Start the registry under target/run, show a tour, and open regtool's shell on a terminal
	mkdir -p "$(TARGET)"
	"$(TARGET)/release/redox-hosted" --root "$(TARGET)/run" -- sh tests/tour.sh

test: ## Run all tests: units, properties, whole systems of real processes
	mkdir -p "$(TARGET)/tmp"
	cargo build $(CARGO_FLAGS) --workspace
	TMPDIR="$$(cd "$(TARGET)/tmp" && pwd)" cargo test $(CARGO_FLAGS) --workspace

bench: ## Measure, in release and beside what it must cost at least; one figure with ONLY=NAME (docs/performance.md)
	mkdir -p "$(TARGET)/tmp"
	cargo build $(CARGO_FLAGS) --release --bins -p lcs-scheme -p loregd -p regtool -p registry-tests -p registry-bench
	TMPDIR="$$(cd "$(TARGET)/tmp" && pwd)" ONLY="$(ONLY)" "$(TARGET)/release/registry-bench"

lint: ## Check the layout of the code, clippy's advice, documentation, and the licences and origins of dependencies
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps
	@if command -v cargo-deny >/dev/null; then \
		set -ex; \
		cargo fetch $(CARGO_FLAGS); \
		cargo deny --offline check bans licenses sources; \
	else \
		echo "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

redox-check: ## Build for Redox what runs there, with all but its C library, and say what it needs of that
	@if [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/std ]; then \
		set -ex; \
		$(REDOX_RUST) $(REDOX_BUILD) cargo build $(CARGO_FLAGS) -Zbuild-std=std,panic_abort \
			--target $(REDOX_TARGET) --bins $(addprefix -p ,$(REDOX_PROGRAMS)); \
		$(REDOX_RUST) $(REDOX_BUILD) cargo build $(CARGO_FLAGS) -Zbuild-std=std,panic_abort \
			--target $(REDOX_TARGET) -p libreg-c; \
		sh recipes/check-symbols.sh \
			$(addprefix "$(TARGET)"/redox/$(REDOX_TARGET)/debug/,$(REDOX_PROGRAMS)); \
	elif [ "$$CI" = true ]; then \
		echo "redox-check needs $(REDOX_NEEDS)" >&2; \
		exit 1; \
	else \
		echo "skipped: $(REDOX_NEEDS) are not installed"; \
	fi

redox-overlay: ## Put recipes, image configuration and source into a checkout of Redox, REDOX=DIR
	@sh recipes/overlay.sh put "$(REDOX)"

redox-overlay-remove: ## Take them out again, REDOX=DIR
	@sh recipes/overlay.sh remove "$(REDOX)"

fuzz: ## Run each fuzz target for SECONDS=60
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
		set -e; \
		for target in $$(cargo +nightly fuzz list --fuzz-dir tests/fuzz); do \
			echo "== $$target"; \
			cargo +nightly fuzz run --fuzz-dir tests/fuzz "$$target" -- -max_total_time=$(SECONDS); \
		done; \
	else \
		echo "skipped: cargo-fuzz is not installed" \
			"(rustup toolchain install nightly; cargo install --locked cargo-fuzz)"; \
	fi

model: ## Compare registry and model in random histories for SECONDS=60, again from SEED if it is given
	MODEL_SECONDS=$(SECONDS) cargo test $(CARGO_FLAGS) -p lcs-core --test registry layers:: -- --nocapture

clean: ## Remove everything that was built, and the registry of make run
	cargo clean
