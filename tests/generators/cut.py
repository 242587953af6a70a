"""Cuts an oracle of one of the model types in `CUT` to fewer layers or a narrower feed-forward, so that
its committed copy is small, and computes its reference anew.

    python cut.py FROM TO        # FROM: the whole oracle; needs torch, transformers, safetensors
"""

import copy
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, T5ForConditionalGeneration

# What the cut changes in `config.json`, by model type.
CUT = {
    "mixtral": {"num_hidden_layers": 2, "intermediate_size": 64},
    "qwen3_moe": {"num_hidden_layers": 2},
    "qwen3": {"num_hidden_layers": 2, "intermediate_size": 64},
    "mistral": {"num_hidden_layers": 2, "intermediate_size": 64},
    "llama": {"num_hidden_layers": 2, "intermediate_size": 64},
    "qwen2": {"num_hidden_layers": 2, "intermediate_size": 64},
    "gemma3_text": {"intermediate_size": 64},
    "phi3": {"num_hidden_layers": 2, "intermediate_size": 64},
    "glm": {"num_hidden_layers": 2, "intermediate_size": 64},
    "glm4": {"num_hidden_layers": 2, "intermediate_size": 64},
    "t5": {"d_ff": 88},
    "gpt2": {"n_layer": 2},
    "bloom": {"n_layer": 2},
    "mpt": {"n_layers": 2},
    "gpt_neox": {"num_hidden_layers": 2},
    "opt": {"num_hidden_layers": 2},
    "falcon": {"num_hidden_layers": 2},
}
# What `config.json` calls the number of layers, if it can be cut.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
# Matrices of the feed-forward from the hidden size, and back to it.
UP, DOWN = ("w1", "w3", "wi", "wi_0", "wi_1", "gate_proj", "up_proj"), ("w2", "wo", "down_proj")


def cut(name, tensor, config):
    """The part of a tensor that is kept; `None` for none of it."""
    parts = name.split(".")
    layers = next((config[key] for key in LAYERS if key in config), None)
    layer = next((int(part) for part in parts if part.isdigit()), 0)
    if layers is not None and layer >= layers:
        return None
    width = config.get("d_ff", config.get("intermediate_size"))
    if parts[-2] == "gate_up_proj":
        return torch.cat([half[:width] for half in tensor.chunk(2)])
    if parts[-2] in UP:
        return tensor[:width].contiguous()
    return tensor[:, :width].contiguous() if parts[-2] in DOWN else tensor


@torch.inference_mode()
def causal(target, old):
    model = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32).eval()
    ids = old["input_ids"]
    gen = model.generate(ids[None], max_new_tokens=len(old["gen"]), do_sample=False, eos_token_id=None)
    return {"input_ids": ids, "logits": model(ids[None]).logits[0], "gen": gen[0, len(ids) :]}


@torch.inference_mode()
def encoder_decoder(target, old):
    model = T5ForConditionalGeneration.from_pretrained(target, dtype=torch.float32).eval()
    ids = old["input_ids"]
    # Without a cache: that of transformers 5 has as many layers as the encoder, even if the decoder has more.
    greedy = {"max_new_tokens": len(old["gen"]), "do_sample": False, "eos_token_id": None, "use_cache": False}
    gen = model.generate(ids[None], **greedy)[0]
    asked = {"input_ids": ids[None], "decoder_input_ids": gen[None]}
    # T5's scores are unscaled: its own float32 run strays from this one.
    exact = copy.deepcopy(model).double()(**asked).logits[0].float()
    return {"input_ids": ids, "decoder_ids": gen, "gen": gen[1:], "logits": model(**asked).logits[0], "logits_f64": exact}


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    config |= CUT[config["model_type"]]
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][: config["num_hidden_layers"]]
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for other in ("generation_config.json", "reference.txt"):
        if (source / other).exists():
            shutil.copy(source / other, target)
    tensors = {name: cut(name, t, config) for name, t in load_file(source / "model.safetensors").items()}
    tensors = {name: t for name, t in tensors.items() if t is not None}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    reference = encoder_decoder if config["model_type"] == "t5" else causal
    made = reference(target, load_file(source / "reference.safetensors"))
    save_file({name: t.clone().contiguous() for name, t in made.items()}, target / "reference.safetensors")


if __name__ == "__main__":
    main()
