#!/usr/bin/env bash
# The kernels' tests on aarch64, run by an emulator as a processor without dot products and as one
# with them. Needs `rustup target add aarch64-unknown-linux-gnu` and Debian's gcc-aarch64-linux-gnu,
# libc6-dev-arm64-cross and qemu-user. Arguments: the tests to run.
set -euo pipefail
cd "$(dirname "$0")/.."

export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
for cpu in cortex-a53 max; do
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $cpu -L /usr/aarch64-linux-gnu"
    cargo test --target aarch64-unknown-linux-gnu --lib -- "${@:-quant::}"
done
