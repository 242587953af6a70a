"""What the demo model is to know about wick: intents with their wordings, in two languages.

Sources: `facts/*.txt` (written by hand), `cli.json` (a dump of the clap tree) and the model cards
of `../hub/cards.json`. A wording is a goal or question put into a frame; some goals, questions
and frames are held out and never trained on.
"""

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh")


@dataclass
class Intent:
    """One fact: `goals` fit frames such as "how do I …", `questions` stand alone, `names` fit
    frames such as "what is …". A right answer names every one of `keys`. Goals and questions come
    in the lists (lines of the file) in which they were written."""

    id: str
    keys: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    goals: dict[str, list[list[str]]] = field(default_factory=dict)
    questions: dict[str, list[list[str]]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)


def one_list(texts):
    """Goals or questions of each language that were written at once."""
    return {language: [cores] for language, cores in texts.items()}


def listed(text, sep):
    return [part.strip() for part in text.split(sep) if part.strip()]


def read_blocks(path):
    """The intents of one file of `facts/`."""
    intents = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("= "):
            intents.append(Intent(line[2:].strip()))
            continue
        tag, text = (part.strip() for part in line.split(":", 1))
        it = intents[-1]
        if tag == "name":
            it.names = listed(text, ",")
        elif tag == "key":
            it.keys = listed(text, " ; ")
        elif tag in LANGUAGES:
            it.goals.setdefault(tag, []).append(listed(text, " | "))
        elif tag.rstrip("?") in LANGUAGES:
            it.questions.setdefault(tag.rstrip("?"), []).append(listed(text, " | "))
        elif tag in ("A", "答"):
            it.answers["en" if tag == "A" else "zh"] = text
        else:
            raise ValueError(f"{path}:{number}: unknown tag {tag}")
    return intents


def from_cli(known):
    """What the command tree alone says: short forms, environment variables, defaults, and any
    flag that `known` (names that the hand-written intents cover) lacks."""
    tree = json.loads((HERE / "cli.json").read_text(encoding="utf-8"))
    intents, seen, owners = [], set(), {}
    for command in tree["commands"]:
        for arg in command["args"]:
            if arg.get("long"):
                owners.setdefault(arg["long"], []).append(command["name"])
    for command in tree["commands"]:
        for arg in command["args"]:
            long = arg.get("long")
            if not long or long in seen:
                continue
            seen.add(long)
            flag, where = f"--{long}", ", ".join(f"wick {c}" for c in owners[long])
            if short := arg.get("short"):
                intents.append(
                    Intent(
                        f"short{flag}",
                        keys=[f"-{short}"],
                        questions=one_list(
                            {
                                "en": [
                                    f"what is the short form of {flag}",
                                    f"is there a short form of {flag}",
                                    f"short letter for {flag}",
                                    f"how do I abbreviate {flag}",
                                    f"what is {flag} in short",
                                    f"{flag} short form",
                                    f"which letter stands for {flag}",
                                    f"can I write {flag} with one letter",
                                ],
                                "zh": [f"{flag}的短格式是什么", f"{flag}可以缩写吗", f"{flag}的简写", f"{flag}怎么简写", f"{flag}用一个字母怎么写", f"{flag}的缩写是什么", f"{flag}有短参数吗"],
                            }
                        ),
                        answers={
                            "en": f"The short form of {flag} is `-{short}`.",
                            "zh": f"{flag} 的短格式是 `-{short}`。",
                        },
                    )
                )
            intents.append(
                Intent(
                    f"where{flag}",
                    keys=[f"wick {owners[long][0]}"],
                    questions=one_list(
                        {
                            "en": [
                                f"which commands take {flag}",
                                f"which command has {flag}",
                                f"where can I use {flag}",
                                f"which commands accept {flag}",
                                f"what commands understand {flag}",
                                f"does {flag} work everywhere",
                                f"which command is {flag} for",
                                f"which subcommands know {flag}",
                            ],
                            "zh": [f"哪些命令有{flag}", f"{flag}可以用在哪个命令", f"哪个命令支持{flag}", f"{flag}用在哪里", f"{flag}属于哪个命令", f"什么命令可以加{flag}"],
                        }
                    ),
                    answers={
                        "en": f"{flag} belongs to {where}.",
                        "zh": f"{flag} 用于 {where}。",
                    },
                )
            )
            # Some are read by the hub's code and only told in the help text.
            told = re.search(r"\[env: (\w+)", arg["help"])
            if env := arg.get("env") or (told and told[1]):
                intents.append(
                    Intent(
                        f"env{flag}",
                        keys=[env],
                        questions=one_list(
                            {
                                "en": [
                                    f"which environment variable stands for {flag}",
                                    f"what environment variable sets {flag}",
                                    f"can I set {flag} with an environment variable",
                                    f"environment variable of {flag}",
                                    f"env var for {flag}",
                                    f"which variable replaces {flag}",
                                ],
                                "zh": [f"{flag}对应哪个环境变量", f"{flag}能用环境变量设置吗", f"{flag}的环境变量", f"哪个环境变量代替{flag}", f"用什么环境变量可以不写{flag}"],
                            }
                        ),
                        answers={
                            "en": f"{flag} can be set with the environment variable {env}.",
                            "zh": f"{flag} 可以用环境变量 {env} 设置。",
                        },
                    )
                )
            if default := arg.get("default"):
                intents.append(
                    Intent(
                        f"default{flag}",
                        keys=[str(default)],
                        questions=one_list(
                            {
                                "en": [
                                    f"what is the default of {flag}",
                                    f"default value of {flag}",
                                    f"what does {flag} default to",
                                    f"which value has {flag} by default",
                                    f"what if I do not set {flag}",
                                    f"{flag} default",
                                    f"what value does {flag} have if I leave it out",
                                    f"standard value of {flag}",
                                ],
                                "zh": [f"{flag}的默认值是多少", f"{flag}默认是什么", f"不设{flag}会怎样", f"{flag}的默认值", f"{flag}不写的话是多少", f"{flag}缺省是什么"],
                            }
                        ),
                        answers={
                            "en": f"The default of {flag} is {default}.",
                            "zh": f"{flag} 的默认值是 {default}。",
                        },
                    )
                )
            if flag not in known:
                help_text = re.sub(r"\s*\[.*?\]", "", arg["help"]).rstrip(".")
                intents.append(
                    Intent(
                        f"help{flag}",
                        keys=[flag],
                        names=[flag],
                        answers={
                            "en": f"{flag}: {help_text}. It belongs to {where}.",
                            "zh": f"{flag}：{help_text}。用于 {where}。",
                        },
                    )
                )
    return intents


def from_cards():
    """One intent per model card."""
    table = json.loads((HERE / "../hub/cards.json").read_text(encoding="utf-8"))
    intents = []
    for family in (family for section in table["sections"] for family in section["families"]):
        for card in family["models"]:
            if not (hub := card.get("hub")):
                continue
            name = card["name"]
            chat = "chat" if "chat" in card else "run"
            intents.append(
                Intent(
                    f"card-{name}",
                    keys=[f"-m {name}"],
                    names=[name],
                    goals=one_list(
                        {
                            "en": [f"run {name}", f"use {name}", f"chat with {name}", f"download {name}", f"load {name}", f"try {name}", f"start {name}", f"talk to {name}", f"open {name}", f"launch {name}"],
                            "zh": [f"运行{name}", f"使用{name}", f"下载{name}", f"加载{name}", f"试试{name}", f"跑{name}", f"和{name}聊天", f"启动{name}"],
                        }
                    ),
                    answers={
                        "en": f"`wick {chat} -m {name}` runs {hub}; `wick download {name}` only fetches it.",
                        "zh": f"`wick {chat} -m {name}` 运行 {hub}；`wick download {name}` 只下载。",
                    },
                )
            )
    return intents


@dataclass
class Wording:
    """A core that fits the frames of its kind."""

    kind: str
    language: str
    core: str
    intent: Intent


def unknown_flags(intents):
    """Flags that answers name and the command tree lacks."""
    tree = (HERE / "cli.json").read_text(encoding="utf-8")
    named = {flag for it in intents for a in it.answers.values() for flag in re.findall(r"--([a-z][a-z-]+)", a)}
    return sorted(flag for flag in named if f'"long": "{flag}"' not in tree)


def wordings(seed=7):
    """(training, held-out) cores. Of a list of four or more goals or questions one is held out, of
    ten or more two; names and greetings all train, in frames of which some are held out."""
    intents = []
    for path in sorted((HERE / "facts").glob("*.txt")):
        intents += read_blocks(path)
    known = {name for it in intents for name in it.names}
    intents += from_cli(known) + from_cards()
    train, held, named = [], [], set()
    for it in intents:
        for language in LANGUAGES:
            for kind, lists in (("g", it.goals.get(language, [])), ("q", it.questions.get(language, []))):
                for number, cores in enumerate(lists):
                    n_held = 2 if len(cores) >= 10 else 1 if len(cores) >= 4 else 0
                    # Seeded by the list itself: a new intent or list leaves the others' split alone.
                    rng = random.Random(f"{seed}/{it.id}/{language}/{kind}" + (f"/{number}" if number else ""))
                    chosen = set(rng.sample(range(len(cores)), n_held))
                    for i, core in enumerate(cores):
                        (held if i in chosen else train).append(Wording(kind, language, core, it))
            for name in it.names:
                if (name, language) not in named:
                    named.add((name, language))
                    train.append(Wording("n", language, name, it))
    return intents, train, held


if __name__ == "__main__":
    every, train, held = wordings()
    print(f"{len(every)} intents, {len(train)} cores to train on, {len(held)} held out")
    print("not in cli.json:", *unknown_flags(every))
