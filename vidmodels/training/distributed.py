"""Several processes: who we are, wrapping a model for DDP or FSDP2, and small collectives that alone do nothing."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe import TrainSection
from vidmodels.layers.sync_norm import synchronise_batch_norms

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among the training workers: rank of size, rank on its node, and its device."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def init_world(device: str | torch.device | None = None, timeout_s: float = 600.0) -> World:
    """Join the other workers: a process group that exists already (Ray Train), torchrun's environment, or alone.

    device: default the GPU of the local rank where there is one, else the CPU. A collective that takes longer than
    `timeout_s` seconds fails instead of hanging. Raises RunError when torchrun's environment is incomplete.
    """
    local_rank = _env_number("LOCAL_RANK", 0)
    chosen = _choose_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        if _env_number("WORLD_SIZE", 1) == 1:
            return World(device=chosen)
        missing = [k for k in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if k not in os.environ]
        if missing:
            raise RunError(f"{', '.join(missing)} not set in the environment: start several workers with torchrun")
        backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    return World(dist.get_rank(), dist.get_world_size(), local_rank, chosen)


def close_world() -> None:
    """Leave the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _env_number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise RunError(f"the environment variable {name} is {text!r}, not a number") from None


def _choose_device(device: str | torch.device | None, local_rank: int) -> torch.device:
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(f"the device {device} is asked for, but torch finds no GPU: use cpu")
        if chosen.index is None:
            chosen = torch.device("cuda", local_rank % torch.cuda.device_count())
    return chosen


def wrap(model: nn.Module, train: TrainSection, world: World) -> nn.Module:
    """The model ready for its forward passes over `world`: recomputed and compiled as asked, then DDP or FSDP2.

    Parameters keep their names; alone nothing is wrapped. FSDP2 shards each of `model.blocks()` and the rest
    (Zhao et al. 2023); like DDP it starts from the first worker's weights. Optimisers are made after this.
    """
    blocks = model_blocks(model)
    if train.activation_checkpointing:
        checkpoint_activations(model)
    if train.sync_bn and world.size > 1:
        synchronise_batch_norms(model)
    if train.compile:
        for module in blocks or [model]:
            module.compile()  # in place and per block: no renamed parameters, one compilation for all blocks
    if world.size == 1:
        return model
    if train.parallel == "ddp":
        ids = [world.device.index] if world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)
    model = model.to(memory_format=torch.contiguous_format)  # FSDP2 shards contiguous parameters only
    for value in [*model.parameters(), *model.buffers()]:
        dist.broadcast(value.detach(), src=0)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    if hasattr(model, "features"):  # an entrance beside forward must gather the shards too
        register_fsdp_forward_method(model, "features")
    return model


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DDP, or the model itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def is_sharded(model: nn.Module) -> bool:
    """Whether the model's parameters are spread over the workers by FSDP2."""
    return isinstance(unwrap(model), FSDPModule)


def model_blocks(model: nn.Module) -> list[nn.Module]:
    """`model.blocks()`, or nothing where a model has no such method."""
    blocks = getattr(model, "blocks", None)
    return list(blocks()) if callable(blocks) and not isinstance(blocks, nn.Module) else []


def checkpoint_activations(model: nn.Module) -> None:
    """Recompute each block's activations in the backward pass (Chen et al. 2016) instead of keeping them.

    Replaces the blocks' `forward`, so that parameter names stay as they are; random states are restored for the
    second pass, so dropout is the same in both. Raises ConfigError for a model without `blocks()`.
    """
    blocks = model_blocks(model)
    if not blocks:
        raise ConfigError(
            f"train.activation_checkpointing needs a model with blocks, which {type(model).__name__} has not: leave it out"
        )
    for block in blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]


def all_reduce_mean(value: Tensor, world: World) -> Tensor:
    """The mean of a tensor over all workers, equal on each; alone the tensor itself. No gradient flows through."""
    if world.size == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world.size


def barrier(world: World) -> None:
    """Wait until every worker has come here."""
    if world.size > 1:
        dist.barrier(device_ids=[world.device.index] if world.device.type == "cuda" else None)


def broadcast_object(value: T, world: World) -> T:
    """The first worker's `value` (small and picklable) on every worker."""
    if world.size == 1:
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: T, world: World) -> list[T]:
    """Every worker's `value` (picklable), in the order of ranks, on every worker."""
    if world.size == 1:
        return [value]
    box: list[Any] = [None] * world.size
    dist.all_gather_object(box, value)
    return box
