"""The linear layer is the minimum that scikit-learn finds too, and its weight decay is chosen on what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vidmodels.inference.linear import WEIGHT_DECAYS, chosen_weight_decay, fit_linear


def noisy(count: int, dim: int, classes: int, noise: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples around a centre for each class, all values on scales of their own."""
    rng = np.random.default_rng(seed)
    centres, scales = np.random.default_rng(1).standard_normal((classes, dim)), np.logspace(-2, 2, dim)
    labels = np.arange(count) % classes
    x = (centres[labels] + noise * rng.standard_normal((count, dim))) * scales + 3
    return torch.from_numpy(x).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("decay", [1e-4, 1e-2, 1.0])
def test_minimum_is_that_of_scikit_learn(decay):
    x, y = noisy(120, 20, 4, 2.0)
    layer = fit_linear(x, y, 4, decay)
    # the penalty is on the mean loss, scikit-learn's C on the sum
    regression = LogisticRegression(C=1 / (2 * decay * len(x)), max_iter=5000, tol=1e-8)
    theirs = make_pipeline(StandardScaler(), regression).fit(x.numpy().astype(np.float64), y.numpy())
    probabilities = layer(x).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, theirs.predict_proba(x.numpy().astype(np.float64)), atol=2e-3)
    assert (probabilities.argmax(1) == theirs.predict(x.numpy())).all()


def test_a_value_that_never_changes_says_nothing():
    x, y = noisy(60, 5, 3, 0.1)
    x[:, 2] = 7
    layer = fit_linear(x, y, 3, 1e-3)
    assert torch.isfinite(layer(x)).all()
    assert layer.weight[:, 2].abs().max() == 0
    assert (layer(x).argmax(1) == y).all()


def test_noise_wants_more_weight_decay_than_signal():
    clean, noise = (chosen_weight_decay(*noisy(200, 100, 4, level), 4, seed=0) for level in (0.5, 12.0))
    assert clean in WEIGHT_DECAYS
    assert noise in WEIGHT_DECAYS
    assert clean < noise


def test_equal_seeds_choose_equally_and_too_few_cannot_be_chosen_with():
    x, y = noisy(40, 10, 4, 2.0)
    assert chosen_weight_decay(x, y, 4, 3) == chosen_weight_decay(x, y, 4, 3)
    assert chosen_weight_decay(x[:4], y[:4], 4, 0) is None
