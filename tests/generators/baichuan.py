"""Tiny Baichuans in the quantized layouts of its own repositories, each with its plain weights.

    python tests/generators/baichuan.py tests/checkpoints/data

`baichuan-nf4` is Baichuan2-7B-Chat-4bits': in `pytorch_model.bin`, `X.weight.data` and
`X.weight.quant_state`, the list of bitsandbytes 0.40's `quantize_4bit`
[absmax, shape, dtype, blocksize, [offset, [absmax, code, blocksize, nested, dtype, offset, state2]],
kind, code]. `baichuan-int8` is what Baichuan-13B's `QLinear` keeps: the int8 matrix transposed,
one float32 scale for each output. Integers and scales are drawn first, the weights that they stand
for are computed from them. Needs numpy, safetensors and torch.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = pathlib.Path(sys.argv[1])
HIDDEN, INNER, VOCAB, HEADS = 32, 64, 40, 2
CONFIG = {
    "architectures": ["BaichuanForCausalLM"],
    "model_type": "baichuan",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "vocab_size": VOCAB,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "z_loss_weight": 0,
}
LINEARS = {
    "self_attn.W_pack": (3 * HIDDEN, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
# QLoRA's appendix E.
NF4 = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0],
    np.float32,
)


def nf4(rng, out, inp):
    blocks = out * inp // 64
    q = rng.integers(0, 16, (blocks, 64))
    outer_map = np.sort(rng.uniform(-1, 1, 256)).astype(np.float32)
    outer = rng.uniform(0.01, 0.02, (blocks + 255) // 256).astype(np.float32)
    offset = np.float32(0.03)
    a = rng.integers(0, 256, blocks)
    absmax = outer_map[a] * np.repeat(outer, 256)[:blocks] + offset
    weight = (NF4[q] * absmax[:, None]).reshape(out, inp)
    pairs = q.reshape(-1, 2)
    data = torch.from_numpy((pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8)[:, None])
    inner_state = [torch.from_numpy(outer), torch.from_numpy(outer_map), 256, False, torch.float32, None, None]
    state = [
        torch.from_numpy(a.astype(np.uint8)),
        torch.Size([out, inp]),
        torch.float16,
        64,
        [torch.tensor(offset), inner_state],
        "nf4",
        torch.from_numpy(NF4),
    ]
    return {"weight.data": data, "weight.quant_state": state}, weight


def int8(rng, out, inp):
    q = rng.integers(-127, 128, (out, inp)).astype(np.int8)
    scale = rng.uniform(0.0002, 0.001, out).astype(np.float32)
    weight = q.astype(np.float32) * scale[:, None]
    return {"weight": torch.from_numpy(q).T.contiguous(), "scale": torch.from_numpy(scale)}, weight


def model(name, config, layer, seed):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    plain = {
        "model.embed_tokens.weight": normal(VOCAB, HIDDEN),
        "model.layers.0.input_layernorm.weight": 1 + normal(HIDDEN) / 4,
        "model.layers.0.post_attention_layernorm.weight": 1 + normal(HIDDEN) / 4,
        "model.norm.weight": 1 + normal(HIDDEN) / 4,
        "lm_head.weight": normal(VOCAB, HIDDEN),
    }
    packed = {k: torch.from_numpy(v) for k, v in plain.items()}
    for linear, (out, inp) in LINEARS.items():
        stem = f"model.layers.0.{linear}"
        parts, weight = layer(rng, out, inp)
        packed.update({f"{stem}.{part}": value for part, value in parts.items()})
        plain[f"{stem}.weight"] = np.ascontiguousarray(weight.astype(np.float32))
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}, indent=2) + "\n")
    torch.save(packed, folder / "pytorch_model.bin")
    save_file(plain, folder / "plain.safetensors")


DECLARED = {
    "bnb_4bit_compute_dtype": "bfloat16",
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False,
    "llm_int8_skip_modules": None,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": True,
    "load_in_8bit": False,
}
model(
    "baichuan-nf4",
    # What tells the second generation, with RoPE.
    {"tokenizer_class": "BaichuanTokenizer", "max_position_embeddings": 64, "quantization_config": DECLARED},
    nf4,
    seed=21,
)
# The first generation, with ALiBi.
model("baichuan-int8", {"model_max_length": 64}, int8, seed=22)
