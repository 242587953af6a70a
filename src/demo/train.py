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

from corpus import TRAIN, document
from drawer import Drawer
from model import Model, Shape
from optimizer import Muon
from tokenizer import SPACE, Tokenizer

# The words that decide an answer stand at its front and weigh more; so do results of sums.
FRONT, FRONT_WEIGHT = 8, 3.0
RESULT_WEIGHT = 3.0
ADAM_RATE = 3e-3
DROPOUT = 0.1
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


class Documents:
    """What a worker learns from, drawn for `POOL` steps together and dealt out by length, so that
    little is filled. Depends on the seed, step, worker and drawer only: a run can go on at any pool."""

    def __init__(self, tokenizer, args, rank, longest):
        self.tokenizer, self.args, self.rank, self.longest = tokenizer, args, rank, longest

    def encoded(self, rng, drawer):
        """One document: ids, loss weights and the place of the wording in it, if it is one."""
        ids, weights = [], []
        doc, place = document(rng, drawer)
        for text, weight, *tokens in doc:
            new = self.tokenizer.encode(text, None if weight else rng)[slice(None, *tokens)]
            ids += new
            weights += weighed(self.tokenizer, text, weight, new)
        return ids[: self.longest], weights[: self.longest], place

    def pool(self, number, drawer):
        """The batches of `POOL` steps: each ids and weights [rows, T], about as many tokens as this
        worker's share of a step, filled up at the right, and the rows' places."""
        rng, documents, n = random.Random(f"{self.args.seed}/{number}/{self.rank}"), [], 0
        while n < self.args.tokens // self.args.workers * POOL:
            documents.append(self.encoded(rng, drawer))
            n += len(documents[-1][0])
        documents.sort(key=lambda d: len(d[0]))
        parts, at = [[] for _ in range(POOL)], 0
        for d in documents:
            parts[at * POOL // n].append(d)
            at += len(d[0])
        rng.shuffle(parts)
        return [self.filled(part) for part in parts]

    @staticmethod
    def filled(part):
        ids, weights, places = zip(*part)
        width = max(map(len, ids))
        fill = lambda rows: torch.tensor([row + [0] * (width - len(row)) for row in rows])
        return fill(ids), fill(weights), places


def schedule(progress):
    """Warm-up over 2 %, then level, then a straight line down over the last 60 %."""
    if progress < 0.02:
        return max(progress, 0.001) / 0.02
    return 1.0 if progress < 0.4 else max(0.0, 1 - progress) / 0.6


@torch.compile(dynamic=True)
def weighed_loss(model, ids, chosen, targets, weights):
    """Losses [n] of predicting `targets` [n] at the positions `chosen` [n] of ids [rows, T], and their
    weighed mean. Compiled, the small operations between the products cost a third as much."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = model(ids, chosen=chosen)
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    return losses.detach(), (losses * weights).sum() / weights.sum()


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
        self.model = Model(self.shape, DROPOUT)
        named = list(self.model.named_parameters())
        self.muon = Muon([p for n, p in named if p.dim() == 2 and "embd" not in n])
        self.rest = [p for n, p in named if p.dim() != 2 or "embd" in n]
        self.adam = torch.optim.AdamW(self.rest, lr=ADAM_RATE, betas=(0.9, 0.97), weight_decay=0.0)
        path, saved = args.work / "checkpoint.pt", {}
        if path.exists():
            saved = torch.load(path, weights_only=False)
            self.step, self.seen, self.begun = saved["step"], saved["seen"], saved["begun"]
            self.model.load_state_dict(saved["model"])
            self.adam.load_state_dict(saved["adam"])
            self.muon.buffers = saved["muon"]
        self.drawer, self.losses = Drawer(TRAIN, saved.get("hardness")), []

    def save(self, name="checkpoint.pt"):
        state = {
            "step": self.step, "seen": self.seen, "begun": self.begun, "shape": self.shape,
            "model": self.model.state_dict(), "adam": self.adam.state_dict(), "muon": self.muon.buffers,
            "hardness": self.drawer.state(),
        }
        torch.save(state, self.args.work / f"{name}.part")
        os.replace(self.args.work / f"{name}.part", self.args.work / name)

    def progress(self):
        if self.args.until:
            return (time.time() - self.begun) / (self.args.until.timestamp() - self.begun)
        return self.step / self.args.steps

    def advance(self, ids, weights, places, factor):
        """One step of all workers, this one's share being `ids`; (loss, tokens, progress)."""
        self.step += 1
        # What is dropped out depends on the step alone, so that a cut run goes on as it would have.
        torch.manual_seed(self.args.seed << 32 | self.step * self.args.workers + dist.get_rank())
        rows, weights = len(ids), weights[:, 1:].flatten()
        chosen = weights.nonzero()[:, 0]
        targets = ids[:, 1:].flatten()[chosen]
        losses, loss = weighed_loss(self.model, ids[:, :-1].contiguous(), chosen, targets, weights[chosen])
        loss.backward()
        sums = torch.zeros(rows).index_add(0, chosen * rows // len(weights), losses).tolist()
        self.losses += [(place, total) for place, total in zip(places, sums) if place is not None]
        figures = averaged(list(self.model.parameters()), loss.item(), float(ids.numel()), self.progress())
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        self.adam.step()
        self.muon.step(factor)
        self.model.zero_grad(set_to_none=True)
        return figures

    def share_losses(self):
        """Tells all workers' drawers what all of them saw."""
        seen = [None] * self.args.workers
        dist.all_gather_object(seen, self.losses)
        self.drawer.learned(pair for worker in seen for pair in worker)
        self.losses = []


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
    since, before, mean, pool, progress = time.time(), run.seen, None, None, averaged([], run.progress())[0]
    documents = Documents(tokenizer, args, rank, run.shape.context)
    while progress < 1:
        if pool is None or run.step % POOL == 0:
            pool = documents.pool(run.step // POOL, run.drawer)
        factor = schedule(progress)
        loss, tokens, progress = run.advance(*pool[run.step % POOL], factor)
        run.seen += int(tokens * args.workers)
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if rank == 0 and run.step % 25 == 0:
            speed = (run.seen - before) / (time.time() - since)
            print(f"{run.step} loss {mean:.4f} factor {factor:.3f} {speed:.0f} tokens/s {progress:.3f}", flush=True)
        if run.step % POOL == 0:
            run.share_losses()
        if rank == 0 and run.step % (4 * POOL) == 0:
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
