"""Parameters and multiply-adds of the published models: the source's figure, the card's, and what a forward pass has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.systems.avslowfast import test_counts as avslowfast
from tests.systems.mae_st.parts import shapes_only
from tests.systems.mvit import test_counts as mvit
from tests.systems.mvitv2 import test_counts as mvitv2
from tests.systems.pytorchvideo import test_counts as pytorchvideo
from tests.systems.slowfast import test_counts as slowfast
from tests.systems.x3d import test_counts as x3d
from vidmodels import zoo

WITHIN = 0.005
NORM_OPERATIONS = 5
"""For each value that a norm sees, in the tables that count norms."""


@dataclass(frozen=True)
class Published:
    """A row of a source: multiply-adds in 10^9 of one view of `size` pixels.

    norms: the source counts norms too; beside: multiply-adds of what the source runs and ours skips at test.
    """

    name: str
    params: int | None
    giga: float
    size: int
    norms: bool = False
    beside: int = 0


def published() -> Iterator[Published]:
    """All rows, each at the size of its training crop or, where the source has only that, of its test crop."""
    for name, (params, at_train, _) in {**slowfast.PUBLISHED, **x3d.PUBLISHED}.items():
        yield Published(name, params, at_train, zoo.entry(name).input.size)
    for tables in (mvit, mvitv2):
        for name, giga in tables.MULTIPLY_ADDS.items():
            yield Published(name, tables.PARAMETERS.get(name), giga, zoo.entry(name).input.size)
    for name, giga in mvitv2.WITH_NORMS.items():
        yield Published(name, mvitv2.PARAMETERS.get(name), giga, zoo.entry(name).input.size, norms=True)
    for name, (params, giga) in pytorchvideo.PUBLISHED.items():
        yield Published(name, params, giga, 256, norms=True)
    for name, (params, _, giga, _) in avslowfast.PUBLISHED.items():
        last = avslowfast.of_the_last_comparison(shapes_only(name), 224)
        yield Published(name, params, giga, 224, beside=last)


def table() -> int:
    """Print all rows; the number of those that miss."""
    print(f"  {'':30}{'parameters':>38}{'multiply-adds, G':>36}")
    print(f"  {'model, pixels':30}{'published':>13}{'zoo':>13}{'ours':>12}{'published':>12}{'zoo':>12}{'ours':>12}")
    return sum(_row(row) for row in published())


def _row(row: Published) -> bool:
    """Print one row; whether it misses: parameters exact, multiply-adds within half a per cent, the card exact."""
    entry, model = zoo.entry(row.name), shapes_only(row.name)
    params = sum(p.numel() for p in model.parameters())
    own, compared = multiply_adds(model, entry.input.size), multiply_adds(model, row.size, row.norms) + row.beside
    missed = [
        *(["parameters"] if row.params not in (None, params) else []),
        *(["card"] if (entry.params, entry.macs) != (params, own) else []),
        *(["multiply-adds"] if abs(compared / 1e9 / row.giga - 1) > WITHIN else []),
    ]
    notes = [*(["norms counted"] if row.norms else []), *(["with what only training needs"] if row.beside else [])]
    notes += [f"MISS: {each}" for each in missed]
    zoo_macs = f"{(entry.macs or 0) / 1e9:.3f}" if row.size == entry.input.size else "-"
    print(
        f"  {f'{row.name} {row.size}':30}{row.params or '-':>13}{entry.params:>13}{params:>12}{row.giga:>12.4g}{zoo_macs:>12}"
        f"{compared / 1e9:>12.3f}  {', '.join(notes)}",
        flush=True,
    )
    return bool(missed)


def multiply_adds(model: nn.Module, size: int, norms: bool = False) -> int:
    """Of matrix products and convolutions on one clip (and of norms), found by shapes alone."""
    seen: list[int] = []
    kinds = (nn.LayerNorm, nn.BatchNorm3d)
    hooks = [
        part.register_forward_hook(lambda _part, _inputs, out: seen.append(out.numel()))
        for part in model.modules()
        if norms and isinstance(part, kinds)
    ]
    spec, counter = model.input, FlopCounterMode(display=False)
    inputs = [torch.empty(1, 3, spec.num_frames, size, size, device="meta")]
    if spec.audio is not None:
        inputs.append(torch.empty(1, 1, spec.audio.rows, spec.audio.mels, device="meta"))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() // 2 + NORM_OPERATIONS * sum(seen)
