"""Published checkpoints of X3D: PySlowFast's, PyTorchVideo's (EfficientX3D too), Caffe2's, and our own."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vidmodels.backbones.x3d_weights import load_tensors
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load any published or own checkpoint into an X3D.

    allow: patterns of our keys that the file may lack or have in vain, such as head.* where the classes differ.
    Raises WeightsError.
    """
    state, metadata = read_state(path)
    return load_tensors(model, state, str(path), allow, metadata)
