"""The decoder: every place gets its token, and the two forms differ where they are said to."""

from __future__ import annotations

import pytest
import torch

from vidmodels.heads.reconstruct import DecoderConfig, MaskedDecoder
from vidmodels.ops.masking import from_noise

GRID = (2, 3, 4)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("class_token", [True, False])
@torch.no_grad()
def test_shapes_and_class_token(own, class_token):
    decoder = MaskedDecoder(DecoderConfig(16, 1, 4, own_class_token=own, separable=own), 8, GRID, 12, class_token).eval()
    masking = from_noise(torch.rand(2, 24), 5)
    latent = torch.randn(2, 5 + class_token, 8)
    answer = decoder(latent, masking.restore, GRID)
    assert answer.shape == (2, 24, 12)
    if class_token:
        other = latent.clone()
        other[:, 0] += 1
        # the encoder's class token matters only where the decoder has none of its own
        assert torch.equal(decoder(other, masking.restore, GRID), answer) == own


@torch.no_grad()
def test_tokens_go_to_their_places():
    """Without blocks the answer at a kept place depends on its token alone, elsewhere on the mask token alone."""
    decoder = MaskedDecoder(DecoderConfig(16, 0, 4), 8, GRID, 12).eval()
    masking = from_noise(torch.rand(1, 24), 5)
    latent = torch.randn(1, 6, 8)
    answer = decoder(latent, masking.restore, GRID)
    for place in range(5):
        other = latent.clone()
        other[:, 1 + place] += 1
        changed = (decoder(other, masking.restore, GRID) != answer).any(-1)[0].nonzero().flatten().tolist()
        assert changed == [masking.keep[0, place].item()]
    decoder.mask_token.add_(1)
    assert torch.equal((decoder(latent, masking.restore, GRID) != answer).any(-1).float(), masking.mask)
