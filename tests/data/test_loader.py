"""The local loader: the same batches with any number of processes, and a killer file is found and named."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tests.data.videos import write
from vidmodels.core.errors import RunError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.ledger import FileLedger
from vidmodels.data.loader import LocalLoader
from vidmodels.data.manifest import Manifest
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader


@dataclass(frozen=True)
class Mined(TrainReader):
    """A reader whose video `mine` kills the process that decodes it, except in a child of its own."""

    mine: str = "2"

    def read(self, number, apart=False):
        if self.id_of(number) == self.mine:
            if not apart:
                os.abort()
            return self.failed(number, "killed its decoder (signal 6)")
        return super().read(number, apart)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return Manifest.from_rows(
        [{"id": str(i), "uri": str(write(folder / f"{i}.mp4", 12, size=(32, 32))), "label": i} for i in range(6)]
    )


CLIP = ClipSection(num_frames=4, frame_stride=2, size=16)


def test_processes_do_not_change_the_batches(manifest, tmp_path):
    reader = TrainReader((manifest,), Order([6], seed=1), CLIP, 1)
    numbers = [range(first, first + 3) for first in range(0, 12, 3)]
    alone = list(LocalLoader(reader).batches(numbers))
    helped = list(LocalLoader(reader, FileLedger(tmp_path), 2).batches(numbers))
    assert len(alone) == len(helped) == 4
    for a, b in zip(alone, helped):
        assert torch.equal(a.clips, b.clips)
        assert a.clips.shape == (3, 1, 4, 16, 16, 3)
        assert a.ids == b.ids
        assert torch.equal(a.numbers, b.numbers)
        assert torch.equal(a.labels, b.labels)
        assert bool(a.valid.all())
    assert not list(tmp_path.iterdir())  # nothing is suspect after a good run


def test_a_file_that_kills_its_process_becomes_one_bad_row(manifest, tmp_path):
    order = Order([6], seed=1)
    numbers = [range(first, first + 3) for first in range(0, 12, 3)]
    batches = list(LocalLoader(Mined((manifest,), order, CLIP, 1), FileLedger(tmp_path), 2).batches(numbers))
    whole = list(LocalLoader(TrainReader((manifest,), order, CLIP, 1)).batches(numbers))
    assert len(batches) == 4
    bad = 0
    for batch, good in zip(batches, whole):
        assert batch.ids == good.ids
        for i, name in enumerate(batch.ids):
            if name == "2":
                bad += 1
                assert not batch.valid[i]
                assert "signal 6" in batch.errors["2"]
            else:
                assert batch.valid[i]
                assert torch.equal(batch.clips[i], good.clips[i])
    assert bad == 2


def test_crashes_are_counted(manifest):
    # without a ledger nobody knows the culprit, and the loader must not try for ever
    reader = Mined((manifest,), Order([6], seed=1), CLIP, 1)
    with pytest.raises(RunError, match="2 loader processes died"):
        list(LocalLoader(reader, None, 1, max_crashes=1).batches([range(3), range(3, 6)]))


def test_a_batch_whose_memory_went_with_its_process_is_read_again(manifest, tmp_path, monkeypatch):
    reader = TrainReader((manifest,), Order([6], seed=1), CLIP, 1)
    numbers = [range(first, first + 3) for first in range(0, 12, 3)]
    real, asked = LocalLoader._loader, []

    def dying(loader, numbers):
        asked.append(len(numbers))
        yield from list(real(loader, numbers))[: 1 if len(asked) == 1 else None]
        if len(asked) == 1:
            raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(LocalLoader, "_loader", dying)
    batches = list(LocalLoader(reader, FileLedger(tmp_path), 1).batches(numbers))
    assert asked == [4, 3]
    assert [batch.numbers.tolist() for batch in batches] == [list(part) for part in numbers]


def test_errors_of_the_program_are_not_taken_for_crashes(manifest):
    reader = TrainReader((manifest,), Order([6]), CLIP, 1)
    with pytest.raises(IndexError):
        list(LocalLoader(TrainReader((manifest,), Order([7]), CLIP, 1)).batches([list(range(7))]))
    assert np.isfinite(reader.order.epoch_length)
