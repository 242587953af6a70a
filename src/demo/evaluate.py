"""Evaluates the GGUF itself (its quantized weights) on what was held out, and writes the figures
between the marks of `card.md`.

    python evaluate.py demo.gguf card.md
"""

import argparse
import json
import math
import random
import re
from pathlib import Path

import torch
import torch.nn.functional as F

import arithmetic
import stories
from corpus import ASSISTANT, END, EOS, HELD, TRAIN, USER, question
from export import read
from frames import FRAMES, HELD_FRAMES

BEGIN, FINISH = "<!-- figures: begin -->", "<!-- figures: end -->"


@torch.inference_mode()
def complete(model, tokenizer, prompts, limit=160):
    """Greedy answers to `prompts` (lists of ids), those of one length together."""
    ends = {tokenizer.ids[END], tokenizer.ids[EOS]}
    answers, lengths = [""] * len(prompts), {}
    for i, p in enumerate(prompts):
        lengths.setdefault(len(p), []).append(i)
    for group in lengths.values():
        ids, cache, done = torch.tensor([prompts[i] for i in group]), None, [False] * len(group)
        out = [[] for _ in group]
        for _ in range(min(limit, model.s.context - ids.shape[1])):
            logits, cache = model(ids, cache)
            best = logits[:, -1].argmax(-1)
            for row, token in enumerate(best.tolist()):
                done[row] |= token in ends
                if not done[row]:
                    out[row].append(token)
            if all(done):
                break
            ids = best[:, None]
        for row, i in enumerate(group):
            answers[i] = tokenizer.decode(out[row])
    return answers


def prompt(tokenizer, user):
    parts = ["<s>", USER, user, END, ASSISTANT]
    return [i for part in parts for i in tokenizer.encode(part)]


def ask(model, tokenizer, users, limit=160):
    return complete(model, tokenizer, [prompt(tokenizer, u) for u in users], limit)


def right(answer, intent):
    return all(key in answer for key in intent.keys)


def about_wick(model, tokenizer, n, log):
    """Share of answers that name the right command or flag, for each part and language."""
    rng, shares = random.Random(11), {}
    parts = {
        "held-out questions and goals": (HELD, FRAMES),
        "held-out frames": ([w for w in TRAIN if w.kind != "q"], HELD_FRAMES),
        "both held out": ([w for w in HELD if w.kind == "g"], HELD_FRAMES),
    }
    for part, (pool, frames) in parts.items():
        for language in ("en", "zh"):
            chosen = [w for w in pool if w.language == language]
            chosen = rng.sample(chosen, min(n, len(chosen)))
            users = [question(rng, w, frames, plain=True) for w in chosen]
            answers = ask(model, tokenizer, users)
            good = [right(a, w.intent) for a, w in zip(answers, chosen)]
            exact = [a == w.intent.answers[language] for a, w in zip(answers, chosen)]
            shares[part, language] = (sum(good), sum(exact), len(good))
            for u, a, w, g in zip(users, answers, chosen, good):
                if not g:
                    log.write(json.dumps({"part": part, "intent": w.intent.id, "user": u, "answer": a}, ensure_ascii=False) + "\n")
    return shares


def final(text):
    """The number behind the last "answer is"."""
    found = re.findall(r"(?:answer is|答案是) (-?\d+)", text)
    return int(found[-1]) if found else None


def word_problems(model, tokenizer, n, language):
    """(right at once, right step by step) of n held-out problems. Steps are begun for the model,
    as `--cot zero` does."""
    rng = random.Random(12)
    problems = [arithmetic.problem(rng, True, language) for _ in range(n)]
    direct = ask(model, tokenizer, [p.text for p in problems])
    begun = [prompt(tokenizer, p.text) + tokenizer.encode(arithmetic.TRIGGER[language]) for p in problems]
    steps = complete(model, tokenizer, begun)
    count = lambda answers: sum(final(a) == p.value for a, p in zip(answers, problems))
    return count(direct), count(steps)


@torch.inference_mode()
def story_perplexity(model, tokenizer, n):
    """Perplexity a token over n held-out stories."""
    rng, total, tokens = random.Random(13), 0.0, 0
    for _ in range(n):
        ids = torch.tensor([tokenizer.encode("<s>") + tokenizer.encode(stories.story(rng, held=True)) + tokenizer.encode(EOS)])
        logits, _ = model(ids[:, :-1])
        total += F.cross_entropy(logits[0], ids[0, 1:], reduction="sum").item()
        tokens += ids.shape[1] - 1
    return math.exp(total / tokens)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("gguf", type=Path)
    args.add_argument("card", type=Path, nargs="?")
    args.add_argument("--n", type=int, default=250, help="wordings of each part and language")
    args.add_argument("--problems", type=int, default=300)
    args.add_argument("--stories", type=int, default=200)
    args.add_argument("--misses", type=Path, default=Path("misses.jsonl"))
    args = args.parse_args()
    torch.set_num_threads(1)  # the matrices are small
    model, tokenizer = read(args.gguf)
    with args.misses.open("w", encoding="utf-8") as log:
        shares = about_wick(model, tokenizer, args.n, log)
    lines = ["| questions about wick | right command or flag | the whole answer word for word |", "|---|---|---|"]
    names = {"en": "English", "zh": "Chinese"}
    for (part, language), (good, exact, n) in shares.items():
        lines.append(f"| {part}, {names[language]} | {good}/{n} = {100 * good / n:.1f} % | {100 * exact / n:.1f} % |")
    good, exact, n = (sum(s[i] for s in shares.values()) for i in range(3))
    lines.append(f"| all of these | {good}/{n} = {100 * good / n:.1f} % | {100 * exact / n:.1f} % |")
    lines.append("")
    for language in names:
        direct, steps = word_problems(model, tokenizer, args.problems, language)
        lines.append(
            f"- Held-out word problems, {names[language]}: at once {direct}/{args.problems} = {100 * direct / args.problems:.1f} %, "
            f"step by step {steps}/{args.problems} = {100 * steps / args.problems:.1f} %."
        )
    lines += [
        f"- Perplexity of held-out stories: {story_perplexity(model, tokenizer, args.stories):.2f} a token.",
    ]
    figures = "\n".join(lines)
    print(figures)
    if args.card:
        text = args.card.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(FINISH)[1]
        args.card.write_text(f"{before}{BEGIN}\n{figures}\n{FINISH}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
