"""A byte-fallback BPE vocabulary in SentencePiece's manner: pieces with scores, spaces as `▁`.

The best-scored pair of neighbours merges first. Pieces never cross the borders of `CHUNK`, so
that a text may be encoded chunk by chunk.
"""

import collections
import heapq
import json
import random
import re
import sys
from pathlib import Path

from corpus import CONTROL, TRAIN, document
from drawer import Drawer

SIZE = 4096
SPACE = "▁"
# A space belongs to the word behind it; digits stand alone; Chinese, marks and words apart.
CHUNK = re.compile(r"▁?[A-Za-z]+|▁?[-`/<|]+|[0-9]|▁|[一-鿿]+|\n|.", re.S)
# Chinese pieces of more characters than this would be whole sentences.
LONGEST_CHINESE = 2

# BPE dropout: the share of chunks, and of merges within one, that it hits.
DISTURBED, MISSED = 0.03, 0.25


def chunks(text):
    return CHUNK.findall(text.replace(" ", SPACE))


def is_control(text):
    return text in CONTROL


def train(n_documents=30000, seed=1):
    """(piece, kind) in order of id: control tokens, 256 bytes, merges, single characters."""
    rng, counts, drawer = random.Random(seed), collections.Counter(), Drawer(TRAIN)
    for _ in range(n_documents):
        for text, *_ in document(rng, drawer)[0]:
            if not is_control(text):
                counts.update(chunks(text))
    letters = collections.Counter()
    for chunk, n in counts.items():
        for c in chunk:
            letters[c] += n
    alphabet = sorted(c for c in letters)
    words = [[list(chunk), n] for chunk, n in sorted(counts.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (symbols, n) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in pairs.items()]
    heapq.heapify(heap)
    merges, known = [], set(alphabet)
    while heap and len(merges) < SIZE - len(CONTROL) - 256 - len(alphabet):
        n, pair = heapq.heappop(heap)
        if -n != pairs[pair] or n == 0:
            continue
        union = "".join(pair)
        if ord(union[0]) >= 0x4E00 and len(union) > LONGEST_CHINESE:
            continue
        if union not in known:
            known.add(union)
            merges.append(union)
        changed = set()
        for i in where.pop(pair):
            symbols, n = words[i]
            at = 0
            while at < len(symbols) - 1:
                if (symbols[at], symbols[at + 1]) != pair:
                    at += 1
                    continue
                for j in (at - 1, at + 1):
                    if 0 <= j < len(symbols) - 1:
                        pairs[symbols[j], symbols[j + 1]] -= n
                        changed.add((symbols[j], symbols[j + 1]))
                symbols[at : at + 2] = [union]
                for j in (at - 1, at):
                    if 0 <= j < len(symbols) - 1:
                        new = symbols[j], symbols[j + 1]
                        pairs[new] += n
                        where[new].add(i)
                        changed.add(new)
        pairs[pair] = 0
        for c in changed:
            if pairs[c] > 0:
                heapq.heappush(heap, (-pairs[c], c))
    pieces = [(c, "control") for c in CONTROL] + [(f"<0x{b:02X}>", "byte") for b in range(256)]
    return pieces + [(m, "normal") for m in merges] + [(c, "normal") for c in alphabet]


class Tokenizer:
    """Encodes as SentencePiece's BPE does: by score, which is minus the rank."""

    def __init__(self, pieces):
        self.pieces = [tuple(p) for p in pieces]
        self.ids = {text: i for i, (text, _) in enumerate(self.pieces)}
        self.cache = {}

    @classmethod
    def load(cls, path):
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def save(self, path):
        path.write_text(json.dumps(self.pieces, ensure_ascii=False), encoding="utf-8")

    def score(self, i):
        """0 for control tokens and bytes, else minus the rank."""
        first = len(CONTROL) + 256
        return 0.0 if i < first else float(first - i)

    def chunk(self, chunk, rng=None):
        symbols = list(chunk)
        while len(symbols) > 1:
            ranks = [self.ids.get(a + b, len(self.pieces)) for a, b in zip(symbols, symbols[1:])]
            if rng:
                ranks = [len(self.pieces) if rng.random() < MISSED else rank for rank in ranks]
            best = min(ranks)
            if best == len(self.pieces):
                break
            at = ranks.index(best)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        out = []
        for s in symbols:
            if s in self.ids:
                out.append(self.ids[s])
            else:
                out += [self.ids[f"<0x{b:02X}>"] for b in s.encode()]
        return out

    def encode(self, text, rng=None):
        """Ids of plain text, or the one id of a control token. With `rng` some chunks miss some
        merges (BPE dropout), so that a word is known by its parts too."""
        if is_control(text):
            return [self.ids[text]]
        out = []
        for chunk in chunks(text):
            if rng and len(chunk) > 1 and rng.random() < DISTURBED:
                out += self.chunk(chunk, rng)
                continue
            if chunk not in self.cache:
                self.cache[chunk] = self.chunk(chunk)
            out += self.cache[chunk]
        return out

    def decode(self, ids):
        data = b""
        for i in ids:
            text, kind = self.pieces[i]
            if kind == "byte":
                data += bytes([int(text[3:5], 16)])
            elif kind == "normal":
                data += text.replace(SPACE, " ").encode()
        return data.decode(errors="replace")


if __name__ == "__main__":
    Tokenizer(train()).save(Path(sys.argv[1]))
