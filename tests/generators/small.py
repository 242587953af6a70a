"""Makes oracles of what the larger ones do not cover, with the `transformers` library:

    python small.py OUT_DIR

`umt5`: a table of biases in every layer, a head of its own though its file says that it is tied. `falcon-rw`: ALiBi in bf16, norms one after the other.
`phi3-longrope`: the answer passes the original length. Tiny random weights; results are float32.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

GENERATED = 16
# No end token, so that nothing is masked out of the greedy ids.
COMMON = {"vocab_size": 97, "eos_token_id": None}


def umt5():
    model = UMT5ForConditionalGeneration(
        UMT5Config(d_model=32, d_kv=8, d_ff=16, num_heads=3, num_layers=2, tie_word_embeddings=False, **COMMON)
    )
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    return model


def falcon_rw():
    return FalconForCausalLM(
        FalconConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_hidden_size=48,
            alibi=True,
            multi_query=False,
            parallel_attn=False,
            bias=True,
            max_position_embeddings=64,
            tie_word_embeddings=False,
            **COMMON,
        )
    )


def phi3_longrope():
    half = 4
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.1 * i for i in range(half)],
        "long_factor": [2.0 + i for i in range(half)],
        "original_max_position_embeddings": 32,
    }
    return Phi3ForCausalLM(
        Phi3Config(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            original_max_position_embeddings=32,
            rope_parameters=rope,
            pad_token_id=0,
            **COMMON,
        )
    )


@torch.no_grad()
def make(folder: Path, model) -> None:
    model = model.float().eval()
    for name, parameter in model.named_parameters():
        if "norm" in name or "ln_" in name:
            parameter.uniform_(0.5, 1.5)
        else:
            parameter.normal_(0, 0.2)
    ids = torch.randint(3, 97, (1, 24))
    gen = model.generate(ids, max_new_tokens=GENERATED, min_new_tokens=GENERATED, do_sample=False)[0]
    made = {"input_ids": ids[0]}
    if model.config.is_encoder_decoder:
        made |= {"decoder_ids": gen, "gen": gen[1:]}
        asked = {"input_ids": ids, "decoder_input_ids": gen[None]}
    else:
        made["gen"] = gen[ids.shape[1] :]
        asked = {"input_ids": ids}
    made["logits"] = model(**asked).logits[0]
    model.save_pretrained(folder)
    save_file({name: t.clone().contiguous() for name, t in made.items()}, folder / "reference.safetensors")


def main() -> None:
    for name, build in {"umt5": umt5, "falcon-rw": falcon_rw, "phi3-longrope": phi3_longrope}.items():
        torch.manual_seed(0)
        make(Path(sys.argv[1]) / name, build())


if __name__ == "__main__":
    main()
