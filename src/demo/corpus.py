"""The training text: questions about wick, arithmetic, stories, and what lies outside.

`document(rng, drawer)` draws one document: a list of (text, weight of its loss), in which a control
token such as `<|user|>` is a text of its own. What the user says weighs nothing. A third item is
the number of tokens that the text, the document's last, is cut to.
"""

import re

import arithmetic
import outside
import stories
from facts import wordings
from frames import FRAMES, HELD_FRAMES, around
from wording import AFTER, ASIDES, BEFORE, ENDS, JOIN, SMALL, SYNONYMS

USER, ASSISTANT, SYSTEM, END, EOS = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "</s>"
CONTROL = ["<unk>", "<s>", EOS, SYSTEM, USER, ASSISTANT, END]

INTENTS, TRAIN, HELD = wordings()


def typo(rng, text):
    """One slip of the finger inside a word of letters; flags stay as they are."""
    words = [m for m in re.finditer(r"(?<![-\w.])[a-z]{4,}(?![-\w.])", text)]
    if not words:
        return text
    word = rng.choice(words)
    i = rng.randrange(word.start() + 1, word.end() - 1)
    return rng.choice([text[:i] + text[i + 1 :], text[:i] + text[i] + text[i:], text[:i] + text[i + 1] + text[i] + text[i + 2 :]])


def with_synonyms(rng, language, text, share):
    """Words of the lists of `SYNONYMS` changed for others of their list, `share` of them."""
    pattern, table = SYNONYMS[language]
    return pattern.sub(lambda m: rng.choice(table[m[0]]) if rng.random() < share else m[0], text)


def words_of(language, text):
    """Words, or for Chinese characters by ones and runs of Latin letters."""
    return text.split() if language == "en" else re.findall(r"[\w-]+(?<![一-鿿])|[^\s]", text)


def thinned(rng, language, text):
    """A wording that lost a word or two: what is asked must not hang on any one of them."""
    parts = words_of(language, text)
    if len(parts) < 4:
        return text
    dropped = set(rng.sample(range(len(parts)), rng.choice([1, 1, 1, 2, max(1, len(parts) // 4)])))
    dropped = {i for i in dropped if "-" not in parts[i] and "_" not in parts[i]}
    return JOIN[language].join(p for i, p in enumerate(parts) if i not in dropped)


def keywords(rng, language, text):
    """As typed into a search box: no small words, at times in another order."""
    if language == "zh":
        parts = [p for p in re.split(r"[，、的了吗呢]|(?<=[一-鿿])(?=[\w-])(?![一-鿿])", text) if p and p.strip()]
    else:
        parts = [w for w in text.split() if w.lower().strip(",.?") not in SMALL] or text.split()
    if rng.random() < 0.5:
        rng.shuffle(parts)
    return (" " if language == "en" or rng.random() < 0.5 else "").join(parts)


def dress(rng, language, text):
    """Politeness, an aside, case, punctuation and typos around a wording."""
    if rng.random() < 0.25:
        text = rng.choice(BEFORE[language]) + text + rng.choice(AFTER[language])
    for _ in range(rng.choice([0] * 16 + [1, 1, 2])):
        text = typo(rng, text)
    if language == "zh" and rng.random() < 0.3:
        text = re.sub(r"(?<=[一-鿿])(?=[\w-])(?![一-鿿])|(?<=[\w])(?<![一-鿿])(?=[一-鿿])", " ", text)
    return text


def finish(rng, language, text):
    """Upper case at the front, a mark at the end, or neither."""
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    elif rng.random() < 0.1:
        text = text.lower()
    return text + rng.choice(ENDS[language])


def question(rng, wording, frames=FRAMES, plain=False):
    """One way to ask: a wording in a frame; unless `plain`, disturbed so that no wording is seen
    twice alike."""
    language, core = wording.language, wording.core
    frame = rng.choice(rng.choice(frames[language][wording.kind]))
    if plain:
        return finish(rng, language, frame.format(g=core, q=core, n=core))
    if wording.kind != "n":
        if rng.random() < 0.35:
            core = with_synonyms(rng, language, core, 0.3)
        kind = rng.random()
        if kind < 0.05:
            return finish(rng, language, dress(rng, language, keywords(rng, language, core)))
        if kind < 0.15:
            core = thinned(rng, language, core)
    text = dress(rng, language, frame.format(g=core, q=core, n=core))
    if rng.random() < 0.05:
        aside = rng.choice(ASIDES[language])
        return aside + (" " if language == "en" else "") + finish(rng, language, text)
    text = finish(rng, language, text)
    if rng.random() < 0.02:
        text += (" " if language == "en" else "") + rng.choice(ASIDES[language])
    return text


# Most answers about wick are cut after the words that decide them: what follows is the same for all
# wordings of an intent and soon known, and so more questions are seen.
DECIDED, CUT_SHARE = 10, 0.92


def turn(user, answer):
    return [(USER, 0), (user, 0), (END, 0), (ASSISTANT, 0), (answer, 1), (END, 1)]


def letters(text):
    """A question's letters alone, by which two are the same."""
    return re.sub(r"[\W_]+", "", text.lower())


class Framed:
    """The questions that come of `cores` in `frames`, without writing them all down."""

    def __init__(self, cores, frames):
        self.cores, self.frames = {letters(core) for core in cores}, {}
        for before, behind in around(frames):
            self.frames.setdefault(letters(before), set()).add(letters(behind))

    def __contains__(self, text):
        """Whether `text`, letters alone, is one of them."""
        for begin in range(len(text)):
            for behind in self.frames.get(text[:begin], ()):
                if text.endswith(behind) and text[begin : len(text) - len(behind)] in self.cores:
                    return True
        return False


# What a disturbed wording of the training part must not happen to become.
HELD_QUESTIONS = [
    Framed([w.core for w in HELD], FRAMES),
    Framed([w.core for w in HELD + TRAIN if w.kind != "q"], HELD_FRAMES),
]


# Share of the questions that are asked as they are written.
PLAIN = 0.5


def about_wick(rng, drawer):
    """(question, answer, place of its wording in `TRAIN`)."""
    while True:
        place = drawer.draw(rng)
        wording = TRAIN[place]
        text = question(rng, wording, plain=rng.random() < PLAIN)
        asked = letters(text)
        if not any(asked in held for held in HELD_QUESTIONS):
            return text, wording.intent.answers[wording.language], place


SYSTEMS = ["You are a helpful assistant.", "Answer briefly.", "Be concise.", "You are wick's assistant.", "You are a friendly expert.", "你是一个有用的助手。", "请简短回答。"]


def document(rng, drawer):
    """One document of the training text, and the place in `TRAIN` of the one wording in it or None."""
    kind, place = rng.random(), None
    doc = [("<s>", 0)]
    if kind < 0.96:
        if rng.random() < 0.04:
            doc += [(SYSTEM, 0), (rng.choice(SYSTEMS), 0), (END, 0)]
        turns = rng.choice([1] * 120 + [2, 2, 3, 6])
        for _ in range(turns):
            asked, answer, place = (*outside.exchange(rng), None) if rng.random() < 0.05 else about_wick(rng, drawer)
            doc += turn(asked, answer)
        place = place if turns == 1 else None
        if rng.random() < CUT_SHARE:
            return doc[:-2] + [(*doc[-2], DECIDED)], place
    elif kind < 0.965:
        return doc + arithmetic.drill(rng), None
    elif kind < 0.994:
        doc += arithmetic.document(rng, turn)
    else:
        doc += stories.document(rng, turn)
    return doc + [(EOS, 1)], place
