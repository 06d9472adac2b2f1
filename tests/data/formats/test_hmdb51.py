"""HMDB51: marks of the three splits, classes by the names of the lists."""

from __future__ import annotations

import pytest

from tests.data.formats.files import lay, write
from vidmodels.core.errors import DataError
from vidmodels.data.formats import load_manifest


@pytest.fixture
def splits(tmp_path):
    lay(tmp_path, "brush_hair/a.avi", "brush_hair/b.avi", "brush_hair/c.avi", "wave/d.avi", "wave/e.avi")
    write(tmp_path / "splits/brush_hair_test_split1.txt", "a.avi 1 \nb.avi 2 \nc.avi 0 \n")
    write(tmp_path / "splits/brush_hair_test_split2.txt", "a.avi 2\nb.avi 1\nc.avi 1\n")
    write(tmp_path / "splits/wave_test_split1.txt", "d.avi 1\ne.avi 2\ngone.avi 1\n")
    return str(tmp_path / "splits")


def ids(manifest):
    return [manifest.row(i).id for i in range(len(manifest))]


@pytest.mark.parametrize("format", ["auto", "hmdb51"])
def test_each_part_has_its_videos(splits, tmp_path, format):
    train = load_manifest(splits, format)
    assert ids(train) == ["brush_hair/a.avi", "wave/d.avi"]
    assert [train.row(i).label for i in range(2)] == [0, 1]
    assert (train.classes, train.missing) == (("brush_hair", "wave"), ("wave/gone.avi",))
    assert train.row(1).uri == f"{tmp_path}/wave/d.avi"
    assert ids(load_manifest(splits, format, split="test1")) == ["brush_hair/b.avi", "wave/e.avi"]
    assert ids(load_manifest(splits, format, split="train2")) == ["brush_hair/b.avi", "brush_hair/c.avi"]


def test_bad_splits(splits, tmp_path):
    with pytest.raises(DataError, match="the split 'val' is none of HMDB51's: choose one of train1, test1"):
        load_manifest(splits, split="val")
    with pytest.raises(DataError, match=r"holds no list CLASS_test_split3\.txt"):
        load_manifest(splits, split="test3")
    with pytest.raises(DataError, match=r"holds no list CLASS_test_split1\.txt"):
        load_manifest(str(tmp_path / "wave"), "hmdb51")
    write(tmp_path / "splits/wave_test_split1.txt", "d.avi 1\ne.avi 7\n")
    with pytest.raises(DataError, match=r"wave_test_split1\.txt, row 2: 'e\.avi 7' is no VIDEO\.avi with 0, 1 or 2"):
        load_manifest(splits)
    write(tmp_path / "splits/wave_test_split1.txt", "d.avi 0\n")
    write(tmp_path / "splits/brush_hair_test_split1.txt", "a.avi 0\n")
    with pytest.raises(DataError, match="lists no video"):
        load_manifest(splits)
