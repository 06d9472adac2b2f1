"""The stepwise expansion by which X3D was found (section 3.2): what each of six axes proposes, and how the last step shrinks.

Arithmetic on costs alone: nothing is trained here, and with the costs of `complexity` nothing is computed either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vidmodels.backbones.x3d import X3DConfig
from vidmodels.core.errors import ConfigError
from vidmodels.systems.x3d.complexity import Complexity, complexity

AXES = ("fast", "temporal", "spatial", "depth", "width", "bottleneck")
NEAR = 0.1
"""How far a step may be from the rate and still count as reached."""


@dataclass(frozen=True)
class Point:
    """A network and the clips that it sees: the six quantities that the axes expand.

    frames: of a clip; duration: what they span, in frames of the video; stride: between two of them, the duration's share as a
    whole number; size: side of the crop in pixels; depth, width, bottleneck: the factors of X3DConfig.
    """

    frames: int
    duration: float
    stride: int
    size: int
    depth: float
    width: float
    bottleneck: float

    @property
    def settings(self) -> dict[str, float]:
        """The factors as the builder takes them."""
        return {"depth_factor": self.depth, "width_factor": self.width, "bottleneck_factor": self.bottleneck}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


Cost = Callable[[Point], float]


@dataclass(frozen=True)
class Notches:
    """The smallest amounts by which the axes move, and what bounds them.

    size: pixels; width, bottleneck: of their factors; base_depths: a depth moves by the next block of any stage; length: frames
    of the shortest video, which no clip may exceed.
    """

    size: int = 8
    width: float = 0.1
    bottleneck: float = 0.25
    base_depths: tuple[int, ...] = X3DConfig().base_depths
    length: float = math.inf

    def move(self, point: Point, axis: str, notches: int) -> Point | None:
        """The point so many notches further along an axis; None beyond its end."""
        if axis in ("fast", "temporal"):
            return self._more_frames(point, point.frames + notches, axis == "temporal")
        if axis == "spatial":
            return replace(point, size=(point.size // self.size + notches) * self.size)
        if axis == "depth":
            return replace(point, depth=self._deeper(point.depth, notches))
        step = getattr(self, axis)
        return replace(point, **{axis: round(getattr(point, axis) + notches * step, 6)})

    def _more_frames(self, point: Point, frames: int, longer: bool) -> Point | None:
        """More frames of the same time (X-Fast), or (X-Temporal) both of a longer time and of a higher rate."""
        duration = point.duration * math.sqrt(frames / point.frames) if longer else point.duration
        if frames > duration or duration > self.length * (1 + 1e-9):
            return None
        stride = max(1, round(duration / frames))
        if frames * stride > self.length:
            stride = int(self.length // frames)
        return replace(point, frames=frames, duration=duration, stride=stride)

    def _deeper(self, depth: float, notches: int) -> float:
        """The factor at which, depths being rounded up, so many more networks have come: 11/5 stands for all above 2."""
        for _ in range(notches):
            depth = min((math.floor(depth * blocks + 1e-6) + 1) / blocks for blocks in self.base_depths)
        return round(depth, 6)


@dataclass(frozen=True)
class Proposal:
    """What an axis offers for a step. ratio: its cost over that of the point before; near: within a tenth of the rate."""

    axis: str
    point: Point
    cost: float
    ratio: float
    near: bool


def meta_cost(of: str, **settings: Any) -> Cost:
    """The cost `macs` or `params` of points, from shapes alone. settings: of the builder, the same for all points."""

    def cost(point: Point) -> float:
        return float(getattr(point_complexity(point, **settings), of))

    return cost


def point_complexity(point: Point, **settings: Any) -> Complexity:
    """Parameters and multiply-adds of a point. Raises ConfigError for settings that cannot be."""
    return complexity(point.frames, point.size, **{**settings, **point.settings})


def propose(point: Point, axis: str, cost: Cost, rate: float, notches: Notches) -> Proposal | None:
    """The step along an axis whose cost is nearest to `rate` times the point's, as a ratio; None where it costs nothing more.

    cost must not fall along an axis. Where no amount is near the rate, the nearest is proposed, with its true ratio.
    """
    now = cost(point)
    far = _first_beyond(point, axis, cost, rate * now, notches)
    found = [(other, cost(other)) for n in (far - 1, far) if n > 0 and (other := notches.move(point, axis, n)) is not None]
    dearer = [(other, costs) for other, costs in found if costs > now]
    if not dearer:
        return None
    best, costs = min(dearer, key=lambda each: (abs(math.log(each[1] / (rate * now))), each[1]))
    return Proposal(axis, best, costs, costs / now, abs(costs / now / rate - 1) <= NEAR)


def proposals(point: Point, axes: Sequence[str], cost: Cost, rate: float, notches: Notches) -> list[Proposal]:
    """The candidates of a step, at most one for each axis."""
    return [found for axis in axes if (found := propose(point, axis, cost, rate, notches)) is not None]


def contract(before: Point, after: Point, axis: str, cost: Cost, target: float, notches: Notches) -> Point:
    """The last step `before` -> `after` along its axis, shrunk until the target is kept (backward contraction)."""
    if cost(after) <= target:
        return after
    low, high = 0, 1
    while notches.move(before, axis, high) not in (after, None):
        high += 1
    while high - low > 1:  # `low` keeps the target, `high` does not
        middle = (low + high) // 2
        point = notches.move(before, axis, middle)
        if point is not None and cost(point) <= target:
            low = middle
        else:
            high = middle
    return (notches.move(before, axis, low) if low else None) or before


def check_target(base: Point, axes: Sequence[str], cost: Cost, target: float, unit: str, notches: Notches) -> None:
    """Raises ConfigError for a target below the base network's cost, or one that the axes cannot reach together."""
    start = cost(base)
    if target <= start:
        raise ConfigError(f"the target of {target:.4g} {unit} is not above the base network, which has {start:.4g}: raise it")
    largest = base
    for axis in axes:
        far = _first_beyond(largest, axis, cost, target, notches)
        point = notches.move(largest, axis, far) or (notches.move(largest, axis, far - 1) if far > 1 else largest)
        largest = point or largest
        if cost(largest) >= target:
            return
    raise ConfigError(
        f"the target of {target:.4g} {unit} cannot be reached along {', '.join(axes)}: all at their ends have "
        f"{cost(largest):.4g}; lower the target, or add an axis"
    )


def _first_beyond(point: Point, axis: str, cost: Cost, wanted: float, notches: Notches) -> int:
    """The smallest number of notches whose cost is `wanted` or more, or that is beyond the end of the axis.

    1 where the cost does not depend on the axis, as parameters do not depend on frames.
    """

    def beyond(number: int) -> bool:
        other = notches.move(point, axis, number)
        return other is None or cost(other) >= wanted

    now, high = cost(point), 1
    while not beyond(high):
        if high >= 64 and cost(notches.move(point, axis, high) or point) <= now:
            return 1
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high
