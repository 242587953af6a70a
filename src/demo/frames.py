"""Frames: what goals, questions and names are asked in. Some are for the evaluation alone.

`frames.txt` holds them in sections, `= language kind list`: "{g}" is a goal, "{q}" a question, "{n}"
a name. Of the list `freer` one frame in 25 is held out; all of the list `held` are.
"""

import random
from pathlib import Path

HELD_SHARE = 25


def read(path=Path(__file__).parent / "frames.txt", seed=7):
    """(training, held-out) frames: {language: {kind: lists of frames}}."""
    train, held = {}, {}
    for section in path.read_text(encoding="utf-8").split("\n= ")[1:]:
        head, *frames = section.strip().split("\n")
        language, kind, name = head.split()
        parts = [(held if name == "held" else train, frames)]
        if name == "freer":
            chosen = set(random.Random(f"{seed}/{head}").sample(range(len(frames)), len(frames) // HELD_SHARE))
            parts = [(part, [f for i, f in enumerate(frames) if (i in chosen) == (part is held)]) for part in (train, held)]
        for part, frames in parts:
            part.setdefault(language, {}).setdefault(kind, []).append(frames)
    return train, held


FRAMES, HELD_FRAMES = read()


def around(frames):
    """What stands around the place in each frame, as (before, behind)."""
    lists = (frames for kinds in frames.values() for lists in kinds.values() for frames in lists)
    return [tuple(f.replace("{g}", "{n}").replace("{q}", "{n}").split("{n}")) for frames in lists for f in frames]
