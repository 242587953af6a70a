"""The model: LLaMA's shape (RMSNorm, interleaved RoPE as GGUF stores it, SwiGLU,
tied head), small."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    vocab_size: int = 4096
    hidden: int = 256
    layers: int = 7
    heads: int = 8
    ffn: int = 512
    context: int = 512
    theta: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.hidden // self.heads


def norm(x, weight, eps):
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rope_tables(shape):
    """cos, sin: [context, head_dim / 2]."""
    half = torch.arange(0, shape.head_dim, 2).double() / shape.head_dim
    angle = torch.outer(torch.arange(shape.context).double(), shape.theta**-half)
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """Interleaved pairs: (x0, x1), (x2, x3), … of x [batch, heads, T, head_dim]."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


def drop(x, share):
    """Dropout of channels of x [batch, T, hidden], the same ones at every position: as good against
    overfitting as a draw for each number (Gal and Ghahramani, 2016), and much cheaper here."""
    if not share:
        return x
    kept = torch.rand(x.shape[0], 1, x.shape[2]) >= share
    return x * (kept / (1 - share)).to(x.dtype)


class Block(nn.Module):
    """`dropout` is the share of what each half adds to the residual stream that training drops."""

    def __init__(self, s, dropout):
        super().__init__()
        self.s, self.dropout = s, dropout
        self.attn_norm = nn.Parameter(torch.ones(s.hidden))
        self.attn_q = nn.Linear(s.hidden, s.hidden, bias=False)
        self.attn_k = nn.Linear(s.hidden, s.hidden, bias=False)
        self.attn_v = nn.Linear(s.hidden, s.hidden, bias=False)
        self.attn_output = nn.Linear(s.hidden, s.hidden, bias=False)
        self.ffn_norm = nn.Parameter(torch.ones(s.hidden))
        self.ffn_gate = nn.Linear(s.hidden, s.ffn, bias=False)
        self.ffn_up = nn.Linear(s.hidden, s.ffn, bias=False)
        self.ffn_down = nn.Linear(s.ffn, s.hidden, bias=False)

    def forward(self, x, cos, sin, past=None):
        """x [batch, T, hidden]; `past` is (keys, values) of earlier positions. Returns x and the
        keys and values with this call's."""
        s = self.s
        h = norm(x, self.attn_norm, s.eps)
        split = lambda t: t.unflatten(-1, (-1, s.head_dim)).transpose(1, 2)
        q, k, v = rotate(split(self.attn_q(h)), cos, sin), rotate(split(self.attn_k(h)), cos, sin), split(self.attn_v(h))
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        scores = q @ (k * s.head_dim**-0.5).transpose(2, 3)
        if q.shape[2] > 1:
            # Added, which costs less than what the library's function does for rows without any key.
            scores = scores + scores.new_full(scores.shape[2:], -torch.inf).triu(1)
        attended = scores.softmax(-1).to(v.dtype) @ v
        x = x + drop(self.attn_output(attended.transpose(1, 2).flatten(2)), self.dropout)
        h = norm(x, self.ffn_norm, s.eps)
        return x + drop(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)), self.dropout), (k, v)


class Model(nn.Module):
    """`dropout` is for training alone."""

    def __init__(self, s, dropout=0.0):
        super().__init__()
        self.s, self.dropout = s, dropout
        self.token_embd = nn.Embedding(s.vocab_size, s.hidden)
        self.blk = nn.ModuleList(Block(s, dropout) for _ in range(s.layers))
        self.output_norm = nn.Parameter(torch.ones(s.hidden))
        cos, sin = rope_tables(s)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 if "embd" in name else p.shape[1] ** -0.5)
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                nn.init.zeros_(p)

    def forward(self, ids, past=None, chosen=None):
        """ids [batch, T] to logits [batch, T, vocab] and the cache, one (keys, values) a layer.
        With `chosen` [n], indices into batch * T, the logits are of those positions: [n, vocab]."""
        at = 0 if past is None else past[0][0].shape[2]
        cos, sin = self.cos[at : at + ids.shape[1]], self.sin[at : at + ids.shape[1]]
        x, cache = drop(self.token_embd(ids), self.dropout), []
        for i, block in enumerate(self.blk):
            x, kv = block(x, cos, sin, None if past is None else past[i])
            cache.append(kv)
        x = x if chosen is None else x.flatten(0, 1).index_select(0, chosen)
        return F.linear(norm(x, self.output_norm, self.s.eps), self.token_embd.weight), cache
