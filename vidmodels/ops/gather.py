"""Rows of all workers: gathered with and without gradient, and dealt out anew. Alone they are what they were.

B rows of this worker, W workers.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def world_size() -> int:
    """Workers of the process group, 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The place of this worker among them."""
    return dist.get_rank() if world_size() > 1 else 0


def gather_rows(rows: Tensor, gradient: bool = False) -> Tensor:
    """Rows [B, ...] of each worker as [W * B, ...] in the order of ranks; every worker has equally many.

    gradient: that of all workers' losses reaches this worker's rows.
    """
    if world_size() == 1:
        return rows
    if gradient and rows.is_floating_point():
        return torch.cat(list(all_gather(rows.contiguous())))
    sent = rows.detach().contiguous()
    sent = sent.to(torch.uint8) if sent.dtype == torch.bool else sent  # not all back ends send bits
    parts = [torch.empty_like(sent) for _ in range(world_size())]
    dist.all_gather(parts, sent)
    return torch.cat(parts).to(rows.dtype)


def sum_over_workers(value: Tensor) -> Tensor:
    """The sum of a tensor of all workers, without gradient."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def max_over_workers(value: Tensor) -> Tensor:
    """The largest of a tensor of all workers, element by element, without gradient."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return value


def deal(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows [B, ...] of all workers shuffled among them, and the order int64 [W * B] in which they were dealt.

    generator: in the same state on all workers. A batch norm then sees other rows than those that it is compared with (MoCo,
    section 3.3). `collect` undoes it.
    """
    everyone = gather_rows(rows)
    order = torch.randperm(len(everyone), generator=generator).to(rows.device)
    start = rank() * len(rows)
    return everyone[order[start : start + len(rows)]], order


def collect(rows: Tensor, order: Tensor) -> Tensor:
    """Rows that were computed of dealt ones, [B, ...], back with the worker and at the place that they came from."""
    everyone = gather_rows(rows)
    start = rank() * len(rows)
    return everyone[order.argsort()[start : start + len(rows)]]
