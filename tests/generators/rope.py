"""Makes the oracles of RoPE scalings with the `transformers` library: python rope.py OUT_DIR.

Tiny random LLaMAs whose prompt is longer than the original context, so that the scaling shows.
Results are float32; norm weights are random so that a forgotten one shows.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

KINDS = {
    "llama-dynamic-rope": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    "llama-yarn-rope": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "rope_theta": 10000.0,
    },
}


def make(folder: Path, rope: dict) -> None:
    torch.manual_seed(0)
    # The dynamic base follows the length past max_position_embeddings.
    length = 16 if rope["rope_type"] == "dynamic" else 64
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=length,
        rope_parameters=rope,
        tie_word_embeddings=False,
        # No end token, so that nothing is masked out of the greedy ids.
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 0.2)
        ids = torch.randint(3, 97, (1, 24))
        logits = model(ids).logits[0]
        # A fresh model each time: the library's dynamic scaling keeps state.
        made = LlamaForCausalLM(config).float().eval()
        made.load_state_dict(model.state_dict())
        out = made.generate(
            ids,
            max_new_tokens=16,
            min_new_tokens=16,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    save_file(
        {
            "input_ids": ids[0],
            "logits": logits.contiguous(),
            "gen": out.sequences[0, ids.shape[1] :].contiguous(),
            "step_logits": torch.stack([s[0] for s in out.logits]).contiguous(),
        },
        folder / "reference.safetensors",
    )


for name, rope in KINDS.items():
    make(Path(sys.argv[1]) / name, rope)
