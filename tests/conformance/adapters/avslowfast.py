"""AVSlowFast: builds the model from a case's configuration (the authors' or PyTorchVideo's), or the log-mel front end, and
answers its outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.adapters.parts import checked_parameters, cut, slices, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.avslowfast import LEVELS
from vidmodels.backbones.resnet3d import STAGES
from vidmodels.core.entry import AudioSpec
from vidmodels.core.errors import ConfigError
from vidmodels.heads.audiovisual import AudioVisualModel, AudioVisualOutput
from vidmodels.ops import logmel
from vidmodels.systems.avslowfast.builders import avslowfast
from vidmodels.systems.avslowfast.weights import load_tensors

FORMS = {
    "tf_bottleneck_transform_v1": "wide",
    "tf_bottleneck_transform_v2": "narrow",
    "bottleneck_transform": "joint",
}
CONV_A = (
    r"s(\d)\.pathway{p}_res(\d+)\.branch2\.a\.weight|"
    r"blocks\.(\d)\.multipathway_blocks\.{p}\.res_blocks\.(\d+)\.branch2\.conv_a\.weight"
)


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    if "n_mels" in case["config"]:
        return _front_end(case)
    model = build(case["config"], case["state"]).eval()
    load_tensors(model, state_tensors(case), "the case's state")
    checked_parameters(model, case)
    inputs = {key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in inputs_of(case).items()}
    answer = _pytorchvideo_answers if "builder" in case["config"] else _authors_answers
    answers = answer(model, case["config"], [inputs["slow"], inputs["fast"]], inputs["audio"])
    return slices(answers, {**case, "outputs": _spelled_out(case["outputs"])})


def _spelled_out(outputs: dict[str, str]) -> dict[str, str]:
    """Texts of the outputs, with "the same, Fast" in the words of the first pathway's."""
    firsts = {key: re.sub(r"_pathway\d$", "_pathway0", key) for key in outputs}
    return {key: outputs.get(firsts[key], text) if text.startswith("the same, ") else text for key, text in outputs.items()}


def build(config: dict, state: dict[str, Any]) -> AudioVisualModel:
    """The model that a configuration of either code describes; what it leaves open is read from shapes of the state."""
    common: dict[str, Any] = {
        "num_frames": config["num_frames"],
        "num_classes": _shape(state, r"head\.projection\.weight|blocks\.6\.proj\.weight")[0],
        "alpha": config["alpha"],
        "depth": tuple(len(kernels) for kernels in _kernels(state, 0)),
        "temporal_blocks": _temporal(state, 0),
        "fast_temporal_blocks": _temporal(state, 1),
        "lateral_kernel": config["fusion_kernel"],
        "lateral_ratio": config["fusion_conv_channel_ratio"],
    }
    return _pytorchvideo(config, state, common) if "builder" in config else _authors(config, state, common)


def _authors(config: dict, state: dict[str, Any], common: dict[str, Any]) -> AudioVisualModel:
    own = config["audio_trans_num"]
    by_dim = config["au_fusion_conv_channel_mode"] == "ByDim"
    return avslowfast(
        **common,
        width=_shape(state, r"s1\.pathway0_stem\.conv\.weight")[0],
        beta_inv=config["beta_inv"],
        fast_at=tuple(config["fs_fusion"]),
        audio_at=tuple(config["afs_fusion"]),
        audio_alpha=config["au_alpha"],
        audio_rows=config["audio_frames"],
        audio_beta_inv=config["au_beta_inv"],
        audio_forms=(*[FORMS[config["audio_trans_func"]]] * own, *["joint"] * (4 - own)),
        audio_reduce=config["au_reduce_tf_dim"],
        audio_kernel=config["au_fusion_kernel"],
        audio_convs=config["au_fusion_conv_num"],
        audio_width=config["au_fusion_conv_channel_dim"] if by_dim else float(config["au_fusion_conv_channel_ratio"]),
        sync=tuple(level for level, flag in zip(LEVELS, config["avs_flag"]) if flag),
        sync_dim=config["avs_proj_dim"],
        sync_min_variance=config["avs_var_thresh"],
        sync_max_similarity=config["avs_duplicate_thresh"],
        size=config["head_pool_from_train_crop"],
        activation="sigmoid" if config.get("head_act") == "sigmoid" else "softmax",
    )


def _pytorchvideo(config: dict, state: dict[str, Any], common: dict[str, Any]) -> AudioVisualModel:
    alpha, reductions = config["audio_fusion_stride"][0], (1, 1, 2, 4)
    if [alpha // each for each in reductions] != list(config["audio_fusion_stride"][:4]):
        raise ConfigError(f"strides {config['audio_fusion_stride']} of the audio laterals do not follow from one alpha")
    joint = [
        any(re.match(rf"blocks\.{i}\.multipathway_blocks\.2\..*conv_b\.weight", key) for key in state) for i in (1, 2, 3, 4)
    ]
    thinner, audio_thinner = config["slowfast_channel_reduction_ratio"]
    lateral = _shape(state, r"blocks\.0\.multipathway_fusion\.block_audio_to_fastslow\.0\.weight")
    return avslowfast(
        **common,
        width=_shape(state, r"blocks\.0\.multipathway_blocks\.0\.conv\.weight")[0],
        beta_inv=thinner,
        fast_at=(True,) * 4,
        audio_at=(True,) * 4,
        audio_alpha=alpha,
        audio_rows=config["audio_frames"],
        audio_beta_inv=audio_thinner,
        audio_forms=tuple("joint" if each else "narrow" for each in joint),
        audio_early_time=True,
        audio_kernel=config["audio_fusion_kernel"],
        audio_width=lateral[0] / lateral[1],
        sync=(),
        size=32 * config["head_pool_kernel_sizes"][0][1],
        average="logits",
    )


def _authors_answers(model: AudioVisualModel, config: dict, clips: list[Tensor], audio: Tensor) -> dict[str, Tensor]:
    own, other = audio[:, 0], audio[:, 1]  # [N, 1, rows, mels]
    answers = _stages(model, clips, own)
    activate = _activation(config.get("head_act", "softmax"))
    for end, drop in (("", False), ("_dropped", True)):
        each = _at_positions(model, clips, own, drop)
        answers |= {f"output{end}": activate(each).mean(1), f"logits{end}": each.mean(1)}
        if not torch.allclose(activate(model(clips, own, drop=drop)), answers[f"output{end}"], atol=1e-6):
            raise ConfigError("the activation of what the model says is not the mean over its positions' scores")
        if model.sync:
            found = model(clips, own, misaligned=other, drop=drop)
            assert isinstance(found, AudioVisualOutput)
            answers[f"avs_losses{end}"] = torch.stack(list(found.synchrony.losses.values()))
    return answers


def _pytorchvideo_answers(model: AudioVisualModel, config: dict, clips: list[Tensor], audio: Tensor) -> dict[str, Tensor]:
    own = audio.squeeze(3)
    answers = {key: _time_first(key, value) for key, value in _stages(model, clips, own).items()}
    activate = _activation(config.get("head_activation"))
    return answers | {"output": activate(_at_positions(model, clips, own, False)).mean(1)}


def _at_positions(model: AudioVisualModel, clips: list[Tensor], audio: Tensor, drop: bool) -> Tensor:
    """Logits at each position of the map, [N, P, K]."""
    assert model.head is not None
    return model.head.projection(model.head.positions(model.backbone(clips, audio, drop=drop)))


def _activation(name: str | None) -> Callable[[Tensor], Tensor]:
    return {"softmax": lambda x: x.softmax(-1), "sigmoid": torch.sigmoid}.get(name or "", lambda x: x)


def _time_first(key: str, value: Tensor) -> Tensor:
    """Audio's maps as PyTorchVideo has them: [N, C, rows, 1, mels]."""
    return value.transpose(2, 3) if key.endswith("pathway2") else value


def _stages(model: AudioVisualModel, clips: list[Tensor], audio: Tensor) -> dict[str, Tensor]:
    """Outputs of the stages by both codes' names: `sK_pathwayP` before what joins after them, `blockB_pathwayP` with it."""
    answers: dict[str, Tensor] = {}
    handles = []
    for number, path in enumerate((model.backbone.slow, model.backbone.fast, model.backbone.audio)):
        for i, name in enumerate(STAGES):

            def after(_module, _inputs, out, keys=(f"s{i + 2}_pathway{number}", f"block{i + 1}_pathway{number}")):
                answers.update(dict.fromkeys(keys, out))

            def before(_module, inputs, key=f"block{i}_pathway{number}"):
                answers[key] = inputs[0]

            handles += [
                getattr(path, name).register_forward_hook(after),
                getattr(path, name).register_forward_pre_hook(before),
            ]
    model(clips, audio)
    for handle in handles:
        handle.remove()
    return answers


def _shape(state: dict[str, Any], pattern: str) -> list[int]:
    return next(value["shape"] for key, value in state.items() if re.fullmatch(pattern, key))


def _kernels(state: dict[str, Any], pathway: int) -> list[list[int]]:
    """Frames of each block's convolution a, stage by stage."""
    found: dict[int, dict[int, int]] = {}
    for key, value in state.items():
        match = re.fullmatch(CONV_A.format(p=pathway), key)
        if match:
            stage, block = (int(group) for group in match.groups() if group is not None)
            found.setdefault(stage, {})[block] = value["shape"][2]
    return [[stage[i] for i in sorted(stage)] for _, stage in sorted(found.items())]


def _temporal(state: dict[str, Any], pathway: int) -> tuple[int, ...]:
    """Blocks of each stage up to the last with a kernel over time; all of a stage that has none."""
    found = _kernels(state, pathway)
    return tuple(max((i + 1 for i, k in enumerate(kernels) if k > 1), default=len(kernels)) for kernels in found)


def _front_end(case: dict) -> dict[str, np.ndarray]:
    config, outputs = case["config"], case["outputs"]
    fixed = {"mel_scale": "htk", "filter_norm": "slaney", "power": 2.0, "window": "hann periodic", "center": False, "fmin": 0.0}
    for key, value in fixed.items():
        if config[key] != value:
            raise ConfigError(f"the front end has {key} {value!r} only, the case {config[key]!r}")
    rate = config["sample_rate"]
    spec = AudioSpec(
        rate, config["window_ms"] * rate // 1000, config["step_ms"] * rate // 1000, config["n_mels"], config["frames"],
        config["mean"], config["std"],
    )  # fmt: skip
    if (spec.window, spec.hop, config["fmax"]) != (config["n_fft"], config["hop"], rate / 2):
        raise ConfigError("the front end has transforms as long as its window, and bands up to half the rate")
    noise = inputs_of(case)["noise"].astype(np.float64)
    waveform = torch.from_numpy(_signal(config["signal"], noise, rate)).float()  # as at run time
    answers = {
        "mel_filters": logmel.mel_filters(rate, spec.window, spec.mels),
        "logmel": logmel.log_mel(waveform, spec),
        "audio_input": logmel.audio_input(waveform.unsqueeze(0), spec).rows[0, 0],
    }
    return {key: cut(value, outputs[key]).float().numpy() for key, value in answers.items() if key in outputs}


def _signal(text: str, noise: np.ndarray, rate: int) -> np.ndarray:
    """The waveform of a formula with the terms A*noise[n], A*sin(2*pi*F*t) and A*sin(2*pi*(F+K*t)*t)."""
    number = r"(\d+(?:\.\d+)?)"
    t = np.arange(len(noise)) / rate
    said = text.split("=", 1)[1].split(", t =")[0].replace(" ", "")
    total = np.zeros(len(noise))
    for term in re.split(r"\+(?=\d[\d.]*\*(?:noise|sin))", said):
        if m := re.fullmatch(rf"{number}\*noise(?:\[n\])?", term):
            total += float(m[1]) * noise
        elif m := re.fullmatch(rf"{number}\*sin\(2\*pi\*{number}\*t\)", term):
            total += float(m[1]) * np.sin(2 * np.pi * float(m[2]) * t)
        elif m := re.fullmatch(rf"{number}\*sin\(2\*pi\*\({number}\+{number}\*t\)\*t\)", term):
            total += float(m[1]) * np.sin(2 * np.pi * (float(m[2]) + float(m[3]) * t) * t)
        else:
            raise ConfigError(f"the signal's term {term!r} is not understood")
    return total
