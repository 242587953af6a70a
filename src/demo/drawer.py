"""Which wording is learned next: the hard ones oftener, as most are soon known (compare Loshchilov
and Hutter, "Online Batch Selection", 2016)."""

import bisect
import itertools
from collections import Counter

# A wording weighs by the loss of its answer when last learned from, in nats, between these.
EASY, HARD = 0.2, 2.0
FORGET = 0.5
# Intents weigh by this power of the number of their wordings: a card or a short form has few.
INTENT_POWER = 0.6


class Drawer:
    """Draws places in a list of wordings. `hardness` is an earlier drawer's `state()`."""

    def __init__(self, wordings, hardness=None):
        n = Counter(w.intent.id for w in wordings)
        self.names = [(w.intent.id, w.language, w.kind, w.core) for w in wordings]
        self.base = [n[w.intent.id] ** (INTENT_POWER - 1) for w in wordings]
        self.hardness = [(hardness or {}).get(name, HARD) for name in self.names]
        self.learned([])

    def learned(self, losses):
        """Takes in (place, loss) of wordings that were learned from."""
        for place, loss in losses:
            self.hardness[place] += (1 - FORGET) * (min(max(loss, EASY), HARD) - self.hardness[place])
        self.upto = list(itertools.accumulate(b * h for b, h in zip(self.base, self.hardness)))

    def state(self):
        """What a later drawer begins with, whose wordings may be others."""
        return dict(zip(self.names, self.hardness))

    def draw(self, rng):
        """A place in the list."""
        return bisect.bisect(self.upto, rng.random() * self.upto[-1], hi=len(self.upto) - 1)
