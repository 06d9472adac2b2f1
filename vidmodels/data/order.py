"""The order of the samples as arithmetic: a global sample number gives its epoch and its video, without any state.

A run's position is one integer k, so resuming is starting at k, at any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vidmodels.core.errors import DataError

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """SplitMix64's finaliser: a well-mixed 64-bit hash of an integer."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def hash_key(*parts: int) -> int:
    """A 64-bit hash of integers, the same on every machine."""
    key = 0
    for part in parts:
        key = _mix(key ^ (part & _MASK))
    return key


class KeyedPermutation:
    """A pseudo-random bijection of 0..size-1 computed one element at a time.

    A balanced Feistel network over the next even power of two, walked until the value lies in range (Black and
    Rogaway, "Ciphers with arbitrary finite domains", 2002); no table, so a billion videos cost no memory.
    """

    ROUNDS = 6

    def __init__(self, size: int, key: int) -> None:
        if size < 1:
            raise DataError(f"cannot order {size} samples: the data set is empty")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        self._keys = [hash_key(key, i) for i in range(self.ROUNDS)]

    def __call__(self, index: int) -> int:
        if not 0 <= index < self.size:
            raise IndexError(f"index {index} outside 0..{self.size - 1}")
        value = self._encrypt(index)
        while value >= self.size:
            value = self._encrypt(value)
        return value

    def _encrypt(self, value: int) -> int:
        half = self._half
        mask = (1 << half) - 1
        left, right = value >> half, value & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return (left << half) | right


@dataclass(frozen=True)
class Position:
    """Where a global sample number falls: pass `epoch`, video `index` of source `source`, its `draw`-th use."""

    epoch: int
    source: int
    index: int
    draw: int


class Order:
    """Maps global sample numbers 0, 1, 2 ... to videos of one or several weighted sources.

    sizes: videos of each source; weights: how often each video of a source comes per epoch (1: once).
    An epoch has `epoch_length` samples. Within a source no video comes again before all others came.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float] | None = None, seed: int = 0) -> None:
        weights = [1.0] * len(sizes) if weights is None else list(weights)
        if len(weights) != len(sizes):
            raise ValueError(f"{len(sizes)} sources but {len(weights)} weights")
        self.sizes = list(sizes)
        self.seed = seed
        self._shares = [max(1, round(size * weight)) for size, weight in zip(sizes, weights)]
        self.epoch_length = sum(self._shares)
        self._permutation = lru_cache(maxsize=64)(self._make_permutation)

    def _make_permutation(self, source: int, epoch: int) -> KeyedPermutation:
        size = self.epoch_length if source < 0 else self.sizes[source]
        return KeyedPermutation(size, hash_key(self.seed, source + 1, epoch))

    def __call__(self, number: int) -> Position:
        epoch, within = divmod(number, self.epoch_length)
        slot = self._permutation(-1, epoch)(within)
        source = 0
        while slot >= self._shares[source]:
            slot -= self._shares[source]
            source += 1
        draw, place = divmod(epoch * self._shares[source] + slot, self.sizes[source])
        return Position(epoch, source, self._permutation(source, draw)(place), draw)

    # lru_cache objects cannot be pickled: drop the cache when the order travels to a worker
    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != "_permutation"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._permutation = lru_cache(maxsize=64)(self._make_permutation)
