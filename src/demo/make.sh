#!/bin/sh
# Remakes the demo model: vocabulary, training, GGUF, evaluation. A cut run goes on where it was.
#   sh src/demo/make.sh [STEPS]
# Wants Python 3.11 with torch, numpy and gguf; two CPU cores are enough.
set -eu
cd "$(dirname "$0")"
work=${WORK:-../../target/demo}
python=${PYTHON:-python3}
mkdir -p "$work"
[ -f "$work/tokenizer.json" ] || "$python" tokenizer.py "$work/tokenizer.json"
"$python" train.py --work "$work" --steps "${1:-2500}"
"$python" export.py --work "$work" --out demo.gguf
"$python" evaluate.py demo.gguf card.md --misses "$work/misses.jsonl"
