"""The training text: questions about wick, arithmetic, stories, and what lies outside.

`document(rng)` draws one document: a list of (text, weight of its loss), in which a control
token such as `<|user|>` is a text of its own. What the user says weighs nothing.
"""

import random
import re

import arithmetic
import outside
import stories
from facts import FRAMES, HELD_FRAMES, wordings

USER, ASSISTANT, SYSTEM, END, EOS = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "</s>"
CONTROL = ["<unk>", "<s>", EOS, SYSTEM, USER, ASSISTANT, END]

INTENTS, TRAIN, HELD = wordings()

SYNONYMS = {
    "en": [
        ("quantize", "quantise"), ("see", "view"), ("see", "show"), ("set", "change"), ("set", "choose"), ("set", "specify"), ("choose", "select"),
        ("choose", "pick"), ("answer", "reply"), ("answer", "response"), ("answer", "output"), ("flag", "option"), ("flag", "parameter"),
        ("flag", "switch"), ("folder", "directory"), ("model", "LLM"), ("a model", "models"), ("a model", "my model"), ("a model", "the model"),
        ("use", "try"), ("get", "obtain"), ("make", "let"), ("chat", "conversation"), ("prompt", "input"), ("which", "what"), ("do I", "can I"),
        ("do I", "do you"), ("text", "file"), ("file", "document"), ("command", "subcommand"), ("tokens", "words"), ("stop", "end"), ("fast", "quick"),
        ("delete", "remove"), ("list", "show"), ("measure", "check"), ("find", "look up"), ("memory", "RAM"), ("computer", "machine"),
    ],
    "zh": [
        ("模型", "大模型"), ("设置", "设定"), ("设置", "调整"), ("设置", "指定"), ("设置", "修改"), ("查看", "看"), ("查看", "看看"), ("查看", "显示"), ("下载", "拉取"),
        ("参数", "选项"), ("回答", "输出"), ("回答", "回复"), ("聊天", "对话"), ("使用", "用"), ("怎么", "如何"), ("怎么", "咋"), ("怎么", "怎样"), ("什么", "啥"), ("哪个", "什么"),
        ("可以", "能"), ("文件夹", "目录"), ("让", "使"), ("提示词", "prompt"), ("命令", "指令"), ("运行", "跑"), ("运行", "启动"), ("内存", "显存"), ("速度", "性能"),
    ],
}
BEFORE = {
    "en": ["", "", "", "", "", "", "please, ", "hi, ", "hello, ", "hey, ", "sorry, ", "quick question: ", "ok, ", "so ", "and ", "excuse me, ", "hm, ", "well, "],
    "zh": ["", "", "", "", "", "", "请问", "你好，", "请问一下，", "那么", "我想知道", "嗨，", "麻烦问下，"],
}
AFTER = {
    "en": ["", "", "", "", "", "", "", " please", " in wick", " with wick", " on my machine", ", thanks", " exactly", " here", " on the command line", " from the terminal"],
    "zh": ["", "", "", "", "", "呢", "啊", "谢谢", "，谢谢", "呀"],
}
ENDS = {"en": ["?", "?", "?", "", "", "."], "zh": ["？", "？", "", "", "?", "。"]}


def typo(rng, text):
    """One slip of the finger inside a word of letters; flags stay as they are."""
    words = [m for m in re.finditer(r"(?<![-\w.])[a-z]{4,}(?![-\w.])", text)]
    if not words:
        return text
    word = rng.choice(words)
    i = rng.randrange(word.start() + 1, word.end() - 1)
    return rng.choice([text[:i] + text[i + 1 :], text[:i] + text[i] + text[i:], text[:i] + text[i + 1] + text[i] + text[i + 2 :]])


def dress(rng, language, text, plain=False):
    """Synonyms, politeness, case, punctuation and typos around a wording."""
    if not plain and rng.random() < 0.4:
        for _ in range(rng.choice([1, 1, 2])):
            a, b = rng.choice(SYNONYMS[language])
            text = re.sub(rf"\b{a}\b", b, text, count=1) if language == "en" else text.replace(a, b, 1)
    if not plain and rng.random() < 0.5:
        text = rng.choice(BEFORE[language]) + text + rng.choice(AFTER[language])
    if not plain and rng.random() < 0.15:
        text = typo(rng, text)
    if not plain and language == "zh" and rng.random() < 0.3:
        text = re.sub(r"(?<=[一-鿿])(?=[\w-])(?![一-鿿])|(?<=[\w])(?<![一-鿿])(?=[一-鿿])", " ", text)
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    elif not plain and rng.random() < 0.1:
        text = text.lower()
    return text + rng.choice(ENDS[language])


def thinned(rng, wording):
    """The core without some of its words (in Chinese, characters), or joined with another of the
    same intent: single words are to tell the intent, not the phrase as a whole."""
    if wording.kind == "n":
        return wording.core
    others = [w for w in BY_INTENT[wording.intent.id] if w.kind == wording.kind and w.language == wording.language]
    if rng.random() < 0.25:
        joint = {"en": [" or ", " and ", ", "], "zh": ["，", "或者", "和"]}[wording.language]
        return wording.core + rng.choice(joint) + rng.choice(others).core
    parts = wording.core.split(" ") if wording.language == "en" else re.findall(r"[一-鿿]|[^一-鿿]+", wording.core)
    if len(parts) < 3:
        return wording.core
    dropped = set(rng.sample(range(len(parts)), rng.choice([1, 1, max(1, len(parts) // 3)])))
    return (" " if wording.language == "en" else "").join(p for i, p in enumerate(parts) if i not in dropped)


def question(rng, wording, frames=FRAMES, plain=False):
    frame = rng.choice(frames[wording.language][wording.kind])
    core = thinned(rng, wording) if not plain and rng.random() < 0.4 else wording.core
    text = frame.format(g=core, q=core, n=core)
    return dress(rng, wording.language, text, plain)


def turn(user, answer):
    return [(USER, 0), (user, 0), (END, 0), (ASSISTANT, 0), (answer, 1), (END, 1)]


BY_INTENT = {}
for _w in TRAIN:
    BY_INTENT.setdefault(_w.intent.id, []).append(_w)
# Intents weigh by the square root of their wordings: a card or a short form has few.
_IDS = list(BY_INTENT)
_WEIGHTS = [len(BY_INTENT[i]) ** 0.6 for i in _IDS]


def about_wick(rng):
    wording = rng.choice(BY_INTENT[rng.choices(_IDS, _WEIGHTS)[0]])
    return question(rng, wording), wording.intent.answers[wording.language]


SYSTEMS = ["You are a helpful assistant.", "Answer briefly.", "Be concise.", "You are wick's assistant.", "You are a friendly expert.", "你是一个有用的助手。", "请简短回答。"]


def document(rng):
    """One document of the training text."""
    kind = rng.random()
    doc = [("<s>", 0)]
    if kind < 0.64:
        if rng.random() < 0.06:
            doc += [(SYSTEM, 0), (rng.choice(SYSTEMS), 0), (END, 0)]
        for _ in range(rng.choice([1, 1, 1, 1, 1, 2, 3])):
            doc += turn(*(outside.exchange(rng) if rng.random() < 0.05 else about_wick(rng)))
    elif kind < 0.985:
        doc += arithmetic.document(rng, turn)
    else:
        doc += stories.document(rng, turn)
    return doc + [(EOS, 1)]
