"""MViTv2: builds the model from a case's configuration (of any of the reference codes) and answers its outputs.

What the shapes of the case's state tell is read from them; strides, pooling modes and the like from the configuration.
"""

from __future__ import annotations

import numpy as np

from tests.conformance.adapters.mvit_parts import answer
from vidmodels.systems.mvitv2.weights import FORMATS, load_tensors, numbered


def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    return answer(case, FORMATS, load_tensors, numbered)
