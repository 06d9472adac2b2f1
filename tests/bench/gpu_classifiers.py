"""Training of classifiers on a GPU: float32, bf16, channels last and compiled, each against the plain form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from tests.bench.gpu import mean_ms, tidy
from tests.bench.harness import Ratio, alternate, ratio, shown
from vidmodels import zoo
from vidmodels.core.recipe import TrainSection
from vidmodels.training.distributed import World, wrap

BATCHES = {"slowfast_r50_8x8": 16, "x3d_m": 32, "mvitv2_s_16x4": 16}
STEPS = 8
ROUNDS = 3


def gpu_train() -> list[Ratio]:
    """Forward, backward and an SGD step: plain float32 / bf16, then bf16 as `train.precision` and `train.compile` have it."""
    if not torch.cuda.is_available():
        print("  no GPU on this machine, nothing to measure")
        return []
    print(f"  {torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    return [found for name, batch in BATCHES.items() for found in _one(name, batch)]


def _one(name: str, batch: int) -> list[Ratio]:
    tidy()
    plain = _step(name, batch, bf16=False, own_layout=False)
    forms = {
        "bf16": _step(name, batch, own_layout=False),
        "bf16, as created": _step(name, batch),
        "bf16, as created, compiled": _step(name, batch, compiled=True),
    }
    found = []
    for form, work in forms.items():
        a, b = alternate(lambda: mean_ms(plain, STEPS), lambda work=work: mean_ms(work, STEPS), ROUNDS)  # type: ignore[misc]
        shown(f"{name}, batch {batch}: float32, default layout", [1000 * batch / ms for ms in a], "clips/s")
        shown(f"{name}, batch {batch}: {form}", [1000 * batch / ms for ms in b], "clips/s")
        found.append(ratio(f"gpu_train_{name} ({form})", a, b))
    return found


def _step(name: str, batch: int, bf16: bool = True, own_layout: bool = True, compiled: bool = False) -> Callable[[], None]:
    """own_layout: channels last for ConvNets, as the zoo creates them; else torch's default."""
    torch.manual_seed(0)
    created = zoo.create_model(name)
    if not own_layout:
        created = created.to(memory_format=torch.contiguous_format)
    spec = created.input
    model = wrap(created.to("cuda"), TrainSection(compile=compiled), World(device=torch.device("cuda", 0)))
    clips = torch.randn(batch, 3, spec.num_frames, spec.size, spec.size, device="cuda")
    if own_layout and getattr(created, "memory_format", None) == torch.channels_last_3d:
        clips = clips.to(memory_format=torch.channels_last_3d)
    labels = torch.arange(batch, device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def work() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            logits = model(clips)
        functional.cross_entropy(logits.float(), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work
