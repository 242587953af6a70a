"""Trains the model; a cut run goes on from its checkpoint, a stopped process where it was.

    python train.py --work DIR --steps 6000              # the same every time
    python train.py --work DIR --until "… 04:05"         # annealed by the clock instead
"""

import argparse
import datetime
import os
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

from corpus import document
from model import Model, Shape
from optimizer import Muon
from tokenizer import SPACE, Tokenizer

# The words that decide an answer stand at its front and weigh more; so do results of sums.
FRONT, FRONT_WEIGHT = 8, 3.0
RESULT_WEIGHT = 3.0
ADAM_RATE = 3e-3
POOL = 16


def weighed(tokenizer, text, weight, ids):
    """Weight of the loss of each of `ids`."""
    if " = " in text and "`" not in text:
        out, result = [], False
        for piece in (tokenizer.pieces[i][0] for i in ids):
            result = piece == "=" or (result and (piece.isdigit() or piece == SPACE))
            out.append(weight * RESULT_WEIGHT if result and piece.isdigit() else weight)
        return out
    front = min(FRONT, len(ids)) if len(ids) > 1 else 0
    return [weight * FRONT_WEIGHT] * front + [weight] * (len(ids) - front)


def encoded(tokenizer, rng, longest):
    """One document: ids and loss weights."""
    ids, weights = [], []
    for text, weight, *tokens in document(rng):
        new = tokenizer.encode(text, None if weight else rng)[slice(None, *tokens)]
        ids += new
        weights += weighed(tokenizer, text, weight, new)
    return ids[:longest], weights[:longest]


def batch(tokenizer, args, step, rank, longest):
    """What a worker learns from in a step: ids and weights [rows, T], about as many tokens as its
    share of a step, filled up at the right. Documents are drawn for `POOL` steps together and
    dealt out by length, so that little is filled. Depends on the seed, step and worker only: a run
    can go on anywhere."""
    rng, documents, n = random.Random(f"{args.seed}/{step // POOL}/{rank}"), [], 0
    each = args.tokens // args.workers
    while n < each * POOL:
        documents.append(encoded(tokenizer, rng, longest))
        n += len(documents[-1][0])
    documents.sort(key=lambda d: len(d[0]))
    parts, at = [[] for _ in range(POOL)], 0
    for d in documents:
        parts[at * POOL // n].append(d)
        at += len(d[0])
    rng.shuffle(parts)
    part = parts[step % POOL]
    width = max(len(ids) for ids, _ in part)
    filled = [[row + [0] * (width - len(row)) for row in rows] for rows in zip(*part)]
    return torch.tensor(filled[0]), torch.tensor(filled[1])


def schedule(progress):
    """Warm-up over 2 %, then level, then a straight line down over the last 30 %."""
    if progress < 0.02:
        return max(progress, 0.001) / 0.02
    return 1.0 if progress < 0.7 else max(0.0, 1 - progress) / 0.3


@torch.compile(dynamic=True)
def mean_loss(model, ids, chosen, targets, weights):
    """Weighed loss of predicting `targets` [n] at the positions `chosen` [n] of ids [rows, T].
    Compiled, the small operations between the products cost a third as much."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = model(ids, chosen=chosen)
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


def averaged(params, *figures):
    """Replaces the gradients, and returns the figures, by their means over the workers."""
    flat = torch.cat([p.grad.flatten() for p in params] + [torch.tensor(figures)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    at = 0
    for p in params:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p))
        at += p.numel()
    return flat[at:].tolist()


class Run:
    """Model, optimizers and where the run is; its checkpoint."""

    def __init__(self, args, tokenizer):
        self.args, self.step, self.seen, self.begun = args, 0, 0, time.time()
        self.shape = Shape(len(tokenizer.pieces), args.hidden, args.layers, args.heads, args.ffn)
        torch.manual_seed(args.seed)
        self.model = Model(self.shape)
        named = list(self.model.named_parameters())
        self.muon = Muon([p for n, p in named if p.dim() == 2 and "embd" not in n])
        self.rest = [p for n, p in named if p.dim() != 2 or "embd" in n]
        self.adam = torch.optim.AdamW(self.rest, lr=ADAM_RATE, betas=(0.9, 0.97), weight_decay=0.0)
        path = args.work / "checkpoint.pt"
        if path.exists():
            saved = torch.load(path, weights_only=False)
            self.step, self.seen, self.begun = saved["step"], saved["seen"], saved["begun"]
            self.model.load_state_dict(saved["model"])
            self.adam.load_state_dict(saved["adam"])
            self.muon.buffers = saved["muon"]

    def save(self, name="checkpoint.pt"):
        state = {
            "step": self.step, "seen": self.seen, "begun": self.begun, "shape": self.shape,
            "model": self.model.state_dict(), "adam": self.adam.state_dict(), "muon": self.muon.buffers,
        }
        torch.save(state, self.args.work / f"{name}.part")
        os.replace(self.args.work / f"{name}.part", self.args.work / name)

    def progress(self):
        if self.args.until:
            return (time.time() - self.begun) / (self.args.until.timestamp() - self.begun)
        return self.step / self.args.steps

    def advance(self, ids, weights, factor):
        """One step of all workers, this one's share being `ids`; (loss, tokens, progress)."""
        self.step += 1
        weights = weights[:, 1:].flatten()
        chosen = weights.nonzero()[:, 0]
        targets = ids[:, 1:].flatten()[chosen]
        loss = mean_loss(self.model, ids[:, :-1].contiguous(), chosen, targets, weights[chosen])
        loss.backward()
        figures = averaged(list(self.model.parameters()), loss.item(), float(ids.numel()), self.progress())
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        self.adam.step()
        self.muon.step(factor)
        self.model.zero_grad(set_to_none=True)
        return figures


def work(rank, args):
    """One worker of `args.workers`. Each has one thread: where others use the machine too, threads
    that wait for each other at every product wait long."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{args.work.resolve()}/rendezvous", rank=rank, world_size=args.workers, timeout=datetime.timedelta(hours=12)
    )
    tokenizer = Tokenizer.load(args.work / "tokenizer.json")
    run = Run(args, tokenizer)
    if rank == 0:
        print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {run.shape}", flush=True)
    since, before, mean, progress = time.time(), run.seen, None, averaged([], run.progress())[0]
    while progress < 1:
        ids, weights = batch(tokenizer, args, run.step, rank, run.shape.context)
        factor = schedule(progress)
        loss, tokens, progress = run.advance(ids, weights, factor)
        run.seen += int(tokens * args.workers)
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if rank == 0 and run.step % 25 == 0:
            speed = (run.seen - before) / (time.time() - since)
            print(f"{run.step} loss {mean:.4f} factor {factor:.3f} {speed:.0f} tokens/s {progress:.3f}", flush=True)
        if rank == 0 and run.step % 50 == 0:
            run.save()
    if rank == 0:
        run.save()
        run.save("model.pt")
        print(f"done: {run.step} steps, {run.seen} tokens", flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--steps", type=int, default=6000)
    args.add_argument("--until", type=datetime.datetime.fromisoformat)
    args.add_argument("--tokens", type=int, default=6144, help="of a step")
    args.add_argument("--workers", type=int, default=2)
    args.add_argument("--layers", type=int, default=Shape.layers)
    args.add_argument("--hidden", type=int, default=Shape.hidden)
    args.add_argument("--ffn", type=int, default=Shape.ffn)
    args.add_argument("--heads", type=int, default=Shape.heads)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    (args.work / "rendezvous").unlink(missing_ok=True)
    torch.multiprocessing.spawn(work, (args,), args.workers)


if __name__ == "__main__":
    main()
