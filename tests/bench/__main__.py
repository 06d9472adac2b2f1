"""`python -m tests.bench [NAME ...]`: measure, print both sides and last a line for each ratio or figure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.bench.harness import Figure, Ratio


def _benchmarks() -> dict[str, Callable[[], list[Any]]]:
    from tests.bench import (
        classifiers,
        contrastive,
        decoding,
        gpu,
        gpu_classifiers,
        histograms,
        model,
        overhead,
        search,
        serving,
    )

    return {
        "decode": decoding.decode,
        "decode_whole": decoding.decode_whole,
        "decode_repeat": decoding.decode_repeat,
        "rho_decode": decoding.rho_decode,
        "store": decoding.store,
        "sparse": model.sparse,
        "sparse_decoder": lambda: model.sparse(with_decoder=True),
        "step": model.step,
        "step_bf16": lambda: model.step(bf16=True),
        "masked_step": model.masked_step,
        "hog": histograms.hog_of_frames,
        "forward": classifiers.forward,
        "forward_fast": classifiers.forward_fast,
        "train_step": classifiers.train_step,
        "deploy": classifiers.deploy,
        "portions": classifiers.portions,
        "rho": contrastive.rho,
        "overhead": overhead.overhead,
        "search": search.search,
        "serve_noop": serving.serve_noop,
        "serve_upload": serving.serve_upload,
        "serve_saturation": serving.serve_saturation,
        "serve_memory": serving.serve_memory,
        "gpu": gpu.gpu,
        "gpu_train": gpu_classifiers.gpu_train,
    }


def main(argv: Sequence[str]) -> int:
    """Exit code 2 for an unknown name, 1 where the table of counts misses a published figure."""
    known, missed = _benchmarks(), 0
    if unknown := [name for name in argv if name not in (*known, "table")]:
        print(f"tests.bench: no benchmark {unknown[0]!r}; there are: {', '.join((*known, 'table'))}", file=sys.stderr)
        return 2
    ratios: list[Ratio | Figure] = []
    for name in argv or ["table", *(name for name in known if not name.startswith("gpu"))]:
        print(name, flush=True)
        if name == "table":
            from tests.bench.table import table

            missed = table()
            print(f"  {missed} rows miss the published figures")
        else:
            ratios += known[name]()
    for one in ratios:
        if one.wanted:
            print(f"  {one.name}: the bound is {one.wanted}")
    for one in ratios:
        print(one)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
