"""The order is a bijection, an epoch shows every video once, and a position is one number."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from vidmodels.core.errors import DataError
from vidmodels.data.order import KeyedPermutation, Order, hash_key


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 1000])
def test_a_permutation_is_a_bijection(size):
    for key in range(3):
        permutation = KeyedPermutation(size, key)
        assert sorted(permutation(i) for i in range(size)) == list(range(size))


def test_permutations_differ_by_key_and_mix():
    first = [KeyedPermutation(1000, 1)(i) for i in range(1000)]
    assert first != [KeyedPermutation(1000, 2)(i) for i in range(1000)]
    assert sum(a == b for a, b in enumerate(first)) < 12
    with pytest.raises(IndexError):
        KeyedPermutation(5, 0)(5)
    with pytest.raises(DataError):
        KeyedPermutation(0, 0)


def test_a_hash_is_the_same_everywhere():
    assert hash_key(1, 2, 3) == hash_key(1, 2, 3) != hash_key(1, 3, 2)
    assert hash_key(0) == 0xE220A8397B1DCDAF  # first output of SplitMix64 from state 0


def test_each_epoch_shows_each_video_once_in_another_order():
    order = Order([50], seed=3)
    epochs = [[order(e * 50 + i).index for i in range(50)] for e in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [order(i).epoch for i in (0, 49, 50, 149)] == [0, 0, 1, 2]


def test_weights():
    order = Order([10, 20, 4], [1.0, 0.5, 2.0], seed=1)
    assert order.epoch_length == 10 + 10 + 8
    seen = Counter((p.source, p.index) for p in map(order, range(2 * order.epoch_length)))
    assert all(seen[0, i] == 2 for i in range(10))
    assert all(seen[1, i] == 1 for i in range(20))  # half of them in each epoch, all of them in two
    assert all(seen[2, i] == 4 for i in range(4))
    draws = {(p.source, p.index, p.draw) for p in map(order, range(2 * order.epoch_length))}
    assert len(draws) == 2 * order.epoch_length


def test_resuming_is_starting_at_a_number():
    order = Order([17, 5], seed=9)
    whole = [order(i) for i in range(100)]
    again = pickle.loads(pickle.dumps(order))
    assert [again(i) for i in range(40, 100)] == whole[40:]
