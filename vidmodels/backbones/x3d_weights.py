"""Published formats of X3D, those of EfficientX3D among them: one network under four sets of names.

PySlowFast counts stages s1 (stem) to s5 and Caffe2 has flat names; PyTorchVideo counts blocks.0 to blocks.5, and names the
stem's two convolutions the wrong way round; EfficientX3D (PyTorchVideo's form for phones) has PySlowFast's stages with layers
of its own names.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.backbones.resnet3d_weights import BN, CAFFE2_DROPS, HEAD_RULES, STATISTICS, SUB_BN_DROP
from vidmodels.core.errors import WeightsError
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Format, Rule

_S, _B = r"s([2-5])\.pathway0_res(\d+)", "backbone.res{0}.{1}."
_SUB = r"(?:bn\.)?"  # batch norms may be nested, as PySlowFast's sub-BN saves them

VIDMODELS = Format("vidmodels", (r"backbone\.stem\.conv_xy\..+",), (Rule(r"((?:backbone|head)\..+)", "{0}"),))
PYSLOWFAST = Format(
    "PySlowFast",
    signature=(r"s1\.pathway0_stem\.conv_xy\.weight",),
    rules=(
        Rule(r"s1\.pathway0_stem\.(conv_xy|conv)\.weight", "backbone.stem.{0}.weight"),
        Rule(rf"s1\.pathway0_stem\.bn\.{_SUB}{BN}", "backbone.stem.norm.{0}"),
        Rule(rf"{_S}\.branch1\.weight", f"{_B}shortcut.conv.weight"),
        Rule(rf"{_S}\.branch1_bn\.{_SUB}{BN}", f"{_B}shortcut.norm.{{2}}"),
        Rule(rf"{_S}\.branch2\.([abc])\.weight", f"{_B}conv_{{2}}.weight"),
        Rule(rf"{_S}\.branch2\.([abc])_bn\.{_SUB}{BN}", f"{_B}norm_{{2}}.{{3}}"),
        Rule(rf"{_S}\.branch2\.se\.(fc[12])\.(weight|bias)", f"{_B}se.{{2}}.{{3}}"),
        Rule(r"head\.(conv_5|lin_5)\.weight", "head.{0}.weight"),
        Rule(rf"head\.conv_5_bn\.{_SUB}{BN}", "head.norm_5.{0}"),
        Rule(rf"head\.lin_5_bn\.{_SUB}{BN}", "head.lin_norm.{0}"),
        *HEAD_RULES["pyslowfast"],
        SUB_BN_DROP,
    ),
)
CAFFE2 = Format(
    "Caffe2",
    signature=(r"conv1_xy_w",),
    rules=(
        Rule(r"conv1_xy_w", "backbone.stem.conv_xy.weight"),
        Rule(r"conv1_w", "backbone.stem.conv.weight"),
        Rule(r"res([2-5])_(\d+)_branch1_w", f"{_B}shortcut.conv.weight"),
        Rule(r"res([2-5])_(\d+)_branch2([abc])_w", f"{_B}conv_{{2}}.weight"),
        Rule(r"res([2-5])_(\d+)_branch2b_bn_(fc[12])_w", f"{_B}se.{{2}}.weight"),
        Rule(r"res([2-5])_(\d+)_branch2b_bn_(fc[12])_b", f"{_B}se.{{2}}.bias"),
        Rule(r"(conv_5|lin_5)_w", "head.{0}.weight"),
        *(
            rule
            for end, name in STATISTICS.items()
            for rule in (
                Rule(rf"res_conv1_bn_{end}", f"backbone.stem.norm.{name}"),
                Rule(rf"res([2-5])_(\d+)_branch1_bn_{end}", f"{_B}shortcut.norm.{name}"),
                Rule(rf"res([2-5])_(\d+)_branch2([abc])_bn_{end}", f"{_B}norm_{{2}}.{name}"),
                Rule(rf"conv_5_bn_{end}", f"head.norm_5.{name}"),
                Rule(rf"lin_5_bn_{end}", f"head.lin_norm.{name}"),
            )
        ),
        *HEAD_RULES["caffe2"],
        *CAFFE2_DROPS,
    ),
)


def _pytorchvideo_stages() -> tuple[Rule, ...]:
    """Rules for blocks.1 to blocks.4, which are res2 to res5."""
    rules = []
    for stage in range(2, 6):
        at, to = rf"blocks\.{stage - 1}\.res_blocks\.(\d+)\.", f"backbone.res{stage}.{{0}}."
        rules += [
            Rule(rf"{at}branch1_conv\.weight", f"{to}shortcut.conv.weight"),
            Rule(rf"{at}branch1_norm\.{BN}", f"{to}shortcut.norm.{{1}}"),
            Rule(rf"{at}branch2\.conv_([abc])\.weight", f"{to}conv_{{1}}.weight"),
            Rule(rf"{at}branch2\.norm_([ac])\.{BN}", f"{to}norm_{{1}}.{{2}}"),
            Rule(rf"{at}branch2\.norm_b\.(?:0\.)?{BN}", f"{to}norm_b.{{1}}"),
            Rule(rf"{at}branch2\.norm_b\.1\.block\.0\.(weight|bias)", f"{to}se.fc1.{{1}}"),
            Rule(rf"{at}branch2\.norm_b\.1\.block\.2\.(weight|bias)", f"{to}se.fc2.{{1}}"),
        ]
    return tuple(rules)


PYTORCHVIDEO = Format(
    "PyTorchVideo",
    signature=(r"blocks\.0\.conv\.conv_t\.weight", r"blocks\.0\.conv\.conv_xy\.weight"),
    rules=(
        # conv_t holds the kernel in space, conv_xy that in time
        Rule(r"blocks\.0\.conv\.conv_t\.weight", "backbone.stem.conv_xy.weight"),
        Rule(r"blocks\.0\.conv\.conv_xy\.weight", "backbone.stem.conv.weight"),
        Rule(rf"blocks\.0\.norm\.{BN}", "backbone.stem.norm.{0}"),
        *_pytorchvideo_stages(),
        Rule(r"blocks\.5\.pool\.pre_conv\.weight", "head.conv_5.weight"),
        Rule(rf"blocks\.5\.pool\.pre_norm\.{BN}", "head.norm_5.{0}"),
        Rule(r"blocks\.5\.pool\.post_conv\.weight", "head.lin_5.weight"),
        Rule(rf"blocks\.5\.pool\.post_norm\.{BN}", "head.lin_norm.{0}"),
        Rule(r"blocks\.5\.proj\.(weight|bias)", "head.projection.{0}"),
    ),
)
EFFICIENT_X3D = Format(
    "EfficientX3D",
    signature=(r"s1\.pathway0_stem_conv_xy\.kernel\.conv\.weight",),
    rules=(
        Rule(r"s1\.pathway0_stem_(conv_xy|conv)\.kernel\.conv\.weight", "backbone.stem.{0}.weight"),
        Rule(rf"s1\.pathway0_stem_conv\.kernel\.bn\.{BN}", "backbone.stem.norm.{0}"),
        Rule(rf"{_S}\._res_proj\.kernel\.conv\.weight", f"{_B}shortcut.conv.weight"),
        Rule(rf"{_S}\._res_proj\.kernel\.bn\.{BN}", f"{_B}shortcut.norm.{{2}}"),
        *(
            rule
            for number, letter in enumerate("abc")
            for rule in (
                Rule(rf"{_S}\.layers\.conv_{number}\.kernel\.conv\.weight", f"{_B}conv_{letter}.weight"),
                Rule(rf"{_S}\.layers\.conv_{number}\.kernel\.bn\.{BN}", f"{_B}norm_{letter}.{{2}}"),
            )
        ),
        Rule(rf"{_S}\.layers\.se\.se\.block\.0\.(weight|bias)", f"{_B}se.fc1.{{2}}"),
        Rule(rf"{_S}\.layers\.se\.se\.block\.2\.(weight|bias)", f"{_B}se.fc2.{{2}}"),
        Rule(r"head\.(conv_5|lin_5)\.kernel\.conv\.weight", "head.{0}.weight"),
        Rule(rf"head\.conv_5\.kernel\.bn\.{BN}", "head.norm_5.{0}"),
        Rule(rf"head\.lin_5\.kernel\.bn\.{BN}", "head.lin_norm.{0}"),
        Rule(r"projection\.model\.(weight|bias)", "head.projection.{0}"),
    ),
)
FORMATS = (VIDMODELS, PYSLOWFAST, PYTORCHVIDEO, EFFICIENT_X3D, CAFFE2)


def load_tensors(
    model: nn.Module,
    state: dict[str, Tensor],
    source: str,
    allow: tuple[str, ...] = (),
    metadata: dict[str, Any] | None = None,
) -> LoadReport:
    """Load a state dict with any of the formats' keys into a classifier or detector on X3D.

    allow: patterns of our keys that the file may lack or have in vain, such as head.* where the classes differ. Shortcuts that
    have no norm in a file of PyTorchVideo get one that changes nothing. Raises WeightsError.
    """
    form, tensors, report = open_state(state, FORMATS, source, metadata)
    tensors = {key: _as_linear(key, value) for key, value in tensors.items()}
    own = model.state_dict()
    _check_shortcuts(own, tensors, source)
    _check_classes(own, tensors, source, allow)
    added = _idle_norms(model, own, tensors) if form is PYTORCHVIDEO else {}
    load_state(model, {**tensors, **added}, report, [*allow, "*.num_batches_tracked"], allow)
    report.loaded = [key for key in report.loaded if key not in added]
    report.resized |= dict.fromkeys(added, "not in PyTorchVideo's X3D -> changes nothing")
    return report


def _as_linear(key: str, value: Tensor) -> Tensor:
    """1x1x1 convolutions of pooled values are linear layers here."""
    pooled = ".se.fc" in key or key == "head.lin_5.weight"
    return value.flatten(1) if pooled and value.ndim > 2 else value


def _idle_norms(model: nn.Module, own: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Norms of shortcuts that the model has and the file has not, so that they change nothing: mean 0 and variance 1 - eps."""
    added: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if name.endswith(".shortcut.norm") and f"{name}.weight" in own and f"{name}.weight" not in tensors:
            ones = torch.ones_like(own[f"{name}.weight"])
            variance = 1 - getattr(module, "eps", 0.0)
            made = {"weight": ones, "bias": 0 * ones, "running_mean": 0 * ones, "running_var": variance * ones}
            added |= {f"{name}.{part}": value for part, value in made.items()}
    return added


def _check_shortcuts(own: dict[str, Tensor], tensors: dict[str, Tensor], source: str) -> None:
    key = "backbone.res2.0.shortcut.norm.weight"
    if key in tensors and key not in own and "backbone.res2.0.shortcut.conv.weight" in own:
        raise WeightsError(
            f"{source} has a norm on the shortcut of res2, for which the model has no place: create it with "
            "res2_shortcut_norm=True"
        )


def _check_classes(own: dict[str, Tensor], tensors: dict[str, Tensor], source: str, allow: tuple[str, ...]) -> None:
    bias, wanted = (state.get("head.projection.bias") for state in (tensors, own))
    if (
        bias is not None
        and wanted is not None
        and bias.shape != wanted.shape
        and not any(fnmatchcase("head.projection.bias", p) for p in allow)
    ):
        raise WeightsError(
            f"{source} names {bias.numel()} classes, the model {wanted.numel()}: create it with num_classes={bias.numel()}, "
            "or allow head.* to be new"
        )
