"""Writes the trained model as a GGUF: matrices in Q8_0, norms in f32, the vocabulary with its
scores and the chat template. And reads one back, for the evaluation of exactly what is shipped."""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch

from corpus import CONTROL, END, EOS
from model import Model, Shape
from tokenizer import Tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TEXTS = [
    "How do I quantize a model?",
    "`wick quantize MODEL -o OUT.gguf --quant int4`",
    "Once upon a time there was a clever fox named Lily.",
    "Tom has 23 apples and buys 48 more. 23 + 48 = 71.",
    "怎么把模型转成4位？加上 `--quant int4`。",
    "double  space, tab\t, line\nand ünknown 龘 🦀",
    " leading space | pipe ||| --- ///",
]
Q8_0 = gguf.GGMLQuantizationType.Q8_0


def write(path, tokenizer, state, shape):
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("wick demo")
    w.add_description("wick's embedded demo model, trained from scratch on generated text")
    w.add_license("MIT OR Apache-2.0")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_vocab_size(shape.vocab_size)
    w.add_context_length(shape.context)
    w.add_embedding_length(shape.hidden)
    w.add_block_count(shape.layers)
    w.add_feed_forward_length(shape.ffn)
    w.add_head_count(shape.heads)
    w.add_head_count_kv(shape.heads)
    w.add_rope_dimension_count(shape.head_dim)
    w.add_rope_freq_base(shape.theta)
    w.add_layer_norm_rms_eps(shape.eps)
    kinds = {"control": gguf.TokenType.CONTROL, "byte": gguf.TokenType.BYTE, "normal": gguf.TokenType.NORMAL}
    w.add_tokenizer_model("llama")
    w.add_token_list([text for text, _ in tokenizer.pieces])
    w.add_token_scores([tokenizer.score(i) for i in range(len(tokenizer.pieces))])
    w.add_token_types([gguf.TokenType.UNKNOWN if i == 0 else kinds[k] for i, (_, k) in enumerate(tokenizer.pieces)])
    w.add_unk_token_id(0)
    w.add_bos_token_id(CONTROL.index("<s>"))
    w.add_eos_token_id(CONTROL.index(EOS))
    w.add_eot_token_id(CONTROL.index(END))
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(TEMPLATE)
    for name, tensor in state.items():
        name = name if name.endswith(".weight") else f"{name}.weight"
        data = tensor.float().numpy()
        if data.ndim == 1:
            w.add_tensor(name, data)
        else:
            w.add_tensor(name, gguf.quants.quantize(data, Q8_0), raw_dtype=Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def read(path):
    """(model, tokenizer) of a GGUF that `write` wrote."""
    r = gguf.GGUFReader(path)
    field = lambda key: r.get_field(key).contents()
    names = {gguf.TokenType.CONTROL: "control", gguf.TokenType.UNKNOWN: "control", gguf.TokenType.BYTE: "byte", gguf.TokenType.NORMAL: "normal"}
    pieces = list(zip(field("tokenizer.ggml.tokens"), (names[t] for t in field("tokenizer.ggml.token_type"))))
    shape = Shape(
        len(pieces), field("llama.embedding_length"), field("llama.block_count"), field("llama.attention.head_count"),
        field("llama.feed_forward_length"), field("llama.context_length"),
    )
    model = Model(shape)
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in r.tensors}
    state = {}
    for name in model.state_dict():
        stored = name if name in tensors else f"{name}.weight"
        state[name] = torch.from_numpy(np.array(tensors[stored], dtype=np.float32))
    model.load_state_dict(state)
    return model.eval(), Tokenizer(pieces)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("--checkpoint", default="model.pt")
    args = args.parse_args()
    saved = torch.load(args.work / args.checkpoint, weights_only=False)
    write(args.out, Tokenizer.load(args.work / "tokenizer.json"), saved["model"], saved["shape"])
    # What the Rust tokenizer is tested against.
    tokenizer = Tokenizer.load(args.work / "tokenizer.json")
    cases = json.dumps([[t, tokenizer.encode(t)] for t in TEXTS], ensure_ascii=False, indent=0)
    args.out.with_name("ids.json").write_text(cases + "\n", encoding="utf-8")
    print(f"{args.out}: {args.out.stat().st_size} bytes after {saved['step']} steps")


if __name__ == "__main__":
    main()
