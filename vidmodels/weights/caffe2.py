"""Reading of Caffe2's weights: pickles of named numpy arrays, opened so that nothing but arrays can come out of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidmodels.core.errors import WeightsError

# all that an array needs to be rebuilt, by the names that numpy 1, numpy 2 and Python 2's pickles write
_ALLOWED: dict[tuple[str, str], str] = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy", "ndarray"): "type",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every global but those that rebuild numbers."""

    def find_class(self, module: str, name: str) -> Any:
        kind = _ALLOWED.get((module, name))
        if kind is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if kind == "array":
            return np.empty(0).__reduce__()[0]
        if kind == "scalar":
            return np.float64(0).__reduce__()[0]
        if kind == "encode":
            return _latin1
        return np.ndarray if kind == "type" else _plain_dtype


def _latin1(text: str, encoding: str) -> bytes:
    """What Python 2's byte strings become on their way through a Python 3 pickle."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin-1")


def _plain_dtype(code: Any, *flags: Any) -> np.dtype:
    dtype = np.dtype(code)
    if dtype.hasobject:
        raise pickle.UnpicklingError(f"it holds an array of {dtype}, which may be anything")
    return dtype


def looks_like_pickle(path: Path) -> bool:
    """Whether a file is a bare pickle, which Caffe2's weights are and torch.save's archives are not.

    torch.save's old form is a bare pickle too: it begins with torch's magic number.
    """
    with path.open("rb") as file:
        head = file.read(16)
    torch_magic = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
    return head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"(d", b"}q") and torch_magic not in head


def read_blobs(path: Path) -> dict[str, Tensor]:
    """The arrays under "blobs" (or of the file itself) by their names; other entries are left out.

    Raises WeightsError for a file that is damaged, holds no arrays, or would build anything else than arrays.
    """
    try:
        with path.open("rb") as file:
            tree = _ArraysOnly(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise WeightsError(f"{path} is refused: it is damaged, or holds more than named arrays ({reason})") from None
    blobs = tree.get("blobs", tree) if isinstance(tree, dict) else None
    if not isinstance(blobs, dict):
        raise WeightsError(f"{path} holds no weights: it is a pickle of {type(tree).__name__}, not of named arrays")
    found = {str(name): value for name, value in blobs.items() if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"}
    if not found:
        raise WeightsError(f"{path} holds no weights: there is no array of numbers in it")
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in found.items()}
