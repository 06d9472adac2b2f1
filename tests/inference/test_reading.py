"""What a server of sandboxes does before it forks is not left to its children."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from tests.data.videos import write

PROGRAM = """
import dataclasses, json, os, sys
from vidmodels.data.probe import UNTRUSTED
from vidmodels.inference import reading
reading.prepare()
before = set(sys.modules)
answers = []
for order in json.loads(sys.argv[1]):
    order |= {"name": "it", "limits": dataclasses.asdict(UNTRUSTED)}
    reading.obey(order, lambda header, *blocks: answers.append(header))
print(json.dumps([len(answers), sorted(set(sys.modules) - before), len(os.listdir("/proc/self/task")), "torch" in sys.modules]))
"""


def test_children_import_nothing_and_inherit_no_thread(tmp_path):
    import cv2

    video, picture = write(tmp_path / "clip.mp4", count=24, fps=12, size=(48, 64)), str(tmp_path / "picture.jpg")
    cv2.imwrite(picture, np.zeros((48, 64, 3), np.uint8))
    orders = [
        {"do": "picture", "uri": picture},
        {"do": "probe", "uri": str(video)},
        {"do": "frames", "uri": str(video), "size": 32, "batch": 24},
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(orders)], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == [4, [], 1, False]
