"""Measuring two ways of doing the same thing, alternating in one run, so that both meet the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """A measured ratio with the spread of its pairs; `wanted`: the bound that the project sets itself, if any."""

    name: str
    value: float
    low: float
    high: float
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.name} ratio={self.value:.3f} (min {self.low:.3f} max {self.high:.3f})"


@dataclass(frozen=True)
class Figure:
    """A measured value that is no ratio; `wanted` as in Ratio."""

    name: str
    value: float
    unit: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g} {self.unit}"


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(
    first: Callable[[], float], second: Callable[[], float], rounds: int, begin: int = 0
) -> tuple[list[float], list[float]]:
    """Measurements of both sides in turn; which one comes first changes with each round, counted from `begin`."""
    a: list[float] = []
    b: list[float] = []
    for number in range(begin, begin + rounds):
        if number % 2:
            b.append(second())
            a.append(first())
        else:
            a.append(first())
            b.append(second())
    return a, b


def ratio(name: str, upper: list[float], lower: list[float], wanted: str = "") -> Ratio:
    """upper / lower, by the medians, with the spread over the pairs."""
    pairs = [u / v for u, v in zip(upper, lower)]
    return Ratio(name, statistics.median(upper) / statistics.median(lower), min(pairs), max(pairs), wanted)


def shown(label: str, values: list[float], unit: str = "s") -> None:
    """One line of a side's measurements."""
    print(f"  {label:<44} median {statistics.median(values):.4g} {unit}  ({min(values):.4g} .. {max(values):.4g})", flush=True)
