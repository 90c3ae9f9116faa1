#!/bin/sh
# The contract suite of the kernels under processors that this machine may not be: every rung of ARM, and of x86-64 those
# below AVX-512 that it emulates. What cannot be had is SKIPPED by name; with STRICT=1 that is a failure. To have all of it on Debian:
#   apt-get install qemu-user-static && rustup target add aarch64-unknown-linux-musl
# Run from anywhere in the repository; seconds a processor once the two test binaries are built.
set -eu
cd "$(dirname "$0")/.."
skipped=0

skip() {
    echo "SKIPPED: $1" >&2
    skipped=1
}

# The test binary that `cargo test` builds with these arguments.
binary() {
    messages=$(cargo test -p lfmq-kernels --lib --no-run --message-format=json "$@")
    echo "$messages" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

# emulate BINARY QEMU PROCESSOR RUNG...: the suite, which must have run these rungs.
emulate() {
    binary=$1 qemu=$2 processor=$3
    shift 3
    if ! command -v "$qemu" >/dev/null; then
        skip "$qemu is not installed: no $processor, no rungs $*"
        return
    fi
    if [ -z "$binary" ]; then
        skip "no test binary for it: no $processor, no rungs $*"
        return
    fi
    echo "== $processor: $*"
    log=$("$qemu" -cpu "$processor" "$binary" --nocapture 2>&1) || { echo "$log"; exit 1; }
    echo "$log" | grep '^test result'
    for rung in "$@"; do
        if echo "$log" | grep -q "lacks the kernel rung \`$rung\`"; then
            echo "$processor was to run the rung $rung and lacks it"
            exit 1
        fi
    done
    echo "$log" | sed -n 's/.*\(SKIPPED: this machine lacks.*\)/   \1/p' | sort -u
}

arm=
if rustup target list --installed 2>/dev/null | grep -qx aarch64-unknown-linux-musl; then
    # The toolchain's own linker: no cross compiler is needed.
    export RUSTFLAGS="-C linker=rust-lld -C link-self-contained=yes"
    arm=$(binary --target aarch64-unknown-linux-musl)
    unset RUSTFLAGS
fi
x86=
if [ "$(uname -m)" = x86_64 ]; then
    x86=$(binary)
fi
emulate "$arm" qemu-aarch64-static max scalar neon neon-dotprod neon-i8mm
emulate "$arm" qemu-aarch64-static cortex-a76 scalar neon neon-dotprod
emulate "$arm" qemu-aarch64-static cortex-a53 scalar neon
emulate "$x86" qemu-x86_64-static Haswell scalar avx2
emulate "$x86" qemu-x86_64-static Nehalem scalar
[ "$skipped" = 0 ] || [ "${STRICT:-0}" = 0 ] || exit 1
