"""Turning a trained ConvNet into its deployed form.

N clips, C colours, T frames, H height, W width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vidmodels.backbones.x3d import Block
from vidmodels.core.errors import ConfigError
from vidmodels.inference.deploy.forms import ClipConv, FrameConv, LeanBlock, PlaceConv, PlaneConv, TapConv
from vidmodels.inference.fold import fold_norms
from vidmodels.layers.conv import padding_of

TOLERANCE = 1e-4  # of the largest answer; rounding alone is below 1e-5


class Deployed(nn.Module):
    """A model for clips of one shape [N, C, T, H, W], for running only. Raises ConfigError for clips of another shape."""

    def __init__(self, network: nn.Module, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.input_shape = tuple(input_shape)
        self.train(False)

    @torch.no_grad()
    def forward(self, clips: Tensor, *more: Tensor) -> Tensor:
        """What the model answered; `more`: its further inputs, such as boxes."""
        if tuple(clips.shape) != self.input_shape:
            raise ConfigError(
                f"clips of shape {tuple(clips.shape)} do not fit a model deployed for {self.input_shape}: deploy it for them"
            )
        return self.network(clips, *more)

    def train(self, mode: bool = True) -> Deployed:
        """Stays in evaluation. Raises ConfigError where it shall learn."""
        if mode:
            raise ConfigError("a deployed model cannot be trained: train the model and deploy it again")
        return super().train(False)


def deploy(model: nn.Module, input_shape: Sequence[int], *more: Tensor, only_2d: bool = False) -> Deployed:
    """A copy of a ConvNet of this package that answers the same for clips of one shape, faster and with fewer parameters.

    Batch norms are folded, and 3-D convolutions become products and 2-D ones: kernel 1, 1 x k x k, k x 1 x 1, and any
    kernel over frames of which the clip has but one. A kernel over frames and space stays 3-D, which on a CPU is faster than
    its sum of 2-D ones; only_2d writes it as that, for runtimes that have no 3-D convolution. The copy is compared with the
    model on a random clip.

    input_shape: [N, C, T, H, W]; more: what `forward` takes beside the clips, such as boxes. Raises ConfigError.
    """
    if any(isinstance(part, Deployed) for part in model.modules()):
        raise ConfigError("the model is deployed already: deploy the model that it was made from")
    if len(input_shape) != 5 or min(input_shape) < 1:
        raise ConfigError(f"input_shape {tuple(input_shape)} is not that of clips: give (N, C, T, H, W)")
    parameter = next(model.parameters())
    clips = torch.randn(*input_shape, generator=torch.Generator().manual_seed(0)).to(parameter)
    network = fold_norms(model)
    frames = _frames_seen(network, clips, *more)
    _replace(network, lambda module: _deployed_form(module, frames, only_2d))
    made = Deployed(network.requires_grad_(False), input_shape)
    with torch.no_grad():
        answer = copy.deepcopy(model).eval()(clips, *more)
    error = (made(clips, *more) - answer).abs().max() / answer.abs().max().clamp(min=1e-12)
    if not error <= TOLERANCE:
        raise ConfigError(
            f"the deployed form of {type(model).__name__} answers otherwise than the model (relative error {error:.1e}): "
            "deploy takes networks of this package's convolutions and blocks only"
        )
    return made


@torch.no_grad()
def _frames_seen(model: nn.Module, clips: Tensor, *more: Tensor) -> dict[nn.Module, int]:
    """The frames of the clip that each convolution of the model is called with."""
    frames: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        frames[module] = inputs[0].shape[2]

    handles = [part.register_forward_pre_hook(note) for part in model.modules() if isinstance(part, nn.Conv3d)]
    model(clips, *more)
    for handle in handles:
        handle.remove()
    return frames


def _replace(module: nn.Module, form: Callable[[nn.Module], nn.Module]) -> None:
    """Put each part's form in its place, the inner parts first."""
    for name, child in module.named_children():
        _replace(child, form)
        setattr(module, name, form(child))


def _deployed_form(module: nn.Module, frames: dict[nn.Module, int], only_2d: bool) -> nn.Module:
    if isinstance(module, nn.Conv3d) and module in frames:  # one that is never called lends its weight to something else
        return _convolution(module, frames[module], only_2d)
    return LeanBlock(module) if isinstance(module, Block) else module


def _convolution(conv: nn.Conv3d, frames: int, only_2d: bool) -> nn.Module:
    """The form of a convolution that sees clips of so many frames."""
    kernel, stride, padding = conv.kernel_size, conv.stride, padding_of(conv)
    if kernel == (1, 1, 1) and max(padding) == 0 and conv.groups == 1:
        return PlaceConv(conv)
    if kernel[0] == 1 and stride[0] == 1 and padding[0] == 0:
        return FrameConv(conv)
    middle = kernel[0] // 2
    if frames == 1 and kernel[0] % 2 and padding[0] == middle * conv.dilation[0]:
        return FrameConv(conv, tap=middle)
    if kernel[1:] == stride[1:] == (1, 1) and padding[1:] == (0, 0):
        return PlaneConv(conv)
    return TapConv(conv) if only_2d else ClipConv(conv)
