"""Small word problems of two or three steps, answered at once or step by step."""

import zlib

STEP_BY_STEP = "Let's think step by step."
THEREFORE = "Therefore, the answer is"
NAMES = "Tom Anna Ben Lily Sam Mia Max Zoe Leo Eva Jack Ruth Paul Nina Adam Kate Li Mei Omar Sara".split()
THINGS = "apples pears books stones coins cards shells eggs marbles pens stamps flowers nuts toys balls cakes".split()


class Problem:
    """A text, its steps (equations) and its answer."""

    def __init__(self, rng):
        self.steps = []
        self.value = 0
        kind = rng.choice(KINDS)
        self.text = kind(self, rng)

    def step(self, a, op, b):
        self.value = {"+": a + b, "-": a - b, "*": a * b}[op]
        self.steps.append(f"{a} {op} {b} = {self.value}.")
        return self.value

    def chain(self):
        return " ".join(self.steps) + f" {self.final()}"

    def final(self):
        return f"The answer is {self.value}."

    def held_out(self):
        return zlib.crc32(self.text.encode()) % 16 == 0


def two(rng):
    return rng.randint(5, 20)


def bought_and_gave(p, rng):
    (n, m), t = rng.sample(NAMES, 2), rng.choice(THINGS)
    a, b = two(rng), two(rng)
    c = rng.randint(3, min(20, a + b - 1))
    p.step(p.step(a, "+", b), "-", c)
    return rng.choice([
        f"{n} has {a} {t}. {m} gives {n} {b} more. Then {n} loses {c}. How many {t} does {n} have now?",
        f"{n} had {a} {t}, bought {b} more and gave {c} to {m}. How many {t} are left?",
    ])


def boxes(p, rng):
    n, t = rng.choice(NAMES), rng.choice(THINGS)
    k, m, a = rng.randint(2, 5), rng.randint(2, 9), two(rng)
    p.step(p.step(k, "*", m), "+", a)
    return rng.choice([
        f"{n} has {k} boxes with {m} {t} each and {a} more {t}. How many {t} does {n} have?",
        f"There are {k} bags. Each bag holds {m} {t}. {n} brings {a} {t} more. How many {t} are there?",
    ])


def three_colours(p, rng):
    t = rng.choice(THINGS)
    a, b, c = two(rng), two(rng), two(rng)
    p.step(p.step(a, "+", b), "+", c)
    return rng.choice([
        f"There are {a} red, {b} blue and {c} green {t}. How many {t} are there in all?",
        f"A shop sold {a} {t} on Monday, {b} on Tuesday and {c} on Friday. How many {t} did it sell?",
    ])


def pages(p, rng):
    n = rng.choice(NAMES)
    b, c = two(rng), two(rng)
    a = b + c + rng.randint(3, 30)
    p.step(a, "-", p.step(b, "+", c))
    return f"A book has {a} pages. {n} reads {b} pages on Monday and {c} on Tuesday. How many pages are left?"


def shopping(p, rng):
    n, t = rng.choice(NAMES), rng.choice(THINGS)
    k, m = rng.randint(2, 5), rng.randint(2, 9)
    a = k * m + rng.randint(2, 20)
    p.step(a, "-", p.step(k, "*", m))
    return rng.choice([
        f"{n} has {a} dollars and buys {k} {t} for {m} dollars each. How many dollars are left?",
        f"{n} has {a} {t} and gives {m} to each of {k} friends. How many {t} does {n} keep?",
    ])


def bags_and_eats(p, rng):
    n, t = rng.choice(NAMES), rng.choice(THINGS)
    a, k, m = two(rng), rng.randint(2, 5), rng.randint(2, 9)
    c = rng.randint(3, 20)
    p.step(p.step(a, "+", p.step(k, "*", m)), "-", min(c, a))
    c = min(c, a)
    return rng.choice([
        f"{n} has {a} {t}, buys {k} bags of {m} {t} and sells {c}. How many {t} does {n} have now?",
        f"There were {a} {t}. {n} added {k} rows of {m} {t}, then {c} were taken away. How many {t} remain?",
    ])


def together(p, rng):
    n, m = rng.sample(NAMES, 2)
    t = rng.choice(THINGS)
    a, b = two(rng), rng.randint(2, 12)
    p.step(a, "+", p.step(a, "+", b))
    return f"{n} has {a} {t}. {m} has {b} more {t} than {n}. How many {t} do they have together?"


def bus(p, rng):
    a, c = rng.randint(15, 40), two(rng)
    b = rng.randint(3, 12)
    x = p.step(p.step(a, "-", b), "+", c)
    d = rng.randint(3, 12)
    p.step(x, "-", d)
    return f"A bus has {a} passengers. {b} get off, {c} get on, and then {d} get off. How many passengers are on the bus?"


def saving(p, rng):
    n = rng.choice(NAMES)
    k, m, a = rng.randint(2, 5), rng.randint(2, 9), two(rng)
    x = p.step(a, "+", p.step(k, "*", m))
    c = rng.randint(3, min(20, x - 1))
    p.step(x, "-", c)
    return f"{n} has {a} dollars and saves {m} dollars a week for {k} weeks. Then {n} spends {c} dollars. How many dollars does {n} have?"


KINDS = [bought_and_gave, boxes, three_colours, pages, shopping, bags_and_eats, together, bus, saving]


def problem(rng, held_out):
    while True:
        p = Problem(rng)
        if p.held_out() == held_out:
            return p


def sum_alone(rng):
    a, b = rng.randint(2, 50), rng.randint(2, 20)
    op = rng.choice("++--*")
    if op == "-":
        a, b = max(a, b), min(a, b)
    if op == "*":
        a, b = rng.randint(2, 5), rng.randint(2, 9)
    value = {"+": a + b, "-": a - b, "*": a * b}[op]
    text = rng.choice([f"What is {a} {op} {b}?", f"{a} {op} {b} =", f"{a} {op} {b}", f"Compute {a} {op} {b}.", f"{a} {op} {b} 等于多少？", f"How much is {a} {op} {b}?"])
    return text, f"{a} {op} {b} = {value}. The answer is {value}."


def document(rng, turn):
    """One exchange: direct, step by step (asked in several places), worked examples, the second
    pass that extracts the answer, or a bare sum."""
    kind = rng.random()
    if kind < 0.2:
        return turn(*sum_alone(rng))
    p = problem(rng, held_out=False)
    if kind < 0.36:
        return turn(p.text, p.final())
    sep = rng.choice([" ", "\n", "\n\n"])
    if kind < 0.86:
        return turn(p.text + sep + STEP_BY_STEP, p.chain())
    if kind < 0.94:
        doc = turn(p.text, f"{STEP_BY_STEP} {p.chain()}")
        # The opening is put into the model's mouth: it must not learn to say it unasked.
        doc[4:5] = [(STEP_BY_STEP, 0), (f"{sep if sep != ' ' else ' '}{p.chain()}", 1)]
        return doc
    if kind < 0.98:
        text = f"{p.text}{sep}{STEP_BY_STEP}{sep}{p.chain()}\n{THEREFORE}"
        return turn(text, rng.choice([f"{p.value}.", f"{p.value}"]))
    shots = [problem(rng, held_out=False) for _ in range(rng.choice([1, 2, 2]))]
    text = "\n\n".join(f"Q: {s.text}\nA: {s.chain()}" for s in shots) + f"\n\nQ: {p.text}\nA:"
    return turn(text, p.chain())
