"""Log-mel spectrograms: bands, rows, times, silence; resampling against an independent one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch
from torch.testing import assert_close

from vidmodels.core.entry import AudioSpec
from vidmodels.core.errors import ConfigError
from vidmodels.ops.logmel import (
    FLOOR,
    audio_input,
    has_sound,
    log_mel,
    mel_filters,
    normalise,
    num_rows,
    resample,
    rows_between,
)

SPEC = AudioSpec()


def tone(hertz: float, seconds: float, rate: int = 16000) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * rate), dtype=torch.float64) / rate)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_bands_have_equal_area_and_centres_on_the_htk_scale():
    filters = mel_filters(16000, 512, 80)
    assert filters.shape == (257, 80)
    wide = filters[:, 40:]  # narrow ones fall between the frequencies
    assert_close(wide.sum(0) * 8000 / 256, torch.ones(40, dtype=torch.float64), rtol=0.05, atol=0)
    # 82 corners evenly from 0 to 2595 log10(1 + 8000 / 700) = 2840.02 mel: band 60 has its top at the corner 61
    top = 700 * (10 ** (2840.0230 * 61 / 81 / 2595) - 1)
    assert abs(filters[:, 60].argmax().item() * 8000 / 256 - top) < 8000 / 256


def test_other_limits_leave_out_the_frequencies_beyond_them():
    filters = mel_filters(16000, 512, 20, 1000.0, 4000.0)
    assert filters[: 1000 * 256 // 8000 + 1].sum() == 0
    assert filters[4000 * 256 // 8000 :].sum() == 0


@pytest.mark.parametrize("hertz", [440.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_band(hertz):
    loudest = log_mel(tone(hertz, 1.0), SPEC).mean(0).argmax().item()
    corners = 700 * (10 ** (np.linspace(0, 2840.0230, 82) / 2595) - 1)
    assert corners[loudest] < hertz < corners[loudest + 2]


def test_double_precision_and_single_agree():
    sound = tone(440, 2.1) + noise(33600)
    assert_close(log_mel(sound.float(), SPEC).double(), log_mel(sound, SPEC), rtol=0, atol=1e-4)


def test_leading_dimensions_stay():
    sound = noise(2, 3, 4000)
    assert_close(log_mel(sound, SPEC)[1, 2], log_mel(sound[1, 2], SPEC))
    assert log_mel(sound[..., :100], SPEC).shape == (2, 3, 0, 80)


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (511, 0), (512, 1), (767, 1), (768, 2), (34816, 135)])
def test_rows_of_so_many_samples(samples, rows):
    assert num_rows(torch.tensor([samples]), SPEC).tolist() == [rows]
    assert log_mel(torch.zeros(samples), SPEC).shape == (rows, 80)


def test_rows_for_the_model_go_from_the_first_to_the_last():
    sound = noise(34816)
    rows, heard = audio_input(sound[None], SPEC)
    whole = normalise(log_mel(sound, SPEC), SPEC)
    picks = torch.linspace(0, 134, 128).long()
    assert rows.shape == (1, 1, 128, 80)
    assert heard.tolist() == [True]
    assert_close(rows[0, 0], whole[picks])


def test_padding_of_a_batch_changes_nothing():
    sound = noise(2, 30000)
    padded = sound.clone()
    padded[1, 20000:] = 7.0  # not to be looked at
    both = audio_input(padded, SPEC, torch.tensor([30000, 20000]))
    assert_close(both.rows[0], audio_input(sound[:1], SPEC).rows[0])
    assert_close(both.rows[1], audio_input(sound[1:, :20000], SPEC).rows[0])


def test_silence_and_shortness_are_no_sound():
    sound = torch.stack([noise(20000), torch.zeros(20000, dtype=torch.float64), noise(20000)])
    batch = audio_input(sound, SPEC, torch.tensor([20000, 20000, 500]))
    assert batch.has_audio.tolist() == [True, False, False]
    assert batch.missing == 2
    assert batch.rows[1:].abs().max() == 0
    assert torch.isfinite(batch.rows).all()
    assert log_mel(sound[1], SPEC).unique().item() == pytest.approx(math.log(FLOOR))
    short = audio_input(sound[:, :300], SPEC)
    assert short.rows.shape == (3, 1, 128, 80)
    assert (short.missing, short.rows.abs().sum().item()) == (3, 0.0)


def test_faint_noise_is_sound():
    assert has_sound(normalise(log_mel(1e-3 * noise(20000), SPEC), SPEC))


def test_rows_by_time_are_those_whose_windows_lie_in_the_span():
    """Time stamps decide: the spectrogram of a track that starts later gives the same rows at the same times."""
    sound = noise(16000 * 4)
    whole = log_mel(sound, SPEC)
    late = log_mel(sound[16000:], SPEC)  # 62.5 rows later: 1.008 s is on both grids
    span = rows_between(whole, 1.024, 1.024 + 132 * 0.016 + 0.016, SPEC)
    assert_close(span[0], whole[64])
    assert_close(span[-1], whole[64 + 131])
    shifted = rows_between(log_mel(sound[64 * 256 :], SPEC), 1.024, 1.024 + 133 * 0.016, SPEC, origin=1.024)
    assert_close(shifted, span)
    assert late.shape[0] < whole.shape[0]


def test_rows_outside_the_sound_repeat_the_nearest():
    whole = log_mel(noise(16000), SPEC)
    span = rows_between(whole, -1.0, 3.0, SPEC)
    assert span.shape == (128, 80)
    assert_close(span[:20], whole[:1].expand(20, -1))
    assert_close(span[-20:], whole[-1:].expand(20, -1))
    with pytest.raises(ConfigError, match="the spectrogram has no row: the sound is shorter than a window"):
        rows_between(whole[:0], 0.0, 1.0, SPEC)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000])
def test_resampling_agrees_with_scipy(rate):
    sound = noise(2, 5001)
    common = math.gcd(rate, 16000)
    theirs = scipy.signal.resample_poly(sound.numpy(), 16000 // common, rate // common, axis=-1)
    assert_close(resample(sound, rate, 16000), torch.from_numpy(theirs), rtol=0, atol=1e-12)


def test_a_tone_keeps_its_pitch():
    resampled = resample(tone(440, 1.0, 44100), 44100, 16000)
    assert_close(resampled[200:-200], tone(440, 1.0)[200:-200], rtol=0, atol=1e-3)
    assert resample(resampled, 16000, 16000) is resampled


def test_a_rate_that_cannot_be():
    with pytest.raises(ConfigError, match="sound cannot be resampled from 0 to 16000 Hz: rates must be at least 1"):
        resample(noise(100), 0, 16000)
