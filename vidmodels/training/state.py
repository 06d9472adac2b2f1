"""What a training checkpoint holds, and its way between files, a model, its optimiser and their shards.

Alone, under DDP and under FSDP2 the same files are written: whole tensors under the model's own parameter names,
`model.safetensors`, `ema.safetensors`, `optimizer.pt` and `state.json`. So a run goes on at another world size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from vidmodels.core.errors import CheckpointError
from vidmodels.training.checkpoint import Checkpoint, Checkpointer
from vidmodels.training.distributed import World, broadcast_object, is_sharded, unwrap
from vidmodels.training.ema import Ema
from vidmodels.training.files import load_pickled, load_tensors, save_pickled, save_tensors

T = TypeVar("T")
_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
_SPREAD = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


@dataclass
class TrainState:
    """The part of a checkpoint that is not tensors; JSON."""

    step: int
    samples: int = 0
    recipe_hash: str = ""
    world_size: int = 1
    metrics: dict[str, float] = field(default_factory=dict)
    bad_samples: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def save_state(
    checkpointer: Checkpointer,
    state: TrainState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: Ema | None,
    world: World,
) -> str:
    """Write a checkpoint; all workers call it (shards are gathered), the first one writes. Returns its URI on all.

    Raises CheckpointError on every worker when the first one cannot write.
    """
    weights, moments = _gather(model, optimizer)

    def write() -> str:
        files: dict[str, Callable[[Path], None]] = {
            "model.safetensors": lambda path: save_tensors(weights, path, state.metadata),
            "optimizer.pt": lambda path: save_pickled(moments, path),
        }
        size = 1.02 * (_bytes(weights) + _bytes(moments)) + 1e5
        if ema is not None:
            average = ema.state_dict()
            files["ema.safetensors"] = lambda path: save_tensors(average, path, state.metadata)
            size += _bytes(average)
        return checkpointer.save(state.step, files, asdict(state), expected_bytes=int(size))

    return on_first(write, world)


def load_state(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema | None, world: World
) -> TrainState:
    """Load a checkpoint into model, optimiser and average, whichever way it was written; all workers call it.

    Raises CheckpointError where a file is damaged, unsafe, or does not fit the model.
    """
    state = _read_train_state(checkpoint)
    if is_sharded(model):
        # only the first worker reads, so that the whole state is in memory once and not once per worker
        weights, moments = on_first(lambda: _read_tensors(checkpoint, model, optimizer), world, local=True) or ({}, {})
        set_model_state_dict(model, weights, options=_SPREAD)
        set_optimizer_state_dict(model, optimizer, moments, options=_SPREAD)
    else:
        weights, moments = _read_tensors(checkpoint, model, optimizer)
        bare = unwrap(model)
        bare.load_state_dict(weights)
        optimizer.load_state_dict(_by_number(moments))
    if ema is not None:
        if "ema.safetensors" not in checkpoint.files:
            raise CheckpointError(f"{checkpoint.uri} holds no averaged weights: leave out train.ema_decay")
        with checkpoint.local("ema.safetensors") as path:
            ema.load_state_dict(load_tensors(path))
    return state


def newest_for_all(checkpointer: Checkpointer, world: World) -> Checkpoint | None:
    """The newest checkpoint that the first worker verified, the same on every worker."""
    step = on_first(lambda: getattr(checkpointer.newest(), "step", None), world)
    return None if step is None else checkpointer.at(step, verified=True)


def on_first(work: Callable[[], T], world: World, local: bool = False) -> T:
    """Run `work` on the first worker only; its result, or its CheckpointError, comes to all.

    local: the result is large and stays with the first worker (the others get None).
    """
    result, failure = None, None
    if world.rank == 0:
        try:
            result = work()
        except Exception as error:
            if world.size == 1:
                raise
            failure = str(error) or type(error).__name__
            if not isinstance(error, CheckpointError):
                failure = f"the first worker failed at its checkpoint: {type(error).__name__}: {failure}"
    if world.size == 1:
        return result  # type: ignore[return-value]
    sent, failure = broadcast_object((None if local else result, failure), world)
    if failure is not None:
        raise CheckpointError(failure)
    return result if local else sent  # type: ignore[return-value]


def _read_train_state(checkpoint: Checkpoint) -> TrainState:
    tree = checkpoint.read_json("state.json")
    known = {f.name for f in fields(TrainState)}
    if type(tree.get("step")) is not int:
        raise CheckpointError(f"{checkpoint.uri}/state.json names no step")
    return TrainState(**{key: value for key, value in tree.items() if key in known})


def _read_tensors(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Any]]:
    with checkpoint.local("model.safetensors") as path:
        weights = load_tensors(path)
    _check_fit(weights, unwrap(model), checkpoint.uri)
    with checkpoint.local("optimizer.pt") as path:
        moments = load_pickled(path)
    return weights, _fit_moments(moments, unwrap(model), optimizer, f"{checkpoint.uri}/optimizer.pt")


def _fit_moments(saved: Any, model: nn.Module, optimizer: torch.optim.Optimizer, where: str) -> dict[str, Any]:
    """The saved state of each parameter under the optimiser's own groups.

    Settings of groups are the recipe's, not the file's: `fused`, for one, differs between one process and shards.
    """
    try:
        known = {name for group in saved["param_groups"] for name in group["params"]}
        state = {name: dict(values) for name, values in saved["state"].items()}
    except (TypeError, KeyError, AttributeError, ValueError):
        raise CheckpointError(f"{where} holds no optimiser state") from None
    shapes = {name: p.shape for name, p in model.named_parameters()}
    own = _by_name(model, optimizer)["param_groups"]
    names = [name for group in own for name in group["params"]]
    for name in names:
        if name not in known:
            raise CheckpointError(f"{where} knows no parameter {name!r}: was it frozen then?")
        for key, value in state.get(name, {}).items():
            if isinstance(value, Tensor) and value.ndim and value.shape != shapes[name]:
                raise CheckpointError(
                    f"{where} does not fit: {key} of {name!r} has shape {tuple(value.shape)} there and "
                    f"{tuple(shapes[name])} in the model"
                )
    return {"state": {name: state[name] for name in names if name in state}, "param_groups": own}


def _check_fit(weights: dict[str, Tensor], model: nn.Module, uri: str) -> None:
    own = model.state_dict()
    for name in sorted(own.keys() ^ weights.keys()):
        where = "the checkpoint" if name in own else "the model"
        raise CheckpointError(f"{uri} does not fit {type(model).__name__}: {name!r} is missing in {where}")
    for name, value in own.items():
        if value.shape != weights[name].shape:
            raise CheckpointError(
                f"{uri} does not fit {type(model).__name__}: {name!r} has shape {tuple(weights[name].shape)} there "
                f"and {tuple(value.shape)} in the model"
            )


def _gather(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Whole tensors by name (on the first worker, where they are sharded) and the optimiser's state by name."""
    if is_sharded(model):
        return get_model_state_dict(model, options=_FULL), get_optimizer_state_dict(model, optimizer, options=_FULL)
    bare = unwrap(model)
    return bare.state_dict(), _by_name(bare, optimizer)


def _by_name(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """`optimizer.state_dict()` with names in place of numbers, as torch's distributed checkpoints have it."""
    names = {id(p): name for name, p in model.named_parameters()}
    state = {names[id(p)]: dict(values) for p, values in optimizer.state.items() if values}
    groups = []
    for group in optimizer.param_groups:
        kept = {key: value for key, value in group.items() if key != "params"}
        groups.append({**kept, "params": [names[id(p)] for p in group["params"]]})
    return {"state": state, "param_groups": groups}


def _by_number(moments: dict[str, Any]) -> dict[str, Any]:
    """The form that `optimizer.load_state_dict` takes: numbers, counted through the groups, in place of names."""
    numbers = {name: i for i, name in enumerate(n for group in moments["param_groups"] for n in group["params"])}
    groups = [{**group, "params": [numbers[name] for name in group["params"]]} for group in moments["param_groups"]]
    return {"state": {numbers[name]: values for name, values in moments["state"].items()}, "param_groups": groups}


def _bytes(tree: Any) -> int:
    if isinstance(tree, Tensor):
        return tree.numel() * tree.element_size()
    if isinstance(tree, dict):
        return sum(_bytes(value) for value in tree.values())
    return 0
