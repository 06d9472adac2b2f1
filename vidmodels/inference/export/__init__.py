"""Models as files that run without this package: ONNX and torch.export programs, in float and in int8."""

from vidmodels.inference.export.calibrate import Calibration, synthetic_calibration, video_calibration
from vidmodels.inference.export.exporting import export_model
from vidmodels.inference.export.files import ExportedModel, is_exported, open_exported
from vidmodels.inference.export.report import ExportReport

__all__ = [
    "Calibration",
    "ExportReport",
    "ExportedModel",
    "export_model",
    "is_exported",
    "open_exported",
    "synthetic_calibration",
    "video_calibration",
]
