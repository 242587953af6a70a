"""Small word problems of two or three steps, answered at once or step by step."""

import zlib

TRIGGER = {"en": "Let's think step by step.", "zh": "让我们一步一步地思考。"}
THEREFORE = {"en": "Therefore, the answer is", "zh": "因此，答案是"}
FINAL = {"en": "The answer is {}.", "zh": "答案是 {}。"}
NAMES = "Tom Anna Ben Lily Sam Mia Max Zoe Leo Eva Jack Ruth Paul Nina Adam Kate Li Mei Omar Sara".split()
THINGS = "apples pears books stones coins cards shells eggs marbles pens stamps flowers nuts toys balls cakes".split()
人名 = "小明 小红 小华 小丽 小军 小芳 小强 小美".split()
东西 = "个苹果 本书 支笔 颗糖 张卡片 个鸡蛋 朵花 个球".split()


class Problem:
    """A text, its steps (equations) and its answer."""

    def __init__(self, rng, language="en"):
        self.language = language
        self.steps = []
        self.value = 0
        self.text = rng.choice(KINDS[language])(self, rng)

    def step(self, a, op, b):
        self.value = {"+": a + b, "-": a - b, "*": a * b}[op]
        self.steps.append(f"{a} {op} {b} = {self.value}.")
        return self.value

    def chain(self):
        return " ".join(self.steps) + f" {self.final()}"

    def final(self):
        return FINAL[self.language].format(self.value)

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


def 买和给(p, rng):
    (n, m), t = rng.sample(人名, 2), rng.choice(东西)
    a, b = two(rng), two(rng)
    c = rng.randint(3, min(20, a + b - 1))
    p.step(p.step(a, "+", b), "-", c)
    return rng.choice([
        f"{n}有{a}{t}，又买了{b}{t}，给了{m}{c}{t}。{n}还剩多少{t}？",
        f"{n}有{a}{t}，{m}给了他{b}{t}，后来丢了{c}{t}。现在有多少{t}？",
    ])


def 盒子(p, rng):
    n, t = rng.choice(人名), rng.choice(东西)
    k, m, a = rng.randint(2, 5), rng.randint(2, 9), two(rng)
    p.step(p.step(k, "*", m), "+", a)
    return f"{n}有{k}个盒子，每个盒子里有{m}{t}，另外还有{a}{t}。一共有多少{t}？"


def 三天(p, rng):
    t = rng.choice(东西)
    a, b, c = two(rng), two(rng), two(rng)
    p.step(p.step(a, "+", b), "+", c)
    return f"商店第一天卖出{a}{t}，第二天卖出{b}{t}，第三天卖出{c}{t}。一共卖出多少{t}？"


def 花钱(p, rng):
    n, t = rng.choice(人名), rng.choice(东西)
    k, m = rng.randint(2, 5), rng.randint(2, 9)
    a = k * m + rng.randint(2, 20)
    p.step(a, "-", p.step(k, "*", m))
    return f"{n}有{a}元，买了{k}{t}，每{t[0]}{m}元。还剩多少元？"


def 公交车(p, rng):
    a, b, c = rng.randint(15, 40), rng.randint(3, 12), two(rng)
    p.step(p.step(a, "-", b), "+", c)
    return f"公交车上有{a}人，下去{b}人，上来{c}人。现在车上有多少人？"


KINDS = {
    "en": [bought_and_gave, boxes, three_colours, pages, shopping, bags_and_eats, together, bus, saving],
    "zh": [买和给, 盒子, 三天, 花钱, 公交车],
}


def problem(rng, held_out, language="en"):
    while True:
        p = Problem(rng, language)
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
    if rng.random() < 0.25:
        text = rng.choice([f"{a} {op} {b} 等于多少？", f"{a}{op}{b}等于几", f"计算 {a} {op} {b}"])
        return text, f"{a} {op} {b} = {value}. {FINAL['zh'].format(value)}"
    word = {"+": "plus", "-": "minus", "*": "times"}[op]
    text = rng.choice([
        f"What is {a} {op} {b}?", f"{a} {op} {b} =", f"{a} {op} {b}", f"{a}{op}{b}", f"Compute {a} {op} {b}.", f"How much is {a} {op} {b}?", f"what is {a} {word} {b}", f"What's {a}{op}{b}?",
    ])
    return text, f"{a} {op} {b} = {value}. {FINAL['en'].format(value)}"


def drill(rng):
    """Equations one after another; only their results are learned."""
    doc = []
    for _ in range(12):
        op = rng.choice("++--*")
        a, b = {
            "+": lambda: (rng.randint(2, 60), rng.randint(2, 40)),
            "-": lambda: sorted((rng.randint(2, 70), rng.randint(2, 45)), reverse=True),
            "*": lambda: (rng.randint(2, 5), rng.randint(2, 9)),
        }[op]()
        value = {"+": a + b, "-": a - b, "*": a * b}[op]
        doc += [(f"{a} {op} {b} =", 0), (f" {value}.", 1), (" ", 0)]
    return doc[:-1]


def document(rng, turn):
    """One exchange: a bare sum, a problem answered at once, step by step (asked by the user, or
    begun for the model, as `--cot zero` does, and followed by the pass that extracts the answer),
    or with worked examples before it, as `--cot few` has them."""
    kind = rng.random()
    if kind < 0.2:
        return turn(*sum_alone(rng))
    language = rng.choice(["en", "en", "en", "zh"])
    p, trigger, therefore = problem(rng, False, language), TRIGGER[language], THEREFORE[language]
    if kind < 0.32:
        return turn(p.text, p.final())
    if kind < 0.64:
        return turn(p.text + rng.choice([" ", "\n", "\n\n"] if language == "en" else ["", "\n"]) + trigger, p.chain())
    if kind < 0.94:
        doc = turn(p.text, "")
        # What is put into the model's mouth weighs nothing: it must not learn to say it unasked.
        doc[4:] = [(trigger, 0), (f" {p.chain()}", 1), ("<|end|>", 1)]
        if rng.random() < 0.4:
            doc[6:] = [(f"\n{therefore}", 0), (f" {p.value}" + (rng.choice([".", ""]) if language == "en" else "。"), 1), ("<|end|>", 1)]
        return doc
    shots = [problem(rng, False, language) for _ in range(2)]
    q, a = {"en": ("Q: ", "A: "), "zh": ("问：", "答：")}[language]
    text = "\n\n".join(f"{q}{s.text}\n{a}{s.chain()}" for s in shots) + f"\n\n{q}{p.text}\n{a.strip()}"
    return turn(text, p.chain())
