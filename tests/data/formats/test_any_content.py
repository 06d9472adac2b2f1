"""Whatever a list holds, it is read or refused in one sentence that names it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.data.formats.files import lay
from vidmodels.core.errors import DataError
from vidmodels.data.formats import _READERS, load_manifest

LISTS = sorted(name for name, format in _READERS.items() if format.of == "file" and name != "parquet")
HEADS = (
    "",
    "original_vido_id video_id frame_id path labels\n",
    "id,actions\n",
    "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class\n",
    "youtube_id,time_start,time_end,label\n",
)
TEXT = st.text(alphabet='ac01c.mp4:;, \t"-\n\r²٣{}[]/', max_size=80)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.sampled_from(["a.mp4", "x", ""]))
KEYS = st.sampled_from(["path", "label", "labels", "start", "end", "id", "template", "videos", "video_uid", "clips", "clip_uid",
                        "annotations", "benchmarks", "forecasting_hands_objects"])  # fmt: skip
TREES = st.recursive(
    LEAF, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=12
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    lay(folder, "a.mp4", "0.webm")
    (folder / "labels.json").write_text('["x", "y"]')
    (folder / "classInd.txt").write_text("1 a\n2 c\n")
    return folder


def refused(path, format, **settings):
    said = ""
    try:
        load_manifest(str(path), format, **settings)
    except DataError as error:  # any other error fails the test
        said = str(error)
    assert not said or (str(path) in said and "\n" not in said)


@pytest.mark.parametrize("format", ["auto", *LISTS])
@settings(max_examples=60, deadline=None)
@given(head=st.sampled_from(HEADS), rest=TEXT, fps=st.sampled_from([None, 24.0]))
@example(head="", rest='a.mp4 a\n",', fps=None)
def test_texts(folder, format, head, rest, fps):
    path = folder / "any.csv"
    path.write_text(head + rest)
    refused(path, format, fps=fps)


@pytest.mark.parametrize("format", ["auto", "json", "ssv2", "ego4d_moments"])
@settings(max_examples=150, deadline=None)
@given(tree=TREES)
def test_trees(folder, format, tree):
    path = folder / "any.json"
    path.write_text(json.dumps(tree))
    refused(path, format)
