"""`vidmodels features` on small videos, data sets and tiny models: what is written, and what a stop leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import frames
from vidmodels import Predictor, zoo
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference import predictor as predictors

DIM = zoo.entry("mae_st_vit_tiny").config["dim"]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two folders of classes with two videos each."""
    for number, name in enumerate(("run/a", "run/b", "sit/a", "sit/b")):
        path = tmp_path / "classes" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_mp4(frames(20, seed=number), 8))
    return tmp_path / "classes"


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return zoo.save_weights(zoo.create_model("mae_st_vit_tiny_pretrain"), tmp_path / "encoder.safetensors")


def test_features_as_parquet(run, video, weights, tmp_path):
    long = tmp_path / "long.mp4"
    long.write_bytes(encode_mp4(frames(64, seed=1), 8))
    out = tmp_path / "f.parquet"
    ran = run("features", "mae_st_vit_tiny", video, tmp_path / "none.mp4", long, "--weights", weights, "--out", out)
    assert ran.code == 1
    table = pq.read_table(out)
    assert table.column_names == ["id", "start", "end", "vector"]
    assert table["id"].to_pylist() == [str(video)] * 3 + [str(long)] * 4
    assert table["start"].to_pylist() == [0, 2, 3, 0, 2, 4, 6]
    assert table["end"].to_pylist() == [2, 4, 5, 2, 4, 6, 8]
    vectors = np.array(table["vector"].to_pylist())
    assert vectors.shape == (7, DIM)
    assert np.abs(vectors[0] - vectors[3]).max() > 1e-3
    assert table.schema.metadata[b"vidmodels.model"] == b"mae_st_vit_tiny"


def test_features_of_a_pretrained_encoder(run, video, tmp_path):
    model = zoo.create_model("mae_st_vit_tiny_pretrain")
    path = zoo.save_weights(model, tmp_path / "pre.safetensors")
    out: Path = tmp_path / "f.parquet"
    for name in ("mae_st_vit_tiny_pretrain", "mae_st_vit_tiny"):
        assert run("features", name, video, "--weights", path, "--clips", 2, "--out", out).code == 0
        assert pq.read_table(out).num_rows == 2
    out.unlink()
    assert run("features", "mae_st_vit_tiny", tmp_path / "none.mp4", "--out", out).code == 1
    assert not out.exists()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("name", ["mae_st_vit_tiny_pretrain", "maskfeat_tiny_pretrain", "rho_byol_tiny", "slowfast_tiny"])
def test_every_encoder_gives_what_it_computes(run, video, tmp_path, name):
    model = zoo.create_model(name)
    path, out = zoo.save_weights(model, tmp_path / "run" / "model" / "model.safetensors"), tmp_path / "f.parquet"
    ran = run("features", path.parents[1], video, "--clips", 2, "--out", out)
    assert ran.code == 0, ran.err
    assert ran.out == f"{out}: 2 embeddings of 1 videos, {model.feature_dim} values each\n"
    expected = [each.vector for each in Predictor(model).features(video, 2)]
    np.testing.assert_allclose(np.array(pq.read_table(out)["vector"].to_pylist()), expected, rtol=1e-3, atol=1e-5)


def test_projection_of_a_contrastive_model(run, video, tmp_path):
    model = zoo.create_model("rho_simclr_tiny")
    path, out = zoo.save_weights(model, tmp_path / "rho.safetensors"), tmp_path / "f.parquet"
    assert run("features", path, video, "--projection", "--out", out).code == 0
    vectors = np.array(pq.read_table(out)["vector"].to_pylist())
    assert vectors.shape == (5, model.config.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert pq.read_schema(out).metadata[b"vidmodels.output"] == b"projection"


def test_digest_is_that_of_the_encoder_whatever_file_it_comes_from(run, video, encoder, tmp_path):
    digests = []
    for name in (("mae_st_vit_tiny_pretrain", "--weights", encoder), ("mae_st_vit_tiny", "--weights", encoder), (encoder,)):
        assert run("features", name[0], video, *name[1:], "--clips", 1, "--out", tmp_path / "f.parquet").code == 0
        digests.append(pq.read_schema(tmp_path / "f.parquet").metadata[b"vidmodels.digest"])
    other = zoo.save_weights(zoo.create_model("mae_st_vit_tiny_pretrain"), tmp_path / "other.safetensors")
    assert run("features", other, video, "--clips", 1, "--out", tmp_path / "f.parquet").code == 0
    assert len(set(digests)) == 1
    assert pq.read_schema(tmp_path / "f.parquet").metadata[b"vidmodels.digest"] != digests[0]


def test_data_set_brings_labels_and_names_what_cannot_be_read(run, classes, encoder, tmp_path):
    (classes / "sit" / "c.mp4").write_bytes(b"not a video")
    (classes / "sit" / "d.mp4").write_bytes(b"not a video")
    out = tmp_path / "f.parquet"
    ran = run("features", encoder, "--data", classes, "--clips", 2, "--out", out)
    assert ran.code == 1
    assert "2 of 6 videos could not be read" in ran.err
    assert str(classes / "sit" / "c.mp4") in ran.err
    table = pq.read_table(out)
    assert table["id"].to_pylist() == [n for n in ("run/a.mp4", "run/b.mp4", "sit/a.mp4", "sit/b.mp4") for _ in range(2)]
    assert table["label"].to_pylist() == ["run"] * 4 + ["sit"] * 4
    assert table["uri"].to_pylist()[-1] == str(classes / "sit" / "b.mp4")


def test_a_part_of_a_video_is_what_a_list_says(run, video, encoder, tmp_path):
    listed, out = tmp_path / "list.json", tmp_path / "f.parquet"
    listed.write_text(
        '[{"id": "x", "path": "clip.mp4", "start": 2.5, "end": 4.5}, {"id": "y", "path": "clip.mp4", "start": 9, "end": 10}]'
    )
    ran = run("features", encoder, "--data", listed, "--out", out)
    assert ran.code == 1
    assert "ends at 5.00 s, before the part from 9 s" in ran.err
    table = pq.read_table(out)
    assert [table[name].to_pylist() for name in ("id", "start", "end")] == [["x"], [2.5], [4.5]]
    expected = Predictor(zoo.load_model(encoder)[0]).features(video, stride=0.5)[5]
    assert expected.start == 2.5
    np.testing.assert_allclose(table["vector"].to_pylist()[0], expected.vector, rtol=1e-3, atol=1e-5)


def stopped_at(monkeypatch, number: int) -> list[str]:
    """Videos whose features were asked for; the command is interrupted at that number of them."""
    asked: list[str] = []
    original = predictors.Predictor.features

    def features(self, sample, *rest):
        asked.append(getattr(sample, "id", sample))
        if len(asked) == number:
            raise KeyboardInterrupt
        return original(self, sample, *rest)

    monkeypatch.setattr(predictors.Predictor, "features", features)
    return asked


def test_a_stopped_command_goes_on(run, classes, encoder, tmp_path, monkeypatch):
    words = ("features", encoder, "--data", classes, "--clips", 1, "--out")
    assert run(*words, tmp_path / "whole.parquet").code == 0
    out, journal = tmp_path / "f.parquet", tmp_path / ".f.parquet.partial"
    asked = stopped_at(monkeypatch, 3)
    ran = run(*words, out)
    assert ran.code == 130
    assert "2 of 4 videos are done: the same command goes on" in ran.err
    assert not out.exists()
    with open(journal, "ab") as file:  # as if it had been killed while it wrote
        file.write((10_000).to_bytes(8, "little") + b"half")
    ran = run(*words, out)
    assert ran.code == 0
    assert asked[3:] == ["sit/a.mp4", "sit/b.mp4"]
    assert "2 of 4 videos were done" in ran.out
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))
    assert not journal.exists()


def test_what_other_settings_left_is_not_gone_on_with(run, classes, encoder, tmp_path, monkeypatch):
    words = ("features", encoder, "--data", classes, "--out", tmp_path / "f.parquet", "--clips")
    stopped_at(monkeypatch, 3)
    assert run(*words, 1).code == 130
    ran = run(*words, 2)
    assert (ran.code, "were done" in ran.out) == (0, False)
    assert pq.read_table(tmp_path / "f.parquet").num_rows == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["slowfast_tiny_detector", "{video}"], "gives embeddings of boxes, not of videos"),
        (["{encoder}", "{video}", "--projection"], "has no projection, as contrastive models have"),
        (["{encoder}"], "give videos, or a data set with --data PATH"),
        (["{encoder}", "{video}", "--data", "{video}"], "give videos, or a data set with --data PATH"),
    ],
)
def test_bad_input_is_one_clear_sentence(run, video, encoder, tmp_path, words, message):
    ran = run("features", *(word.format(video=video, encoder=encoder) for word in words), "--out", tmp_path / "f.parquet")
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "f.parquet").exists()
