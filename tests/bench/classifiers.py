"""Benchmarks of the classification family against the public implementations that install, as their users run them."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.harness import Ratio, alternate, ratio, seconds, shown
from vidmodels import Predictor, zoo
from vidmodels.backbones.slowfast import slow_frames

EQUAL = 1e-4
"""Largest difference of the answers, as a share of the largest answer."""


@dataclass(frozen=True)
class Rival:
    """A public implementation: how it is built, how it takes the clips that ours takes, and whether it answers scores."""

    package: str
    build: Callable[[], nn.Module]
    adapt: Callable[[Tensor], Any] = lambda clips: clips
    settings: tuple[tuple[str, Any], ...] = ()
    scores: bool = False


def _hub(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import pytorchvideo.models.hub as hub

        return getattr(hub, name)(pretrained=False)

    return build


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import video

        return getattr(video, name)(weights=None)

    return build


def _timm(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False)

    return build


def _pathways(clips: Tensor) -> list[Tensor]:
    return [clips.index_select(2, slow_frames(clips.shape[2], 4)), clips]


RIVALS = {
    "slowfast_r50": Rival("pytorchvideo", _hub("slowfast_r50"), _pathways),
    "x3d_m": Rival("pytorchvideo", _hub("x3d_m"), settings=(("res2_shortcut_norm", False),), scores=True),
    "c2d_r50": Rival("pytorchvideo", _hub("c2d_r50")),
    "csn_r101": Rival("pytorchvideo", _hub("csn_r101")),
    "r2plus1d_r50": Rival("pytorchvideo", _hub("r2plus1d_r50"), scores=True),
    "mvit_b_16x4": Rival("torchvision", _torchvision("mvit_v1_b")),
    "mvitv2_s_16x4": Rival("torchvision", _torchvision("mvit_v2_s")),
    "mvitv2_t": Rival("timm", _timm("mvitv2_tiny"), lambda clips: clips[:, :, 0]),
}


def forward(rounds: int = 3) -> list[Ratio]:
    """One clip of the published size, float32, all cores: theirs / ours as `Predictor` holds it."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ratios = [_forward(name, rival, rounds) for name, rival in RIVALS.items()]
    return [*ratios, _mean("forward", ratios, ">= 1.4")]


def forward_fast(rounds: int = 3) -> list[Ratio]:
    """As `forward`, ours with `precision="fast"`; the answers' difference is printed."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ratios = [_forward(name, rival, rounds, fast=True) for name, rival in RIVALS.items()]
    return [*ratios, _mean("forward_fast", ratios, ">= 3")]


def train_step(rounds: int = 3) -> list[Ratio]:
    """Forward, backward and an SGD step on a batch of two small clips, float32, all cores: theirs / ours."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ratios = [_train_step(name, rival, rounds) for name, rival in RIVALS.items()]
    return [*ratios, _mean("train_step", ratios, ">= 1.2")]


def portions(names: tuple[str, ...] = ("x3d_m", "c2d_r50", "mvit_b_16x4", "slowfast_tiny"), rounds: int = 3) -> list[Ratio]:
    """Eight clips of the published size, float32, one thread: at once / as `Predictor` portions them."""
    torch.set_num_threads(1)
    return [_portions(name, rounds) for name in names]


def _portions(name: str, rounds: int) -> Ratio:
    from vidmodels.data.transforms import pixels_of

    predictor = Predictor(name, device="cpu")
    spec: Any = predictor.spec
    clips = torch.randint(0, 256, (8, spec.num_frames, spec.size, spec.size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        a, b = alternate(
            lambda: seconds(lambda: predictor.model(pixels_of(clips, spec))),
            lambda: seconds(lambda: predictor.scores(clips.numpy())),
            rounds,
        )
    shown(f"{name}: eight at once", a)
    shown(f"{name}: in portions", b)
    return ratio(f"portions_{name}", a, b, ">= 0.97")


def deploy(rounds: int = 5) -> list[Ratio]:
    """x3d_xs on one clip, one thread: eager / deployed form, and eager / the deployed form as ONNX in float and in int8."""
    from vidmodels.inference.deploy import deploy as deployed_form

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: Any = zoo.create_model("efficient_x3d_xs").eval()
    clip = torch.randn(1, 3, 4, 160, 160)
    lean = deployed_form(model, clip.shape)
    with torch.inference_mode():
        model(clip), lean(clip)
        a, b = alternate(lambda: seconds(lambda: model(clip)), lambda: seconds(lambda: lean(clip)), rounds)
    shown("eager, as it is created", a)
    shown("deployed", b)
    return [ratio("deploy", a, b, ">= 1.5"), *_deploy_onnx(model, clip, rounds)]


def _deploy_onnx(model: nn.Module, clip: Tensor, rounds: int) -> list[Ratio]:
    """The deployed form in ONNX Runtime against the eager model; agreement and size of int8 are printed."""
    from vidmodels.inference.export import export_model, open_exported, synthetic_calibration

    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("onnx", "int8"):
            calibration = synthetic_calibration(model.input) if name == "int8" else None
            report = export_model(model, f"{folder}/{name}.onnx", "onnx", deployed=True, calibration=calibration, rounds=1)
            ours = open_exported(report.path)
            with torch.inference_mode():
                model(clip), ours(clip)
                a, b = alternate(lambda: seconds(lambda: model(clip)), lambda: seconds(lambda: ours(clip)), rounds)  # noqa: B023
            shown(f"deployed, {name}, {report.forms[-1].size / 1e6:.1f} MB", b)
            if report.int8 is not None:
                int8 = report.int8
                print(
                    f"  int8: highest class as in float for {int8.agreement:.1%} of {int8.clips} calibration clips and "
                    f"{int8.agreement_others:.1%} of {int8.others} others, relative error {int8.error:.1e} (initial weights: "
                    "the classes of a clip nearly tie)"
                )
            ratios.append(ratio(f"deploy_{name}", a, b))
    return ratios


def _pair(name: str, rival: Rival) -> tuple[nn.Module, Any]:
    """Theirs with random weights, and ours with the same."""
    torch.manual_seed(0)
    theirs = rival.build()
    ours = zoo.create_model(name, **dict(rival.settings))
    load = zoo._function(zoo.entry(name).loader.replace(":load", ":load_tensors"))
    load(ours, theirs.state_dict(), f"the state of {rival.package}'s model")
    return theirs, ours


def _forward(name: str, rival: Rival, rounds: int, fast: bool = False) -> Ratio:
    theirs, ours = _pair(name, rival)
    theirs.eval()
    predictor = Predictor(ours, device="cpu", precision="fast" if fast else "float32")
    spec = ours.input
    clips = torch.randn(1, 3, spec.num_frames, spec.size, spec.size)
    with torch.inference_mode():
        inputs = rival.adapt(clips)
        clips = clips.contiguous(memory_format=torch.channels_last_3d)  # as Predictor gives decoded frames to the model
        wanted, given = theirs(_fresh(inputs)), _answer(predictor, clips)
        if rival.scores:
            given = given.softmax(-1)
        error = ((given - wanted).abs().max() / wanted.abs().max()).item()
        if not (error <= EQUAL or predictor.precision != "float32"):
            raise AssertionError(f"{name} answers otherwise than {rival.package}'s: relative error {error:.2g}")
        a, b = alternate(
            lambda: seconds(lambda: theirs(_fresh(inputs))), lambda: seconds(lambda: _answer(predictor, clips)), rounds
        )
    shown(f"{name}: {rival.package}", a)
    shown(f"{name}: ours, {predictor.precision} (difference {error:.1e})", b)
    bound = "" if fast else ">= 2.2" if name.startswith("x3d") else ">= 0.97"
    return ratio(f"forward_{'fast_' if fast else ''}{name}", a, b, bound)


def _answer(predictor: Any, clips: Tensor) -> Tensor:
    """Logits of clips that are normalised already, in the predictor's arithmetic."""
    with torch.autocast("cpu", torch.bfloat16, enabled=predictor.precision == "bf16"):
        return predictor.model(clips).float()


def _train_step(name: str, rival: Rival, rounds: int) -> Ratio:
    theirs, ours = _pair(name, rival)
    spec = ours.input
    # MViT's tables fit its own crop only, in the public implementations; the ConvNets' heads pool 7 x 7 cells
    clips = torch.randn(2, 3, spec.num_frames, spec.size, spec.size)
    labels = torch.tensor([1, 2])

    def step(model: nn.Module, inputs: Any) -> Callable[[], float]:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        model.train()

        def work() -> None:
            functional.cross_entropy(model(_fresh(inputs)), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        work()
        return lambda: seconds(work)

    a, b = alternate(step(theirs, rival.adapt(clips)), step(ours, clips), rounds)
    shown(f"{name}: {rival.package}", a)
    shown(f"{name}: ours", b)
    return ratio(f"train_step_{name}", a, b)


def _fresh(inputs: Any) -> Any:
    """The inputs for one more call: PyTorchVideo writes into the list of pathways that it is given."""
    return list(inputs) if isinstance(inputs, list) else inputs


def _mean(name: str, ratios: list[Ratio], wanted: str) -> Ratio:
    """The geometric mean, with the smallest and the largest of the models."""
    values = [each.value for each in ratios]
    return Ratio(name, math.exp(sum(map(math.log, values)) / len(values)), min(values), max(values), wanted)
