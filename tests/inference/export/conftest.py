"""Small models and the files that they are exported to, once for all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vidmodels import zoo
from vidmodels.inference.export import ExportReport, export_model

CLASSES = ["run", "jump", "sit"]


def small(name: str = "slow_tiny", **settings: Any) -> nn.Module:
    """A model in evaluation whose answers differ from clip to clip: batch norms have seen data."""
    torch.manual_seed(0)
    model = zoo.create_model(name, **settings)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.3)
    return model.eval()


@pytest.fixture(scope="session")
def slow() -> nn.Module:
    """Slow for 4 frames of 32 x 32, three classes."""
    return small(num_classes=3)


@pytest.fixture(scope="session", params=["onnx", "torch-export"])
def exported(request, slow, tmp_path_factory) -> ExportReport:
    """The report of an export in each format."""
    path = tmp_path_factory.mktemp("exported") / f"slow{'.onnx' if request.param == 'onnx' else '.pt2'}"
    return export_model(slow, path, request.param, about={"classes": CLASSES, "weights": {"file": "w.pyth"}}, rounds=3)


@pytest.fixture(scope="session")
def onnx_file(slow, tmp_path_factory) -> Path:
    """The model as ONNX, for batches of 2."""
    path = tmp_path_factory.mktemp("fixed") / "two.onnx"
    export_model(slow, path, "onnx", batch=2, rounds=1)
    return path
