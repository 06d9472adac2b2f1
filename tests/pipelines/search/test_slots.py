"""How many trials a cluster has room for."""

from __future__ import annotations

import pytest

from pipelines.common.search.slots import own_resources, room_for, slots
from vidmodels.core.errors import RunError
from vidmodels.core.recipe import RunSection

LOCAL = RunSection(backend="local", decoders=0)
RAY = RunSection(backend="ray", num_workers=2, decoders=1)


def test_a_local_trial_owns_what_it_trains_with():
    run = LOCAL.replace(cpus_per_worker=2, decoders=1, gpus_per_worker=0.25)
    assert own_resources(run) == {"CPU": 3.0, "GPU": 0.25}
    assert room_for(run, [{"CPU": 64, "GPU": 1}]) == 4
    assert room_for(LOCAL, [{"CPU": 4}, {"CPU": 2}]) == 6


def test_the_workers_inside_a_trial_are_counted_or_it_would_wait_for_ever():
    assert own_resources(RAY) == {"CPU": 0.1}
    assert room_for(RAY, [{"CPU": 3}]) == 0, "two workers and a decoder leave nothing for the driver"
    assert room_for(RAY, [{"CPU": 4}]) == 1
    assert room_for(RAY, [{"CPU": 62}]) == 20
    assert room_for(RAY.replace(gpus_per_worker=0.5), [{"CPU": 64, "GPU": 2}]) == 2


def test_a_part_has_to_fit_a_node():
    run = LOCAL.replace(cpus_per_worker=4)
    assert room_for(run, [{"CPU": 3}, {"CPU": 3}]) == 0
    assert room_for(run, [{"CPU": 3}, {"CPU": 9}]) == 2


def test_a_cluster_that_is_too_small_is_one_sentence():
    with pytest.raises(
        RunError, match=r"^a trial needs 3\.1 CPU and 0 GPU, .* the cluster's nodes \(1\) have 2 and 0: ask for less"
    ):
        slots(RAY, [{"CPU": 2}], None)
    with pytest.raises(RunError, match=r"^5 trials at once need 5 CPU"):
        slots(LOCAL, [{"CPU": 4}], 5)
    assert slots(LOCAL, [{"CPU": 4}], None) == 4
    assert slots(LOCAL, [{"CPU": 4}], 3) == 3
