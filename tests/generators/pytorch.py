"""Files of torch.save, in both of its containers, with the same tensors as safetensors.

    python tests/generators/pytorch.py tests/checkpoints/data

Needs torch, numpy and safetensors.
"""
import collections
import pathlib
import sys

import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
torch.manual_seed(20230401)

base = torch.randn(6, 8)
tensors = collections.OrderedDict(
    [
        ("f32.weight", base),
        ("shared.weight", base),
        ("transposed.weight", base.t()),
        ("columns.weight", base[:, 2:5]),
        ("rows.weight", base[2:4]),
        ("every_other.weight", base[::2, 1::3]),
        ("permuted.weight", torch.randn(2, 3, 4).permute(2, 0, 1)),
        ("expanded.weight", torch.randn(3, 1).expand(3, 4)),
        ("scalar", torch.tensor(2.5)),
        ("empty.weight", torch.empty(0, 3)),
        ("parameter.weight", torch.nn.Parameter(torch.randn(2, 2))),
        ("frozen.weight", torch.nn.Parameter(torch.randn(2), requires_grad=False)),
        ("f64", torch.randn(3, dtype=torch.float64)),
        ("f16", torch.randn(3).half()),
        ("bf16", torch.randn(3).bfloat16()),
        ("i64", torch.tensor([-(2**40), 3, 2**62])),
        ("i32", torch.tensor([-5, 70000], dtype=torch.int32)),
        ("i16", torch.tensor([-5, 3000], dtype=torch.int16)),
        ("i8", torch.tensor([-128, 127], dtype=torch.int8)),
        ("u8", torch.tensor([0, 255], dtype=torch.uint8)),
        ("bool", torch.tensor([True, False, True])),
    ]
)
plain = {name: t.detach().contiguous().clone() for name, t in tensors.items()}
save_file(plain, out / "pytorch.safetensors")

state = torch.nn.Module.state_dict(torch.nn.Linear(1, 1))  # an OrderedDict with _metadata
state.clear()
state.update(tensors)
torch.save(state, out / "zip.pt")
torch.save(state, out / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(dict(tensors), out / "protocol4.pt", pickle_protocol=4)
torch.save({"epoch": 3, "lr": 1e-4, "model": {"state_dict": state}}, out / "wrapped.pt")
torch.save({"f32.weight": base, "epoch": 3}, out / "mixed.pt")
torch.save(torch.nn.Linear(2, 2), out / "module.pt")
