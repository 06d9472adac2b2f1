"""The steps of the expansion: the published path, the ends of the axes, and targets that cannot be."""

from __future__ import annotations

import functools
import math

import pytest

from tests.systems.x3d.test_counts import PATH
from vidmodels.core.errors import ConfigError
from vidmodels.systems.x3d.expansion import (
    AXES,
    Notches,
    Point,
    check_target,
    contract,
    meta_cost,
    point_complexity,
    proposals,
    propose,
)

X2D = Point(frames=1, duration=48, stride=48, size=112, depth=1.0, width=2.0, bottleneck=1.0)
MACS = functools.cache(meta_cost("macs"))
PARAMS = functools.cache(meta_cost("params"))
# the order is inferred from the published members; the amounts are what is to be found
ORDER = ("bottleneck", "fast", "fast", "spatial", "depth", "fast", "temporal", "spatial", "depth", "spatial")


def product(point: Point) -> float:
    """A cost that can be followed by hand."""
    return point.frames * point.size**2 * point.depth * point.width**2 * point.bottleneck


def test_the_published_path_is_found():
    point = X2D
    for axis, ((frames, size, factors), (params, giga)) in zip(ORDER, PATH[1:], strict=True):
        found = propose(point, axis, MACS, 2.0, Notches())
        assert found is not None
        assert found.near
        point = found.point
        assert (point.frames, point.size) == (frames, size)
        assert (point.depth, point.width, point.bottleneck) == (factors.get("depth_factor", 2.2), 2.0, 2.25)
        assert point_complexity(point).params == params
        digits = len(f"{giga}".partition(".")[2])
        assert f"{found.cost / 1e9:.{digits}f}" == f"{giga:.{digits}f}"


def test_xl_is_a_step_of_width_from_l():
    large = Point(frames=16, duration=80, stride=5, size=312, depth=5.0, width=2.0, bottleneck=2.25)
    found = propose(large, "width", MACS, 2.0, Notches())
    assert found is not None
    assert found.point.width == 2.9
    assert found.cost == pytest.approx(35.84e9, rel=1e-3)
    assert point_complexity(found.point).params == 11_095_904


def test_s_is_sixteen_frames_contracted_to_a_target_of_two_giga():
    eight = Point(frames=8, duration=48, stride=6, size=160, depth=2.2, width=2.0, bottleneck=2.25)
    step = propose(eight, "fast", MACS, 2.0, Notches())
    assert step is not None
    assert (step.point.frames, f"{step.cost / 1e9:.3f}") == (16, "2.415")
    shrunk = contract(eight, step.point, "fast", MACS, 2e9, Notches())
    assert (shrunk.frames, f"{MACS(shrunk) / 1e9:.3f}") == (13, "1.963")
    assert (shrunk.size, shrunk.depth, shrunk.width, shrunk.bottleneck) == (160, 2.2, 2.0, 2.25), "only the last axis shrinks"
    assert contract(eight, step.point, "fast", MACS, 2.5e9, Notches()) == step.point
    assert contract(eight, step.point, "fast", MACS, 1.21e9, Notches()) == eight, "no amount of the step keeps the target"


def test_every_axis_of_x2d_offers_about_twice_its_cost():
    offered = proposals(X2D, AXES, MACS, 2.0, Notches())
    assert [each.axis for each in offered] == list(AXES)
    assert all(each.near and each.ratio == each.cost / MACS(X2D) for each in offered)


def test_fast_keeps_the_time_and_temporal_extends_it():
    point = Point(frames=4, duration=32, stride=8, size=32, depth=1.0, width=1.0, bottleneck=1.0)
    fast, temporal = (propose(point, axis, product, 2.0, Notches(length=64)) for axis in ("fast", "temporal"))
    assert fast is not None
    assert temporal is not None
    assert (fast.point.frames, fast.point.stride, fast.point.duration) == (8, 4, 32)
    assert (temporal.point.frames, temporal.point.stride) == (8, 6)
    assert temporal.point.duration == pytest.approx(32 * math.sqrt(2))


@pytest.mark.parametrize("length", [16, 20, 29])
def test_clips_stay_within_the_video(length):
    point = Point(frames=2, duration=12, stride=6, size=32, depth=1.0, width=1.0, bottleneck=1.0)
    for axis in ("fast", "temporal"):
        frames = 1
        while (longer := Notches(length=length).move(point, axis, frames)) is not None:
            assert longer.frames * longer.stride <= length
            frames += 1
        assert frames > 1, "there was something to check"


def test_where_the_rate_is_out_of_reach_the_nearest_amount_is_offered_with_its_ratio():
    point = Point(frames=12, duration=16, stride=1, size=32, depth=1.0, width=1.0, bottleneck=1.0)
    found = propose(point, "fast", product, 2.0, Notches(length=16))
    assert found is not None
    assert (found.point.frames, found.near) == (16, False)
    assert found.ratio == pytest.approx(16 / 12)
    assert propose(found.point, "fast", product, 2.0, Notches(length=16)) is None, "the axis is at its end"


def test_an_axis_that_costs_nothing_offers_nothing():
    assert propose(X2D, "spatial", PARAMS, 2.0, Notches()) is None
    assert propose(X2D, "fast", PARAMS, 2.0, Notches()) is None


def test_sizes_depths_and_factors_move_by_whole_notches():
    notches = Notches(size=16)
    moved = [notches.move(X2D, axis, 1) for axis in ("spatial", "depth", "width", "bottleneck")]
    assert [point and (point.size, point.depth, point.width, point.bottleneck) for point in moved] == [
        (128, 1.0, 2.0, 1.0), (112, 1.2, 2.0, 1.0), (112, 1.0, 2.1, 1.0), (112, 1.0, 2.0, 1.25),
    ]  # fmt: skip
    depths = [notches.move(X2D, "depth", n) for n in range(1, 9)]
    assert [round(point.depth, 3) for point in depths if point] == [1.2, 1.333, 1.4, 1.5, 1.6, 1.667, 1.8, 2.0]


def test_targets_that_cannot_be_are_one_sentence():
    with pytest.raises(
        ConfigError, match=r"^the target of 1e\+07 macs is not above the base network, which has 2\.066e\+07: raise"
    ):
        check_target(X2D, AXES, MACS, 1e7, "macs", Notches())
    with pytest.raises(
        ConfigError, match=r"cannot be reached along fast: all at their ends have 3\.121e\+08; lower the target"
    ):
        check_target(Point(1, 16, 16, 112, 1.0, 2.0, 1.0), ["fast"], MACS, 1e9, "macs", Notches(length=16))
    with pytest.raises(ConfigError, match="cannot be reached along spatial"):
        check_target(X2D, ["spatial"], PARAMS, 1e7, "params", Notches())
    check_target(X2D, AXES, MACS, 6e8, "macs", Notches())
