# `make demo` runs the main job; `make test` passes all tests. Both install what is missing.

CARGO ?= cargo
VIDEO ?=

SEED ?= 1
CASES ?= 500

.PHONY: demo test machine code media soak fuzz bench lint doc tools release

demo: tools
	$(CARGO) build --release --workspace --bins
	tests/demo "$(VIDEO)"

# What tests need is fetched and made while the compiler works. Without `make -j`, which would share its jobs
# with cargo.
test:
	tests/tools compiler
	$(MAKE) machine & machine=$$!; $(MAKE) code; code=$$?; wait $$machine && exit $$code
	if command -v cargo-nextest >/dev/null; then \
	  $(CARGO) nextest run --workspace --no-fail-fast; \
	else \
	  $(CARGO) test --workspace --lib --bins --tests; \
	fi
	$(CARGO) test --workspace --doc

machine: tools
	@tests/standin/docker up || [ $$? -eq 3 ]

code: lint
	$(MAKE) doc
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --lib --bins --tests --no-run

# The rest of a folder of awkward clips beside the checkout through every handler; `make test` takes the worst.
media: tools
	$(CARGO) build --workspace --bins
	$(CARGO) test -p vdeploy --test it -- --ignored --nocapture media

# SOAK_INPUTS, SOAK_KILLS and SOAK_SEED change how much is done, disturbed and repeated.
soak:
	$(CARGO) build --workspace --bins
	$(CARGO) test -p vdeploy --test it -- --ignored --nocapture soak::

# Thousands of broken clips, CASES of each of six formats; SEED says which.
fuzz: tools
	VDEPLOY_FUZZ_SEED=$(SEED) VDEPLOY_FUZZ_CASES=$(CASES) \
	  $(CARGO) test --workspace --test handlers fuzz:: -- --nocapture

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# AREAS="calls frames" measures only those.
bench: tools
	$(CARGO) build --release --workspace --bins
	tests/bench/run target/release/vdeploy $(AREAS)

# Binaries for others: built against glibc 2.28, they run on Debian 10, Ubuntu 20.04, RHEL 8 and all
# that is newer, and in images of those. ARCH=aarch64 builds for ARM.
ARCH ?= $(shell uname -m)
GLIBC = 2.28
ZIG = target/zig
release: $(ZIG)/bin/cargo-zigbuild
	rustup target add $(ARCH)-unknown-linux-gnu
	PATH="$(CURDIR)/$(ZIG)/bin:$$PATH" $(CARGO) zigbuild --release --bins \
	  -p vdeploy -p vdeploy-runtime --target $(ARCH)-unknown-linux-gnu.$(GLIBC)
	tests/glibc $(GLIBC) target/$(ARCH)-unknown-linux-gnu/release/vdeploy \
	  target/$(ARCH)-unknown-linux-gnu/release/vdeploy-runtime

$(ZIG)/bin/cargo-zigbuild:
	python3 -m venv $(ZIG)
	$(ZIG)/bin/pip install --quiet cargo-zigbuild ziglang

tools:
	tests/tools
