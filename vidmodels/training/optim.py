"""Optimisers: which parameter gets which weight decay and learning rate, and the norm of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vidmodels.core.errors import ConfigError, did_you_mean
from vidmodels.core.recipe import OptimSection
from vidmodels.training.distributed import unwrap


def freeze(model: nn.Module, patterns: Iterable[str]) -> list[str]:
    """Stop the learning of all parameters whose names fit a pattern (fnmatch); returns their names.

    Raises ConfigError for a pattern that fits no parameter, or when nothing is left to learn.
    """
    names = [name for name, _ in model.named_parameters()]
    frozen: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits:
            # prefixes are offered as patterns, since `encoder.*` is what most users mean
            parts = {".".join(name.split(".")[:i]) + ".*" for name in names for i in range(1, name.count(".") + 1)}
            hint = did_you_mean(pattern, [*sorted(parts), *names])
            raise ConfigError(f"train.freeze {pattern!r} fits no parameter of {type(model).__name__}{hint}")
        frozen |= hits
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    if frozen and trainable <= frozen:
        raise ConfigError(f"train.freeze {list(patterns)} leaves no parameter of {type(model).__name__} to learn")
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return sorted(frozen)


def param_groups(model: nn.Module, optim: OptimSection) -> list[dict[str, Any]]:
    """Parameter groups of a model, each with `lr_scale`, `weight_decay`, `params` and their `names`.

    No weight decay on parameters of one dimension (norms, biases) and on those whose names fit a pattern (fnmatch) in
    `model.no_decay`. With `layer_decay` d < 1 a parameter of layer i gets the factor d^(top - i) on its learning rate
    (BEiT, appendix; `model.layer_id(name)` counts from 0, the stem, to top, the head). Frozen parameters are left out.
    """
    model = unwrap(model)
    no_decay: Iterable[str] = getattr(model, "no_decay", ())
    layer_id: Callable[[str], int] | None = getattr(model, "layer_id", None)  # type: ignore[assignment]
    layered = optim.layer_decay < 1
    if layered and layer_id is None:
        raise ConfigError(
            f"optim.layer_decay {optim.layer_decay} needs a model that numbers its layers, which "
            f"{type(model).__name__} does not: set it to 1"
        )
    # the largest number in use, frozen parameters included, so that the head's factor is 1 in any model
    top = max(layer_id(name) for name, _ in model.named_parameters()) if layered and layer_id else 0
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        spared = parameter.ndim <= 1 or any(fnmatchcase(name, pattern) for pattern in no_decay)
        decay = 0.0 if spared else optim.weight_decay
        scale = optim.layer_decay ** (top - layer_id(name)) if layered and layer_id else 1.0
        group = groups.setdefault((scale, decay), {"params": [], "names": [], "weight_decay": decay, "lr_scale": scale})
        group["params"].append(parameter)
        group["names"].append(name)
    if not groups:
        raise ConfigError(f"{type(model).__name__} has no parameter to learn: train.freeze covers all of them")
    return list(groups.values())


def build_optimizer(model: nn.Module, optim: OptimSection, peak_lr: float | None = None) -> torch.optim.Optimizer:
    """AdamW, SGD or LARS over `param_groups`, fused where torch has a fused step for all the parameters.

    peak_lr: learning rate at its peak (default `optim.lr`); a group's rate is that times its `lr_scale`.
    """
    rate = optim.lr if peak_lr is None else peak_lr
    groups = param_groups(model, optim)
    for group in groups:
        group["lr"] = rate * group["lr_scale"]
        del group["names"]
    parameters = [p for group in groups for p in group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    sharded = any(isinstance(p, DTensor) for p in parameters)
    if optim.name == "lars":
        return Lars(groups, rate, optim.betas[0], optim.nesterov, optim.trust)
    if optim.name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=optim.betas, fused=fused)
    # torch has no rule for the fused step of SGD on shards
    fused = fused and not sharded
    return torch.optim.SGD(groups, lr=rate, momentum=optim.betas[0], nesterov=optim.nesterov, fused=fused)


class Lars(torch.optim.SGD):
    """SGD whose gradient of each parameter of two or more dimensions is scaled to the size of its weights (You et al. 2017).

    g <- (g + d w) * trust * |w| / (|g| + d |w| + 1e-8) with the weight decay d, then momentum; no scale where either is zero.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float, nesterov: bool, trust: float) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov)
        self.trust = trust

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; the gradients are changed in place."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._scale(parameter, group["weight_decay"])
            group["weight_decay"] = 0.0  # it is in the gradient now
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays):
                group["weight_decay"] = decay
        return loss

    def _scale(self, parameter: Tensor, decay: float) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if parameter.ndim <= 1:
            gradient.add_(parameter, alpha=decay)
            return
        weight, size = parameter.norm(), gradient.norm()
        scale = self.trust * weight / (size + decay * weight + 1e-8)
        gradient.add_(parameter, alpha=decay).mul_(torch.where((weight > 0) & (size > 0), scale, 1.0))


def clip_gradients(model: nn.Module | Sequence[nn.Parameter], clip_norm: float | None) -> Tensor:
    """Scale the gradients so that their 2-norm over all parameters and shards is at most `clip_norm`.

    Returns the norm before clipping, a scalar on the device (no synchronisation); None measures only.
    """
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else list(model)
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.zeros((), device=parameters[0].device if parameters else None)
    norm = nn.utils.get_total_norm(grads)
    if isinstance(norm, DTensor):  # sharded gradients: the norm is a partial sum until it is gathered
        norm = norm.full_tensor()
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm.detach()
