"""MAE-ST (Feichtenhofer et al. 2022, "Masked Autoencoders As Spatiotemporal Learners"): the masked autoencoder on
space-time patches, the classifier that is fine-tuned from its encoder, and the image model that it becomes.

N clips, C colours, T frames, H height, W width, L tokens of which K are kept, D channels, P values of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vidmodels.backbones.vit import VideoViT, ViTConfig
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses, total_of
from vidmodels.heads.projection import label_sets_of, linear_layers, make_projection
from vidmodels.heads.reconstruct import DecoderConfig, MaskedDecoder
from vidmodels.layers.transformer import LAYER_NORM_EPS
from vidmodels.ops.masking import Masking, from_noise, sample_masking
from vidmodels.ops.patches import normalise_patches, patchify, unpatchify

FrameChoice = Literal["linspace", "stride"]


@dataclass
class MaskedOutput:
    """loss: scalar; prediction, target: [N, L, P] in natural order; masking; latent: [N, (1 +) K, D] normed."""

    loss: Tensor
    prediction: Tensor
    target: Tensor
    masking: Masking
    latent: Tensor


class MaskedAutoencoder(nn.Module):
    """Encodes a few patches and reconstructs the rest.

    pred_frames: frames of a clip that are predicted, one slice of each token's patch for every T' of them (None: all
    frames). frame_choice: the single-purpose code takes them by linspace (0, 2, .. 12, 15), PySlowFast by stride.
    """

    no_decay = frozenset({"*.pos.*", "*.cls_token", "*.mask_token"})

    def __init__(
        self,
        encoder: ViTConfig,
        decoder: DecoderConfig,
        pred_frames: int | None = 8,
        frame_choice: FrameChoice = "linspace",
    ) -> None:
        super().__init__()
        self.pred_frames, self.frame_choice = pred_frames, frame_choice
        self.feature_dim = encoder.dim
        self.encoder = VideoViT(encoder)
        self.norm = nn.LayerNorm(encoder.dim, LAYER_NORM_EPS)
        frames = encoder.num_frames if pred_frames is None else pred_frames
        steps = encoder.grid[0]
        if frames % steps or frames > encoder.num_frames:
            raise ConfigError(f"pred_frames {frames} is not a multiple of the {steps} time steps of the tokens")
        self.target_patch = (frames // steps, *encoder.patch[1:])
        values = 3 * self.target_patch[0] * self.target_patch[1] * self.target_patch[2]
        self.decoder = MaskedDecoder(decoder, encoder.dim, encoder.grid, values, encoder.class_token, encoder.qkv_bias)

    def forward(
        self,
        clips: Tensor,
        mask_ratio: float = 0.9,
        sampling: str = "random",
        target: Literal["normalised", "pixel"] = "normalised",
        generator: torch.Generator | None = None,
        valid: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> MaskedOutput:
        """Mask, encode, reconstruct and compare (MAE-ST, section 3).

        clips: [N, C, T, H, W] normalised; valid: bool [N], rows that count; noise: [N, L] in place of a random draw.
        """
        grid = self.encoder.grid_of(clips)
        if noise is None:
            masking = sample_masking(sampling, len(clips), grid, mask_ratio, generator, clips.device)
        else:
            masking = from_noise(noise, int(noise.shape[1] * (1 - mask_ratio)))
        latent = self.norm(self.encoder(clips, masking.keep))
        prediction = self.decoder(latent, masking.restore, grid)
        wanted = self.target(clips, target)
        loss = masked_mean_squared_error(prediction, wanted, masking.mask, valid)
        return MaskedOutput(loss, prediction, wanted, masking, latent)

    def target_frames(self, num_frames: int) -> Tensor:
        """Indices of the frames that are predicted, for clips of `num_frames`."""
        if self.pred_frames is None:
            return torch.arange(num_frames)
        config = self.encoder.config
        count = self.target_patch[0] * (num_frames // config.patch[0])
        if self.frame_choice == "stride":
            return torch.arange(0, num_frames, num_frames // count)
        return torch.linspace(0, num_frames - 1, count).long()

    def target(self, clips: Tensor, kind: Literal["normalised", "pixel"] = "normalised") -> Tensor:
        """What is to be predicted, float32 [N, L, P], colour fastest."""
        patches = self.target_pixels(clips)
        return normalise_patches(patches)[0] if kind == "normalised" else patches

    def target_pixels(self, clips: Tensor) -> Tensor:
        """The predicted frames' patches before any normalisation, float32 [N, L, P]."""
        chosen = clips.index_select(2, self.target_frames(clips.shape[2]).to(clips.device))
        return patchify(chosen, self.target_patch, channels_last=True).float()

    @torch.no_grad()
    def reconstruct(self, clips: Tensor, output: MaskedOutput, kind: Literal["normalised", "pixel"]) -> Tensor:
        """The predicted frames [N, C, T', H, W] with visible patches as they are and dropped ones as predicted.

        A normalised prediction is brought back with the true mean and deviation of each patch.
        """
        pixels = self.target_pixels(clips)
        predicted = output.prediction.float()
        if kind == "normalised":
            _, mean, root = normalise_patches(pixels)
            predicted = predicted * root + mean
        mixed = torch.where(output.masking.mask.unsqueeze(-1) > 0, predicted, pixels)
        return unpatchify(mixed, self.encoder.grid_of(clips), self.target_patch)

    def features(self, clips: Tensor) -> Tensor:
        """Pooled embedding [N, D]: the normed mean of all tokens but the class token."""
        return _pool(self.encoder(clips), self.encoder.config.class_token, self.norm)

    def blocks(self) -> list[nn.Module]:
        """Blocks of encoder and decoder, for checkpointing of activations, compilation and sharding."""
        return [*self.encoder.blocks, *self.decoder.blocks]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter: the encoder's 0..depth, everything else above."""
        return _layer_id(self.encoder, name)


class VideoClassifier(nn.Module):
    """The encoder on all tokens with a linear layer on their mean (MAE-ST, section 4.4).

    pool: mean (of the tokens without the class token, then norm) or class (norm, then the class token). activation: what
    turns logits to scores, sigmoid where a clip may have several classes.
    """

    no_decay = frozenset({"*.pos.*", "*.cls_token"})

    def __init__(
        self,
        encoder: ViTConfig,
        num_classes: NumClasses = 400,
        dropout: float = 0.0,
        pool: Literal["mean", "class"] = "mean",
        head_std: float = 2e-5,
        activation: Literal["softmax", "sigmoid"] = "softmax",
    ) -> None:
        super().__init__()
        if pool == "class" and not encoder.class_token:
            raise ConfigError("pool 'class' needs a model with a class token: choose pool 'mean'")
        self.num_classes, self.label_sets = total_of(num_classes), label_sets_of(num_classes)
        self.pool, self.activation = pool, activation
        self.feature_dim = encoder.dim
        self.encoder = VideoViT(encoder)
        self.norm = nn.LayerNorm(encoder.dim, LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.head = make_projection(encoder.dim, num_classes)
        for layer in linear_layers(self.head):
            nn.init.trunc_normal_(layer.weight, std=head_std)
            nn.init.zeros_(layer.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits [N, num_classes] of clips [N, C, T, H, W]."""
        return self.head(self.dropout(self.features(clips)))

    def features(self, clips: Tensor) -> Tensor:
        """Pooled and normed embedding [N, D]."""
        tokens = self.encoder(clips)
        if self.pool == "class":
            return self.norm(tokens[:, 0])
        return _pool(tokens, self.encoder.config.class_token, self.norm)

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return list(self.encoder.blocks)

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates (BEiT): 0 stem, i + 1 block i, above them norm and head."""
        return _layer_id(self.encoder, name)


def masked_mean_squared_error(prediction: Tensor, target: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over a patch's values, then over the dropped tokens of the batch; visible tokens do not count.

    prediction, target: [N, L, P]; mask: [N, L], 1 where dropped; valid: bool [N], rows that count.
    """
    per_token = (prediction.float() - target).square().mean(-1)
    weight = mask if valid is None else mask * valid.to(mask.dtype).unsqueeze(1)
    # a clip that could not be decoded may hold anything, even what is not finite
    return torch.where(weight > 0, per_token, 0.0).sum() / weight.sum().clamp(min=1)


@torch.no_grad()
def to_image_model(model: VideoClassifier) -> VideoClassifier:
    """The classifier for single images [N, C, 1, H, W] (MAE-ST, appendix: image transfer).

    The patch kernel is summed over time and the temporal positions are dropped; joint positions are averaged over time.
    """
    old = model.encoder.config
    config = ViTConfig(**{**old.__dict__, "num_frames": 1, "patch": (1, *old.patch[1:])})
    image = VideoClassifier(config, model.label_sets or model.num_classes, model.dropout.p, model.pool)
    state = model.state_dict()
    state["encoder.patch_embed.weight"] = state["encoder.patch_embed.weight"].sum(2, keepdim=True)
    if old.separable:
        state["encoder.pos.temporal"] = torch.zeros(1, 1, old.dim)
    else:
        table = state["encoder.pos.table"]
        first, rest = table[:, : int(old.class_token)], table[:, int(old.class_token) :]
        state["encoder.pos.table"] = torch.cat([first, rest.unflatten(1, (old.grid[0], -1)).mean(1)], dim=1)
    image.load_state_dict(state)
    return image


def _pool(tokens: Tensor, class_token: bool, norm: nn.Module) -> Tensor:
    return norm(tokens[:, int(class_token) :].mean(1))


def _layer_id(encoder: VideoViT, name: str) -> int:
    if name.startswith("encoder."):
        return encoder.layer_id(name.removeprefix("encoder."))
    return encoder.config.depth + 1
