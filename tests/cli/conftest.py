"""Videos, weights and a way to run commands, for the tests of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from vidmodels import zoo
from vidmodels.cli.main import main
from vidmodels.data.synthetic.encode import encode_mp4


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Runs `vidmodels WORDS` in this process: exit code, standard output, standard error."""

    def call(*words: str | Path) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Ran(code, *capsys.readouterr())

    return call


def frames(count: int, seed: int = 0, height: int = 32, width: int = 48) -> np.ndarray:
    """A noisy still that gets lighter, uint8 [T, H, W, 3]."""
    still = np.random.default_rng(seed).integers(0, 100, (height, width, 3))
    return np.stack([still + 3 * number for number in range(count)]).clip(0, 255).astype(np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """40 frames at 8 per second: 5 seconds."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(frames(40), 8))
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A classifier of three named classes that always says `jump`."""
    model = zoo.create_model("mae_st_vit_tiny", num_classes=3)
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data = torch.tensor([0.0, 2.0, 1.0])
    return zoo.save_weights(model, tmp_path / "three.safetensors", {"classes": ["run", "jump", "sit"]})
