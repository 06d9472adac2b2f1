"""Key tables of the published formats of residual networks on clips, with one pathway or two.

PySlowFast counts stages s1 (stem) to s5, PyTorchVideo blocks.0 to blocks.5 with the pooling after res2 as a block of its
own, Caffe2 files have flat names with `t_` before those of Fast; ImageNet files are 2-D and are inflated over time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidmodels.backbones.resnet3d import STAGES
from vidmodels.weights.patterns import Drop, Format, Rule

BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
HEAD_RULES = {
    "pyslowfast": (Rule(r"head\.projection\.(weight|bias)", "head.projection.{0}"),),
    "caffe2": (Rule(r"pred_w", "head.projection.weight"), Rule(r"pred_b", "head.projection.bias")),
}
STATISTICS = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
CAFFE2_DROPS = (Drop(r".*momentum.*|lr|model_iter", "state of the solver"),)
SUB_BN_DROP = Drop(r".*\.split_bn\..*", "statistics of split batch norms, which training only uses")


def pyslowfast_pathway(number: int, prefix: str) -> tuple[Rule, ...]:
    """Rules for one pathway of PySlowFast's keys; batch norms may be nested as its sub-BN saves them."""
    p = f"pathway{number}"
    sub = r"(?:bn\.)?"
    return (
        Rule(rf"s1\.{p}_stem\.conv\.weight", f"{prefix}stem.conv.weight"),
        Rule(rf"s1\.{p}_stem\.bn\.{sub}{BN}", f"{prefix}stem.norm.{{0}}"),
        Rule(rf"s([2-5])\.{p}_res(\d+)\.branch1\.weight", f"{prefix}res{{0}}.blocks.{{1}}.shortcut.conv.weight"),
        Rule(rf"s([2-5])\.{p}_res(\d+)\.branch1_bn\.{sub}{BN}", f"{prefix}res{{0}}.blocks.{{1}}.shortcut.norm.{{2}}"),
        Rule(rf"s([2-5])\.{p}_res(\d+)\.branch2\.([abc])\.weight", f"{prefix}res{{0}}.blocks.{{1}}.conv_{{2}}.weight"),
        Rule(rf"s([2-5])\.{p}_res(\d+)\.branch2\.([abc])_bn\.{sub}{BN}", f"{prefix}res{{0}}.blocks.{{1}}.norm_{{2}}.{{3}}"),
        Rule(
            rf"s([2-5])\.{p}_nonlocal(\d+)\.(conv_(?:theta|phi|g|out))\.(weight|bias)",
            f"{prefix}res{{0}}.non_local.{{1}}.{{2}}.{{3}}",
        ),
        Rule(rf"s([2-5])\.{p}_nonlocal(\d+)\.bn\.{sub}{BN}", f"{prefix}res{{0}}.non_local.{{1}}.norm.{{2}}"),
    )


def pytorchvideo_pathway(block: str, prefix: str, pooled: bool = False) -> tuple[Rule, ...]:
    """Rules for one pathway of PyTorchVideo's keys.

    block: what stands between `blocks.N.` and a stage's own keys, a pattern; pooled: the pooling after res2 is blocks.2.
    """
    rules = [Rule(rf"blocks\.0\.{block}conv\.weight", f"{prefix}stem.conv.weight")]
    rules += [Rule(rf"blocks\.0\.{block}norm\.{BN}", f"{prefix}stem.norm.{{0}}")]
    for i, stage in enumerate(STAGES):
        number = i + 1 + int(pooled and i > 0)
        at, to = rf"blocks\.{number}\.{block}res_blocks\.(\d+)\.", f"{prefix}{stage}.blocks.{{0}}."
        rules += [
            Rule(rf"{at}branch1_conv\.weight", f"{to}shortcut.conv.weight"),
            Rule(rf"{at}branch1_norm\.{BN}", f"{to}shortcut.norm.{{1}}"),
            Rule(rf"{at}branch2\.conv_([abc])\.weight", f"{to}conv_{{1}}.weight"),
            Rule(rf"{at}branch2\.norm_([abc])\.{BN}", f"{to}norm_{{1}}.{{2}}"),
            Rule(rf"{at}branch2\.conv_b\.(conv_t|conv_xy)\.weight", f"{to}conv_b.{{1}}.weight"),
            Rule(rf"{at}branch2\.conv_b\.norm\.{BN}", f"{to}conv_b.norm.{{1}}"),
        ]
    return tuple(rules)


def caffe2_pathway(letter: str, prefix: str) -> tuple[Rule, ...]:
    """Rules for one pathway of Caffe2's names; letter: "" or "t_" for Fast."""
    rules = [Rule(rf"{letter}conv1_w", f"{prefix}stem.conv.weight")]
    for end, name in STATISTICS.items():
        rules += [
            Rule(rf"{letter}res_conv1_bn_{end}", f"{prefix}stem.norm.{name}"),
            Rule(rf"{letter}res([2-5])_(\d+)_branch1_bn_{end}", f"{prefix}res{{0}}.blocks.{{1}}.shortcut.norm.{name}"),
            Rule(rf"{letter}res([2-5])_(\d+)_branch2([abc])_bn_{end}", f"{prefix}res{{0}}.blocks.{{1}}.norm_{{2}}.{name}"),
            Rule(rf"{letter}nonlocal_conv([2-5])_(\d+)_bn_{end}", f"{prefix}res{{0}}.non_local.{{1}}.norm.{name}"),
        ]
    to = f"{prefix}res{{0}}.non_local.{{1}}.conv_{{2}}."
    return (
        *rules,
        Rule(rf"{letter}res([2-5])_(\d+)_branch1_w", f"{prefix}res{{0}}.blocks.{{1}}.shortcut.conv.weight"),
        Rule(rf"{letter}res([2-5])_(\d+)_branch2([abc])_w", f"{prefix}res{{0}}.blocks.{{1}}.conv_{{2}}.weight"),
        Rule(rf"{letter}nonlocal_conv([2-5])_(\d+)_(theta|phi|g|out)_w", f"{to}weight"),
        Rule(rf"{letter}nonlocal_conv([2-5])_(\d+)_(theta|phi|g|out)_b", f"{to}bias"),
    )


def pyslowfast_laterals(prefix: str) -> tuple[Rule, ...]:
    """Rules for the lateral connections s1_fuse to s4_fuse."""
    return tuple(
        rule
        for i in range(4)
        for rule in (
            Rule(rf"s{i + 1}_fuse\.conv_f2s\.weight", f"{prefix}{i}.conv.weight"),
            Rule(rf"s{i + 1}_fuse\.bn\.(?:bn\.)?{BN}", f"{prefix}{i}.norm.{{0}}"),
        )
    )


def pytorchvideo_laterals(prefix: str) -> tuple[Rule, ...]:
    """Rules for the lateral connections blocks.0 to blocks.3."""
    at = r"blocks\.([0-3])\.multipathway_fusion\."
    return (
        Rule(rf"{at}conv_fast_to_slow\.weight", f"{prefix}{{0}}.conv.weight"),
        Rule(rf"{at}norm\.{BN}", f"{prefix}{{0}}.norm.{{1}}"),
    )


def caffe2_laterals(prefix: str) -> tuple[Rule, ...]:
    """Rules for the lateral connections, named after the last layer before them."""
    layers = (r"t_pool1", *(rf"t_res{stage}_\d+_branch2c_bn" for stage in (2, 3, 4)))
    rules = []
    for i, layer in enumerate(layers):
        rules += [Rule(rf"{layer}_subsample_w", f"{prefix}{i}.conv.weight")]
        rules += [Rule(rf"{layer}_subsample_bn_{end}", f"{prefix}{i}.norm.{name}") for end, name in STATISTICS.items()]
    return tuple(rules)


def contrastive(prefix: str) -> tuple[Format, Format]:
    """Persistent contrastive learning, ours and PySlowFast's: its trunk is a network of one pathway."""
    why = "of contrastive learning: projections, the slow copy, memories"
    ours = Format(
        "vidmodels, contrastive",
        (r"online\.backbone\..+",),
        (
            Rule(r"online\.backbone\.(.+)", f"{prefix}{{0}}"),
            Drop(r"(?:online|momentum|prototypes)\..+|queue|pointer|iteration|memory", why),
        ),
    )
    pathway = (Rule(rf"backbone\.{rule.pattern}", rule.target) for rule in pyslowfast_pathway(0, prefix))
    drops = r"backbone\.head\..+|backbone_hist\..+|swav_prototypes\.weight|queue_x|queue_swav|ptr|iter|knn_mem\.memory"
    theirs = Format("PySlowFast, contrastive", (r"backbone\.s1\.pathway0_stem\.conv\.weight",), (*pathway, Drop(drops, why)))
    return ours, theirs


def imagenet_2d(prefix: str) -> Format:
    """torchvision's ResNets, to be inflated: each 2-D kernel is repeated over time and divided by its length."""
    to = f"{prefix}res{{0}}.blocks.{{1}}."
    rules: list[Rule | Drop] = [
        Rule(r"conv1\.weight", f"{prefix}stem.conv.weight"),
        Rule(rf"bn1\.{BN}", f"{prefix}stem.norm.{{0}}"),
        Drop(r"fc\..*", "the classes of ImageNet"),
    ]
    for layer in range(1, 5):
        at, own = rf"layer{layer}\.(\d+)\.", to.replace("{0}", str(layer + 1)).replace("{1}", "{0}")
        rules += [
            Rule(rf"{at}downsample\.0\.weight", f"{own}shortcut.conv.weight"),
            Rule(rf"{at}downsample\.1\.{BN}", f"{own}shortcut.norm.{{1}}"),
        ]
        for number, letter in enumerate("abc", 1):
            rules += [
                Rule(rf"{at}conv{number}\.weight", f"{own}conv_{letter}.weight"),
                Rule(rf"{at}bn{number}\.{BN}", f"{own}norm_{letter}.{{1}}"),
            ]
    return Format("torchvision ResNet (2-D)", (r"conv1\.weight", r"layer1\.0\.conv1\.weight"), tuple(rules))


@torch.no_grad()
def fit_kernel(key: str, value: Tensor, model: nn.Module) -> Tensor | None:
    """A kernel of fewer dimensions for ours: linear weights become 1x1x1 convolutions, 2-D kernels are inflated.

    Inflation repeats over time and divides by the length, so that a still clip gives what the image gave (I3D, section 2.1).
    """
    target = model.state_dict()[key]
    if value.ndim < target.ndim and value.numel() == target.numel():
        return value.reshape(target.shape)
    if value.ndim == 4 and target.ndim == 5 and value.shape == target.shape[:2] + target.shape[3:]:
        return value.unsqueeze(2).repeat(1, 1, target.shape[2], 1, 1) / target.shape[2]
    if value.ndim == 5 and target.ndim == 2 and value.numel() == target.numel():
        return value.reshape(target.shape)
    return None
