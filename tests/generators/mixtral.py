"""Cuts an oracle of Mixtral to two layers and experts of width 64, so that its committed copy is small,
and computes its reference anew.

    python mixtral.py FROM TO        # FROM: the whole oracle; needs torch, transformers, safetensors
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import MixtralConfig, MixtralForCausalLM

LAYERS, WIDTH = 2, 64


def cut(name, tensor):
    """The part of a tensor that is kept; `None` for none of it."""
    parts = name.split(".")
    if parts[:2] == ["model", "layers"] and int(parts[2]) >= LAYERS:
        return None
    match parts[-2]:
        case "w1" | "w3":
            return tensor[:WIDTH].contiguous()
        case "w2":
            return tensor[:, :WIDTH].contiguous()
    return tensor


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    config |= {"num_hidden_layers": LAYERS, "intermediate_size": WIDTH}
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (target / "generation_config.json").write_text((source / "generation_config.json").read_text())
    tensors = {name: cut(name, t) for name, t in load_file(source / "model.safetensors").items()}
    tensors = {name: t for name, t in tensors.items() if t is not None}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    model = MixtralForCausalLM.from_pretrained(target, dtype=torch.float32).eval()
    assert isinstance(model.config, MixtralConfig)
    reference = load_file(source / "reference.safetensors")
    ids = reference["input_ids"]
    with torch.inference_mode():
        logits = model(ids[None]).logits[0]
        gen = model.generate(ids[None], max_new_tokens=len(reference["gen"]), do_sample=False, eos_token_id=None)
    save_file({"input_ids": ids, "logits": logits.contiguous(), "gen": gen[0, len(ids) :].contiguous()}, target / "reference.safetensors")


if __name__ == "__main__":
    main()
