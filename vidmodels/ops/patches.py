"""Clips as sequences of space-time patches and back.

N clips, C colours, T frames, H height, W width; patches of u frames x p x p pixels, L of them in t-major order.
"""

from __future__ import annotations

from torch import Tensor

from vidmodels.core.errors import ConfigError


def patch_grid(shape: tuple[int, int, int], patch: tuple[int, int, int]) -> tuple[int, int, int]:
    """Patches along time, height and width of a clip of shape (T, H, W). Raises ConfigError where they do not divide."""
    for name, length, size in zip(("frames", "rows", "columns"), shape, patch):
        if length < size or length % size:
            raise ConfigError(
                f"a clip of {shape[0]} frames of {shape[1]} x {shape[2]} pixels has no whole number of patches of "
                f"{patch[0]} x {patch[1]} x {patch[2]}: choose a number of {name} that is a multiple of {size}"
            )
    return shape[0] // patch[0], shape[1] // patch[1], shape[2] // patch[2]


def patchify(clips: Tensor, patch: tuple[int, int, int], channels_last: bool) -> Tensor:
    """Clips [N, C, T, H, W] as patches [N, L, u*p*p*C].

    channels_last: values in the order (frame, row, column, colour) of MAE's targets; else (colour, frame, row, column),
    the order of a convolution's kernel.
    """
    n, c = clips.shape[:2]
    u, p, q = patch
    t, h, w = patch_grid(tuple(clips.shape[2:]), patch)  # type: ignore[arg-type]
    parts = clips.reshape(n, c, t, u, h, p, w, q)
    order = (0, 2, 4, 6, 3, 5, 7, 1) if channels_last else (0, 2, 4, 6, 1, 3, 5, 7)
    return parts.permute(order).reshape(n, t * h * w, u * p * q * c)


def unpatchify(patches: Tensor, grid: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """The inverse of `patchify` with channels last: [N, L, u*p*p*C] to clips [N, C, T, H, W]."""
    n = len(patches)
    (t, h, w), (u, p, q) = grid, patch
    parts = patches.reshape(n, t, h, w, u, p, q, -1)
    return parts.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(n, parts.shape[-1], t * u, h * p, w * q)


def normalise_patches(patches: Tensor, eps: float = 1e-6) -> tuple[Tensor, Tensor, Tensor]:
    """(patch - mean) / sqrt(variance + eps) of each patch [N, L, P], with mean and that root [N, L, 1].

    The variance is the unbiased one (MAE, He et al. 2022, section 4; MAE-ST code).
    """
    mean = patches.mean(-1, keepdim=True)
    root = (patches.var(-1, keepdim=True) + eps).sqrt()
    return (patches - mean) / root, mean, root
