"""How transforms are put together: on one entry of a sample, some of several, or with a generator of their own.

C colours, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError, did_you_mean

Transform = Callable[[Any], Any]
Sample = dict[str, Any]


class ApplyTransformToKey(nn.Module):
    """A transform of one entry of a sample; the others stay as they are, and so does the given dict."""

    def __init__(self, key: str, transform: Transform) -> None:
        super().__init__()
        self.key, self.transform = key, transform

    def forward(self, sample: Mapping[str, Any]) -> Sample:
        return {**sample, self.key: self.transform(entry_of(sample, self.key))}


class RemoveKey(nn.Module):
    """A sample without one of its entries, whether it has it or not."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def forward(self, sample: Mapping[str, Any]) -> Sample:
        return {key: value for key, value in sample.items() if key != self.key}


class Permute(nn.Module):
    """A tensor with its dimensions in another order."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        if sorted(dims) != list(range(len(dims))):
            raise ConfigError(f"{tuple(dims)} is no order of dimensions: name each from 0 to {len(dims) - 1} once")
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != len(self.dims):
            raise ConfigError(f"a tensor of shape {tuple(x.shape)} cannot be permuted by {self.dims}: the lengths differ")
        return x.permute(self.dims)


def channels_last(video: Tensor) -> Tensor:
    """[C, T, H, W] as [T, H, W, C], a view."""
    return video.permute(1, 2, 3, 0)


def channels_first(video: Tensor) -> Tensor:
    """[T, H, W, C], as videos are decoded, as [C, T, H, W], a view."""
    return video.permute(3, 0, 1, 2)


class OpSampler(nn.Module):
    """Applies some of several transforms in the order in which they are drawn.

    weights: chances of the transforms (default: equal); count: how many are drawn, with or without replacement;
    random_count: instead a number from 1 to `count`, drawn anew each time.
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        weights: Sequence[float] | None = None,
        count: int = 1,
        replacement: bool = False,
        random_count: bool = False,
    ) -> None:
        super().__init__()
        self.transforms = list(transforms)
        chances = [1.0] * len(self.transforms) if weights is None else list(weights)
        if len(chances) != len(self.transforms):
            raise ConfigError(f"there are {len(self.transforms)} transforms but {len(chances)} weights: give one for each")
        if not chances or min(chances) < 0 or sum(chances) <= 0:
            raise ConfigError(f"the weights {chances} are no chances: give numbers from 0 up, one at least above it")
        possible = sum(chance > 0 for chance in chances)
        if count < 1 or (count > possible and not replacement):
            raise ConfigError(f"cannot draw {count} of {possible} transforms: give 1 to {possible}, or replacement=True")
        self.weights = torch.tensor(chances, dtype=torch.float32)
        self.count, self.replacement, self.random_count = count, replacement, random_count

    def forward(self, x: Any) -> Any:
        count = int(torch.randint(1, self.count + 1, ())) if self.random_count else self.count
        for i in torch.multinomial(self.weights, count, self.replacement).tolist():
            x = self.transforms[i](x)
        return x


class Seeded(nn.Module):
    """Any transform, torchvision's too, with its choices drawn from `generator` instead of torch's global one.

    The global generator is left as it was. Not for several threads at once: they share it.
    """

    def __init__(self, transform: Callable[..., Any], generator: torch.Generator) -> None:
        super().__init__()
        self.transform, self.generator = transform, generator

    def forward(self, *inputs: Any) -> Any:
        seed = int(torch.randint(2**62, (), generator=self.generator))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.transform(*inputs)


def entry_of(sample: Mapping[str, Any], key: str) -> Any:
    """One entry of a sample. Raises ConfigError where there is none."""
    if key not in sample:
        raise ConfigError(f"the sample has no {key!r}{did_you_mean(key, sample)}: it has {', '.join(map(str, sample))}")
    return sample[key]
