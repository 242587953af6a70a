"""Trains the model; a cut run goes on from its checkpoint.

    python train.py --work DIR --steps 6000            # the same every time
    python train.py --work DIR --until "… 04:05"       # ends by the clock instead
"""

import argparse
import datetime
import os
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from corpus import document
from model import Model, Shape
from optimizer import Muon
from tokenizer import Tokenizer


def batch(tokenizer, step, rows, length, seed):
    """ids and loss weights (0 or 1) [rows, length + 1]: documents one after another. Depends on the seed
    and the step only, so that a run can go on anywhere."""
    rng = random.Random(f"{seed}/{step}")
    ids, weights = [], []
    while len(ids) < rows * (length + 1):
        for text, weight in document(rng):
            new = tokenizer.encode(text)
            ids += new
            weights += [weight] * len(new)
    n = rows * (length + 1)
    return torch.tensor(ids[:n]).view(rows, -1), torch.tensor(weights[:n], dtype=torch.float).view(rows, -1)


def schedule(progress):
    """Warm-up over 2 %, then level, then a straight line down over the last 35 %."""
    if progress < 0.02:
        return max(progress, 0.001) / 0.02
    return 1.0 if progress < 0.65 else 0.02 + 0.98 * (1 - progress) / 0.35


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--steps", type=int, default=6000)
    args.add_argument("--until", type=datetime.datetime.fromisoformat)
    args.add_argument("--tokens", type=int, default=3072, help="of a step")
    args.add_argument("--layers", type=int, default=Shape.layers)
    args.add_argument("--hidden", type=int, default=Shape.hidden)
    args.add_argument("--ffn", type=int, default=Shape.ffn)
    args.add_argument("--heads", type=int, default=Shape.heads)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    tokenizer = Tokenizer.load(args.work / "tokenizer.json")
    shape = Shape(len(tokenizer.pieces), args.hidden, args.layers, args.heads, args.ffn)
    model = Model(shape)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {shape}", flush=True)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embd" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() != 2 or "embd" in n]
    muon, adam = Muon(matrices), torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.97), weight_decay=0.0)
    step, begun, path = 0, time.time(), args.work / "checkpoint.pt"
    if path.exists():
        saved = torch.load(path, weights_only=False)
        step, begun = saved["step"], saved["begun"]
        model.load_state_dict(saved["model"])
        adam.load_state_dict(saved["adam"])
        muon.buffers = saved["muon"]
    end = args.until.timestamp() if args.until else None

    def save(name="checkpoint.pt"):
        state = {"step": step, "begun": begun, "shape": shape, "model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.buffers}
        torch.save(state, args.work / f"{name}.part")
        os.replace(args.work / f"{name}.part", args.work / name)

    since, tokens, mean = time.time(), 0, None
    while True:
        progress = (time.time() - begun) / (end - begun) if end else step / args.steps
        if progress >= 1:
            break
        # Every sixth step reaches the context's end; the others are half as long and cheaper.
        length = shape.context if step % 6 == 5 else shape.context // 2
        ids, weights = batch(tokenizer, step, args.tokens // length, length, args.seed)
        only = weights[:, 1:] > 0
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model(ids[:, :-1], only=only)
        loss = F.cross_entropy(logits.float(), ids[:, 1:][only])
        loss.backward()
        factor = schedule(progress)
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for group in adam.param_groups:
            group["lr"] = 4e-3 * factor
        adam.step()
        muon.step(factor)
        model.zero_grad(set_to_none=True)
        step += 1
        tokens += ids.numel()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 25 == 0:
            print(f"{step} loss {mean:.4f} factor {factor:.3f} {tokens / (time.time() - since):.0f} tokens/s {progress:.3f}", flush=True)
        if step % 50 == 0:
            save()
    save()
    save("model.pt")
    print(f"done: {step} steps", flush=True)


if __name__ == "__main__":
    main()
