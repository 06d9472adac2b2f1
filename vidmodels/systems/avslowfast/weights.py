"""Checkpoints of AVSlowFast: the two public codes' formats, and those of SlowFast as a start for the pathways that see.

Nobody has published weights of an audiovisual SlowFast: files come from users' own runs of those codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones import resnet3d_weights as tables
from vidmodels.backbones.avslowfast import LEVELS
from vidmodels.backbones.resnet3d_weights import BN
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Drop, Format, Rule

_SLOW, _FAST, _LATERALS = "backbone.slow.", "backbone.fast.", "backbone.laterals."
_AUDIO, _AUDIO_LATERALS = "backbone.audio.", "backbone.audio_laterals."
_MULTI = r"multipathway_blocks\.{}\."
_CONVS = 4  # more convolutions in a row are in no lateral connection
_BN = rf"(?:bn\.)?{BN}"  # nested where statistics were kept for parts of a batch


def _pyslowfast_audio() -> tuple[Rule, ...]:
    """The authors' keys of the Audio pathway."""
    at, to = r"s([2-5])\.pathway2_res(\d+)\.", f"{_AUDIO}res{{0}}.{{1}}."
    rules = [
        Rule(r"s1\.pathway2_stem\.conv_t\.weight", f"{_AUDIO}stem.conv_t.weight"),
        Rule(r"s1\.pathway2_stem\.conv_f\.weight", f"{_AUDIO}stem.conv_m.weight"),
        Rule(rf"s1\.pathway2_stem\.bn\.{_BN}", f"{_AUDIO}stem.norm.{{0}}"),
        Rule(rf"{at}branch1\.weight", f"{to}shortcut.conv.weight"),
        Rule(rf"{at}branch1_bn\.{_BN}", f"{to}shortcut.norm.{{2}}"),
    ]
    # v1 has t, f, out; v2 has a, b_t, b_f, c; plain blocks a, b, c
    names = {"t": "b.time", "f": "b.mel", "out": "c", "a": "a", "b_t": "b.time", "b_f": "b.mel", "b": "b", "c": "c"}
    for theirs, ours in names.items():
        rules += [
            Rule(rf"{at}branch2\.{theirs}\.weight", f"{to}{ours}.conv.weight"),
            Rule(rf"{at}branch2\.{theirs}_bn\.{_BN}", f"{to}{ours}.norm.{{2}}"),
        ]
    return tuple(rules)


def _pyslowfast_fusions() -> tuple[Rule, ...]:
    """The authors' keys of lateral connections and synchronisation heads; the one after res5 has laterals of its own."""
    rules = []
    for i, level in enumerate(LEVELS):
        at, last = rf"s{i + 1}_fuse\.", i == len(LEVELS) - 1
        fast = f"sync.{level}.fast_to_slow." if last else f"{_LATERALS}{i}."
        audio = f"sync.{level}.audio_to_slow.convs." if last else f"{_AUDIO_LATERALS}{i}.convs."
        rules += [
            Rule(rf"{at}conv_f2s\.weight", f"{fast}conv.weight"),
            Rule(rf"{at}bn_f2s\.{_BN}", f"{fast}norm.{{0}}"),
            Rule(rf"{at}conv_a2fs_(\d)\.weight", f"{audio}{{0}}.conv.weight"),
            Rule(rf"{at}bn_a2fs_(\d)\.{_BN}", f"{audio}{{0}}.norm.{{1}}"),
            Rule(rf"{at}avs\.ref_fc\.(weight|bias)", f"sync.{level}.visual.{{0}}"),
            Rule(rf"{at}avs\.query_fc\.(weight|bias)", f"sync.{level}.audio.{{0}}"),
        ]
    return tuple(rules)


def _pytorchvideo_audio() -> tuple[Rule, ...]:
    """PyTorchVideo's keys of the Audio pathway and of the lateral connections."""
    stem, block = r"blocks\.0\.multipathway_blocks\.2\.", r"multipathway_blocks\.2\.res_blocks\.(\d+)\."
    rules = [
        Rule(rf"{stem}conv\.convs\.0\.weight", f"{_AUDIO}stem.conv_t.weight"),
        Rule(rf"{stem}conv\.convs\.1\.weight", f"{_AUDIO}stem.conv_m.weight"),
        Rule(rf"{stem}norm\.{BN}", f"{_AUDIO}stem.norm.{{0}}"),
    ]
    names = {"a": "a", r"b\.0": "b.mel", r"b\.1": "b.time", "b": "b", "c": "c"}
    for stage in range(1, 5):
        at, to = rf"blocks\.{stage}\.{block}", f"{_AUDIO}res{stage + 1}.{{0}}."
        rules += [
            Rule(rf"{at}branch1_conv\.weight", f"{to}shortcut.conv.weight"),
            Rule(rf"{at}branch1_norm\.{BN}", f"{to}shortcut.norm.{{1}}"),
        ]
        for theirs, ours in names.items():
            rules += [
                Rule(rf"{at}branch2\.conv_{theirs}\.weight", f"{to}{ours}.conv.weight"),
                Rule(rf"{at}branch2\.norm_{theirs}\.{BN}", f"{to}{ours}.norm.{{1}}"),
            ]
    at = r"blocks\.([0-3])\.multipathway_fusion\."
    rules += [
        Rule(rf"{at}block_fast_to_slow\.0\.weight", f"{_LATERALS}{{0}}.conv.weight"),
        Rule(rf"{at}block_fast_to_slow\.1\.{BN}", f"{_LATERALS}{{0}}.norm.{{1}}"),
    ]
    for i in range(_CONVS):  # convolution, norm and ReLU in a row
        to = f"{_AUDIO_LATERALS}{{0}}.convs.{i}."
        rules += [
            Rule(rf"{at}block_audio_to_fastslow\.{3 * i}\.weight", f"{to}conv.weight"),
            Rule(rf"{at}block_audio_to_fastslow\.{3 * i + 1}\.{BN}", f"{to}norm.{{1}}"),
        ]
    return tuple(rules)


_PYSLOWFAST: tuple[Rule | Drop, ...] = (
    *tables.pyslowfast_pathway(0, _SLOW),
    *tables.pyslowfast_pathway(1, _FAST),
    tables.SUB_BN_DROP,
)
_PYTORCHVIDEO = (
    *tables.pytorchvideo_pathway(_MULTI.format(0), _SLOW),
    *tables.pytorchvideo_pathway(_MULTI.format(1), _FAST),
)
_OTHER_HEAD = Drop(
    r"head\.projection\..+|blocks\.6\.proj\..+|pred_[wb]", "the head of a network without Audio, whose features are fewer"
)

VIDMODELS = Format("vidmodels", (r"backbone\.audio\.stem\..+",), (Rule(r"((?:backbone|head|sync)\..+)", "{0}"),))
AUTHORS = Format(
    "AVSlowFast (PySlowFast)",
    signature=(r"s1\.pathway2_stem\.conv_t\.weight",),
    rules=(*_PYSLOWFAST, *_pyslowfast_audio(), *_pyslowfast_fusions(), *tables.HEAD_RULES["pyslowfast"]),
)
PYTORCHVIDEO = Format(
    "AVSlowFast (PyTorchVideo)",
    signature=(r"blocks\.0\.multipathway_blocks\.2\.conv\.convs\.0\.weight",),
    rules=(*_PYTORCHVIDEO, *_pytorchvideo_audio(), Rule(r"blocks\.6\.proj\.(weight|bias)", "head.projection.{0}")),
)
VISUAL = (
    Format(
        "SlowFast (vidmodels)",
        signature=(r"backbone\.slow\.stem\..+", r"backbone\.fast\.stem\..+"),
        rules=(_OTHER_HEAD, Rule(r"(backbone\..+)", "{0}")),
    ),
    Format(
        "SlowFast (PySlowFast)",
        signature=(r"s1\.pathway0_stem\.conv\.weight", r"s1\.pathway1_stem\.conv\.weight"),
        rules=(_OTHER_HEAD, *_PYSLOWFAST, *tables.pyslowfast_laterals(_LATERALS)),
    ),
    Format(
        "SlowFast (PyTorchVideo)",
        signature=(r"blocks\.0\.multipathway_blocks\.1\.conv\.weight",),
        rules=(_OTHER_HEAD, *_PYTORCHVIDEO, *tables.pytorchvideo_laterals(_LATERALS)),
    ),
    Format(
        "SlowFast (Caffe2)",
        signature=(r"conv1_w", r"t_conv1_w"),
        rules=(
            *tables.CAFFE2_DROPS,
            _OTHER_HEAD,
            *tables.caffe2_pathway("", _SLOW),
            *tables.caffe2_pathway("t_", _FAST),
            *tables.caffe2_laterals(_LATERALS),
        ),
    ),
)
FORMATS = (VIDMODELS, AUTHORS, PYTORCHVIDEO, *VISUAL)

# what a SlowFast checkpoint cannot give: all that hears, and what takes the place of laterals that are not at the same levels
_NOT_VISUAL = (
    f"{_AUDIO}*", f"{_AUDIO_LATERALS}*", f"{_LATERALS}*", "sync.*", "head.*",
    f"{_SLOW}res?.blocks.0.conv_a.weight", f"{_SLOW}res?.blocks.0.shortcut.conv.weight",
)  # fmt: skip


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load a checkpoint of AVSlowFast, or one of SlowFast as a start: then all that hears stays new.

    allow: patterns of our keys that the file may lack or have in vain, such as head.* where the classes differ.
    Raises WeightsError.
    """
    state, metadata = read_state(path)
    return load_tensors(model, state, str(path), allow, metadata)


def load_tensors(
    model: nn.Module,
    state: dict[str, Tensor],
    source: str,
    allow: tuple[str, ...] = (),
    metadata: dict[str, Any] | None = None,
) -> LoadReport:
    """Load a state dict with a known format's keys; see `load`. The report says what is new and what was dropped."""
    form, tensors, report = open_state(state, FORMATS, source, metadata)
    if form is PYTORCHVIDEO:
        tensors = {key: _time_to_rows(key, value) for key, value in tensors.items()}
    # the heads of synchronisation serve training only, so that a file or a model may be without
    new, vain = [*allow, "*.num_batches_tracked", "sync.*"], [*allow, "sync.*"]
    if form in VISUAL:
        new += _NOT_VISUAL
        vain += [f"{_LATERALS}*"]
    elif not any(key.startswith("head.") for key in tensors):
        new += ["head.*"]  # a file that learned from synchrony alone
    elif getattr(model, "head", None) is None:
        vain += ["head.*"]  # a model that does
    return load_state(model, tensors, report, new, vain, tables.fit_kernel)


def _time_to_rows(key: str, value: Tensor) -> Tensor:
    """PyTorchVideo has the spectrogram's time on the axis of the frames, ours on that of the rows."""
    heard = key.startswith((_AUDIO, _AUDIO_LATERALS))
    return value.transpose(2, 3) if heard and value.ndim == 5 else value
