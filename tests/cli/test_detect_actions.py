"""`vidmodels detect-actions` on a small video, boxes in a file and a tiny detector."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from vidmodels import zoo
from vidmodels.data.decode import VideoReader
from vidmodels.predictors import settings_of


@pytest.fixture
def weights(tmp_path):
    """A detector of three named classes that always says `jump`, with a probability of 0.88."""
    model = zoo.create_model("slow_r50_detection", width=8, depth=(1, 1, 1, 1), num_classes=3)
    torch.nn.init.zeros_(model.head.projection.weight)
    model.head.projection.bias.data = torch.tensor([-1.0, 2.0, -2.0])
    return zoo.save_weights(model, tmp_path / "detector.safetensors", {"classes": ["run", "jump", "sit"]})


@pytest.fixture
def boxes(tmp_path):
    """Two people in the video of 48 x 32 pixels and 5 s: one throughout, with a name, one at the end."""
    path = tmp_path / "boxes.csv"
    rows = [f"clip.mp4,{second}.5,2,2,20,30,anna" for second in range(5)] + [f"clip.mp4,{s}.5,30,4,46,28," for s in (3, 4)]
    path.write_text("\n".join(["video,time,x1,y1,x2,y2,person", *rows]) + "\n")
    return path


def test_a_table_of_who_does_what(run, video, weights, boxes):
    ran = run("detect-actions", weights, video, "--boxes", boxes)
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        [str(video)],
        ["person", "action", "from", "to", "score"],
        ["1", "anna", "jump", "0.00", "5.00", "0.8808"],
        ["2", "jump", "3.00", "5.00", "0.8808"],
    ]
    assert ", 0 resized, 0 new, 0 dropped" in ran.err


def rows_of(boxes):
    """The rows of the file as objects; a cell without a name is left out, or is nothing."""
    header, *lines = boxes.read_text().splitlines()
    names = header.split(",")
    records = [dict(zip(names, line.split(","))) for line in lines]
    return [
        {**record, **{name: float(record[name]) for name in names[1:6]}, "person": record["person"] or None}
        for record in records
    ]


def write_jsonl(rows, path):
    kept = ({key: value for key, value in row.items() if value is not None} for row in rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))


def write_parquet(rows, path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("b.jsonl", write_jsonl),
        ("b.parquet", write_parquet),
        ("b.json", lambda rows, path: path.write_text(json.dumps(rows))),
        ("B.CSV", None),
    ],
)
def test_boxes_in_every_format_give_the_same_answer(run, video, weights, boxes, tmp_path, name, write):
    path = tmp_path / name
    path.write_text(boxes.read_text()) if write is None else write(rows_of(boxes), path)
    expected = run("detect-actions", weights, video, "--boxes", boxes, "--json", "-")
    ran = run("detect-actions", weights, video, "--boxes", path, "--json", "-")
    assert (ran.code, ran.out) == (0, expected.out)
    assert [person["name"] for person in json.loads(ran.out)[0]["persons"]] == ["anna", None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.xlsx", "video", "boxes are read from .csv, .json, .jsonl and .parquet files: give one of these"),
        ("b.csv", "clip,0902,0.1,0.1,0.2,0.2,1,1", "b.csv, row 1: the first row must name the columns video, time, x1"),
        ("b.parquet", "video,time", "give a Parquet file with a row for each box"),
        ("b.jsonl", '{"video": "clip"', "b.jsonl, row 1: this is not JSON"),
    ],
)
def test_files_that_hold_no_boxes(run, video, weights, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    ran = run("detect-actions", weights, video, "--boxes", tmp_path / name)
    assert ran.code == 1
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_json_pictures_and_video(run, video, weights, boxes, tmp_path):
    out = tmp_path / "out"
    ran = run("detect-actions", weights, video, "--boxes", boxes, "--out", out, "--video", tmp_path / "seen.mp4", "--step", 2)
    assert ran.code == 0
    assert ran.out.splitlines()[-3:] == [f"  {out / 'clip.json'}", f"  {out / 'clip.png'}", f"  {tmp_path / 'seen.mp4'}"]
    saved = json.loads((out / "clip.json").read_text())
    assert saved["persons"][0]["name"] == "anna"
    assert [action["time"] for action in saved["persons"][0]["actions"]] == [0.5, 2.5, 4.5]
    assert (out / "clip.png").read_bytes()[1:4] == b"PNG"
    with VideoReader(str(tmp_path / "seen.mp4")) as reader:
        seen = list(reader)
    assert [time for time, _ in seen] == pytest.approx([n / 8 for n in range(40)], abs=1e-3)
    assert seen[0][1].shape == (32 * 13, 48 * 13, 3)


def test_json_on_standard_output_is_nothing_else(run, video, weights, boxes):
    ran = run("detect-actions", weights, video, "--boxes", boxes, "--json", "-", "--threshold", 0.9)
    (answer,) = json.loads(ran.out)
    assert answer["spans"] == []
    assert answer["classes"] == ["run", "jump", "sit"]


def test_several_videos_and_one_that_is_missing(run, video, weights, boxes, tmp_path):
    other = tmp_path / "more" / "clip.mp4"
    other.parent.mkdir()
    other.write_bytes(video.read_bytes())
    out = tmp_path / "out"
    videos = (video, tmp_path / "none.mp4", other)
    ran = run("detect-actions", weights, *videos, "--boxes", boxes, "--out", out, "--json", out / "a.json")
    assert ran.code == 1
    assert "there is no video at" in ran.err
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "clip.json", "clip.png", "clip_2.json", "clip_2.png"]
    assert [answer["video"] for answer in json.loads((out / "a.json").read_text())] == [
        str(video), str(other), str(tmp_path / "none.mp4"),
    ]  # fmt: skip


def test_shares_of_the_frame_and_labels(run, video, weights, tmp_path):
    path, labels = tmp_path / "b.jsonl", tmp_path / "map.pbtxt"
    path.write_text('{"video": "clip", "time": 1, "x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.9}\n')
    labels.write_text("\n".join(f'item {{ name: "action {n}" id: {n} }}' for n in range(1, 81)))
    ran = run("detect-actions", weights, video, "--boxes", path, "--normalised")
    assert ran.code == 0
    assert "jump" in ran.out
    ran = run("detect-actions", weights, video, "--boxes", path)
    assert ran.code == 1
    assert "all boxes lie within one pixel" in ran.err
    ran = run("detect-actions", weights, video, "--boxes", path, "--normalised", "--labels", labels)
    assert ran.code == 2
    assert "80 class names were given for the 3 classes" in ran.err


@pytest.mark.parametrize(
    ("rows", "message", "code"),
    [
        ("clip,1,30,2,20,30", r"row 2: the box (30, 2, 20, 30) is inverted", 1),
        ("clip,1,0,0,90,30", "row 2: the box (0, 0, 90, 30) lies outside of the 48x32 frame", 1),
        ("clip,9,0,0,20,30", "row 2: the key frame at 9 s is outside of", 1),
        ("other,1,0,0,20,30", "has no boxes of", 1),
        ("clip,1,0,0,20", "row 2: y2 is missing", 1),
    ],
)
def test_boxes_that_do_not_fit(run, video, weights, tmp_path, rows, message, code):
    path = tmp_path / "b.csv"
    path.write_text(f"video,time,x1,y1,x2,y2\n{rows}\n")
    ran = run("detect-actions", weights, video, "--boxes", path, "--out", tmp_path / "out")
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["{weights}", "{video}"], "required: --boxes", 2),
        (["{weights}", "{video}", "--boxes", "none.csv"], "there is no file 'none.csv'", 1),
        (["{weights}", "{video}", "{video}", "--boxes", "{boxes}", "--video", "o.mp4"], "is one file for 2 videos", 2),
        (["{weights}", "{video}", "--boxes", "{boxes}", "--video", "{video}"], "is the video itself", 2),
        (["{weights}", "{video}", "--boxes", "{boxes}", "--step", "0"], "0 is not above 0", 2),
        (["{weights}", "{video}", "--boxes", "{boxes}", "--threshold", "2"], "2 is not in 0..1", 2),
        (["mae_st_vit_tiny", "{video}", "--boxes", "{boxes}"], "is a model for classify and takes no boxes", 2),
        (["slow_r50_detectoin", "{video}", "--boxes", "{boxes}"], "did you mean 'slow_r50_detection'", 2),
    ],
)
def test_bad_words_are_one_clear_sentence(run, video, weights, boxes, words, message, code):
    ran = run("detect-actions", *(word.format(video=video, weights=weights, boxes=boxes) for word in words))
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_labels_give_the_number_of_classes():
    row = zoo.entry("slow_r50_detection")
    assert settings_of(row, {}, ["run", "jump"]) == {"num_classes": 2}


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom vidmodels.cli.main import main\n"
        "try:\n    main(['detect-actions', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'av', 'cv2', 'pyarrow', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
