"""One row of a system's card: everything about a model that can be known without building it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Task = Literal["classify", "detect_actions", "pretrain_masked", "pretrain_features", "pretrain_contrastive"]


@dataclass(frozen=True)
class AudioSpec:
    """The sound that a model was made for: rows x mels of a log-mel spectrogram, values (x - mean) / std.

    sample_rate: in Hz; window, hop: samples that a row looks at, and between two rows.
    """

    sample_rate: int = 16000
    window: int = 512
    hop: int = 256
    mels: int = 80
    rows: int = 128
    mean: float = -7.03
    std: float = 4.66


@dataclass(frozen=True)
class InputSpec:
    """The input that a model was made for: B x 3 x num_frames x size x size, values (x/255 - mean) / std.

    test_size: side of the crops that it is tested on, where they are larger than those it was trained on. sampling: a window
    of the video at `frame_stride` (random), or one frame of each of as many equal parts of the whole video (segment, uniform).
    """

    num_frames: int
    frame_stride: int
    size: int
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
    fps: float | None = None  # None: strides count the video's own frames
    test_size: int | None = None
    audio: AudioSpec | None = None  # None: the model takes no sound
    sampling: Literal["random", "segment", "uniform"] = "random"

    @property
    def view_size(self) -> int:
        """Side of the crops in tests and predictions."""
        return self.test_size or self.size


@dataclass(frozen=True)
class ZooEntry:
    """A named model.

    builder: "module:function", called with `config` (and the caller's overrides) as keyword arguments.
    loader: "module:function", called with (model, path, allow) for weights files. recipes: names of functions in the
    system's `recipes.py`.
    params, macs: parameters and multiply-adds of one forward pass on one input; None where not fixed by a source.
    """

    name: str
    system: str
    builder: str
    loader: str
    task: Task
    input: InputSpec
    config: dict[str, Any] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()
    published: dict[str, str] = field(default_factory=dict)
    params: int | None = None
    macs: int | None = None
    formats: tuple[str, ...] = ()
    licence: str = ""
    summary: str = ""
