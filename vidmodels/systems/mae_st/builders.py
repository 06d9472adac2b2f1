"""The functions that the card names: settings as plain values to models."""

from __future__ import annotations

from typing import Any, Literal

from vidmodels.backbones.vit import ViTConfig
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.reconstruct import DecoderConfig
from vidmodels.systems.mae_st.model import MaskedAutoencoder, VideoClassifier

Form = Literal["mae_st", "pyslowfast"]


def masked_autoencoder(
    decoder_dim: int = 512,
    decoder_depth: int = 4,
    decoder_heads: int | None = None,
    form: Form = "mae_st",
    pred_frames: int | None = 8,
    **encoder: Any,
) -> MaskedAutoencoder:
    """A masked autoencoder; `encoder` are fields of ViTConfig.

    form: which published code the decoder agrees with; `decoder_heads` defaults to that code's number (16 or 8).
    pred_frames: None predicts whole patches.
    """
    heads = decoder_heads or (16 if form == "mae_st" else 8)
    if decoder_dim % heads:
        raise ConfigError(f"model.decoder_dim {decoder_dim} is not a multiple of model.decoder_heads {heads}")
    own, config = form == "mae_st", _encoder(encoder)
    decoder = DecoderConfig(decoder_dim, decoder_depth, heads, own_class_token=own, separable=own, pos_init=config.pos_init)
    return MaskedAutoencoder(config, decoder, pred_frames, "linspace" if own else "stride")


def video_classifier(
    num_classes: NumClasses = 400,
    dropout: float = 0.0,
    head_std: float = 2e-5,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    **encoder: Any,
) -> VideoClassifier:
    """A classifier of clips; `encoder` are fields of ViTConfig."""
    return VideoClassifier(_encoder(encoder), num_classes, dropout, head_std=head_std, activation=activation)


def _encoder(fields: dict[str, Any]) -> ViTConfig:
    config = ViTConfig(**fields)
    if config.dim % config.num_heads:
        raise ConfigError(f"dim {config.dim} is not a multiple of num_heads {config.num_heads}")
    config.grid  # noqa: B018  the geometry is checked here, where the values are known
    return config
