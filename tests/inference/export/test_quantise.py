"""Models in 8-bit integers: what becomes integers, how they answer, and where the clips come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import frames
from tests.inference.export.conftest import small
from vidmodels.core.errors import ConfigError, MediaError
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference.export import ExportReport, export_model, open_exported, synthetic_calibration, video_calibration


@pytest.fixture(scope="module")
def quantised(tmp_path_factory) -> ExportReport:
    model = small("slowfast_tiny")
    path = tmp_path_factory.mktemp("int8") / "s.onnx"
    return export_model(model, path, "onnx", calibration=synthetic_calibration(model.input, 12), rounds=2)


def operations(path: Path) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in onnx.load(path).graph.node:
        found.setdefault(node.op_type, []).append(node)
    return found


def test_integers_are_smaller_and_answer_alike(quantised):
    eager, full, int8 = quantised.forms
    assert (eager.name, full.name, int8.name) == ("eager", "onnx", "int8")
    assert int8.size < 0.5 * full.size  # a quarter of the weights, and the graph
    assert int8.size == quantised.path.stat().st_size
    report = quantised.int8
    assert (report.clips, report.others) == (6, 6)
    assert min(report.agreement, report.agreement_others) >= 5 / 6
    assert 0 < report.error < 0.2
    assert quantised.error < 1e-5  # of the float file that it was made from
    assert open_exported(quantised.path).about["int8"] is True
    assert list(quantised.path.parent.iterdir()) == [quantised.path]


def test_convolutions_have_a_scale_for_each_channel_and_fixed_ranges(quantised):
    model = onnx.load(quantised.path)
    made_by = {output: node for node in model.graph.node for output in node.output}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    whole, narrow = 0, 0
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        weight = made_by.get(node.input[1])
        if weight is None:
            narrow += 1
            assert sizes[node.input[1]][1] < 8
            continue
        whole += 1
        assert weight.op_type == "DequantizeLinear"
        assert kinds[weight.input[0]] == onnx.TensorProto.INT8
        assert sizes[weight.input[1]] == sizes[weight.input[0]][:1]
    assert whole > 10
    assert narrow >= 2  # the stems, which see three colours
    assert "DynamicQuantizeLinear" not in operations(quantised.path)


def test_transformers_take_ranges_as_they_come(tmp_path):
    model = small("mae_st_vit_tiny")
    report = export_model(model, tmp_path / "v.onnx", "onnx", calibration=synthetic_calibration(model.input, 4), rounds=1)
    found = operations(report.path)
    assert len(found["MatMulInteger"]) == 4 * 4 + 2  # four linear layers a block, the patches and the head
    assert "MatMul" in found  # attention's products of two activations stay float
    assert report.int8.error < 0.2


def test_int8_is_for_onnx(slow, tmp_path):
    with pytest.raises(ConfigError, match="int8 is made for onnx, not for torch-export"):
        export_model(slow, tmp_path / "m.pt2", "torch-export", calibration=synthetic_calibration(slow.input, 2))


def test_int8_of_models_that_take_more_than_clips(tmp_path):
    model = small("avslowfast_tiny")
    with pytest.raises(ConfigError, match="int8 is calibrated with clips alone, and avslowfast_tiny also takes audio"):
        export_model(model, tmp_path / "m.onnx", "onnx", calibration=synthetic_calibration(model.input, 2))


def test_clips_of_videos_are_split_in_two(slow, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.mp4").write_bytes(encode_mp4(frames(40, seed=number), 8))
    made = video_calibration([str(tmp_path / "0.mp4"), str(tmp_path / "1.mp4")], slow.input, 8)
    assert made.clips.shape == made.others.shape == (4, 4, 32, 32, 3)
    assert made.clips.dtype == np.uint8
    assert made.source == "2 videos"
    assert made.clips[0].mean() < made.clips[1].mean() - 5  # the video gets lighter, from clip to clip
    # each half has clips of both videos
    assert [abs(made.clips[i].astype(int) - made.clips[j]).mean() > 15 for i, j in ((0, 2), (1, 3))] == [True, True]


def test_synthetic_clips_are_the_same_again(slow):
    a, b = synthetic_calibration(slow.input, 4), synthetic_calibration(slow.input, 4)
    assert np.array_equal(a.clips, b.clips)
    assert a.clips.shape == (2, 4, 32, 32, 3)
    assert not np.array_equal(a.clips, a.others)


def test_calibration_video_without_frames(slow, tmp_path):
    path = tmp_path / "empty.mp4"
    path.write_bytes(encode_mp4(frames(4), 8)[:200])
    with pytest.raises(MediaError, match=r"empty\.mp4"):
        video_calibration([str(path)], slow.input)


def test_sides_that_the_synthetic_world_has_not():
    model = small("slow_tiny", size=33)
    with pytest.raises(ConfigError, match="has no clips of 33 pixels, only of even sides from 16 on: give videos"):
        synthetic_calibration(model.input)
