"""Muon for the matrices (momentum, then the nearest orthogonal matrix by Newton-Schulz; Jordan et
al. 2024) and Adam for the embedding and the norms."""

import torch
import torch.distributed as dist


def orthogonal(g, steps=5):
    """The orthogonal factor of each matrix of g [n, rows, columns], roughly."""
    x = g.bfloat16()
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x if wide else x.transpose(1, 2)).float()


class Muon:
    """Each worker of the process group makes orthogonal its share of the matrices."""

    def __init__(self, params, lr=0.02, momentum=0.95, decay=0.01):
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self.groups = {}
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.buffers = {shape: torch.zeros(len(ps), *shape) for shape, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, factor):
        for shape, params in self.groups.items():
            g = torch.stack([p.grad for p in params])
            buffer = self.buffers[shape].mul_(self.momentum).add_(g)
            g = g.add(buffer, alpha=self.momentum)
            update, mine = torch.zeros_like(g), slice(dist.get_rank(), None, dist.get_world_size())
            if len(g[mine]):
                update[mine] = orthogonal(g[mine])
            dist.all_reduce(update)
            lr = self.lr * factor
            scale = lr * max(1, shape[0] / shape[1]) ** 0.5
            for p, u in zip(params, update):
                p.mul_(1 - lr * self.decay).sub_(u, alpha=scale)
