#!/bin/sh
# Remakes the demo model: vocabulary, training, GGUF, evaluation. A cut run goes on where it was.
#   sh src/demo/make.sh [STEPS]
# WORK is where it works, OUT where model, ids.json and card.md go (here without it), EVALUATE more
# flags for evaluate.py. A trial: WORK=/tmp/w OUT=/tmp/o EVALUATE="--n 5 --problems 5" sh make.sh 20
# Wants Python 3.11 with torch, numpy and gguf, and a C++ compiler; two CPU cores are enough.
set -eu
cd "$(dirname "$0")"
work=${WORK:-../../target/demo}
out=${OUT:-.}
python=${PYTHON:-python3}
mkdir -p "$work" "$out"
[ -f "$work/tokenizer.json" ] || "$python" tokenizer.py "$work/tokenizer.json"
"$python" train.py --work "$work" --steps "${1:-10000}"
"$python" export.py --work "$work" --out "$out/demo.gguf"
[ -f "$out/card.md" ] || cp card.md "$out/card.md"
# shellcheck disable=SC2086
"$python" evaluate.py "$out/demo.gguf" "$out/card.md" --misses "$work/misses.jsonl" ${EVALUATE:-}
