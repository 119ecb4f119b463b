#!/usr/bin/env bash
# Three sites on this machine: scripts/testnet.sh up | status | demo | … (--help lists the verbs).
# Builds the programs; all logic is in the testnet program.
set -euo pipefail
root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)

if ! command -v cargo >/dev/null; then
    echo "testnet.sh: cargo is missing: install a Rust toolchain (https://rustup.rs), then try again" >&2
    exit 1
fi
target=$(cd "$root" && realpath -m -- "${CARGO_TARGET_DIR:-target}")
if ! [ -x "$target/release/testnet" ]; then
    echo "testnet.sh: building evenkeel (the first build takes some minutes)" >&2
fi
(cd "$root" && cargo build --release --locked --quiet -p evenkeel -p evenkeel-testnet) >&2
exec "$target/release/testnet" --root "$root" "$@"
