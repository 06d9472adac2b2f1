"""`python -m tests.bench [NAME ...]`: measure, print both sides and last a line `NAME ratio=R (min.. max..)` for each ratio."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.bench.harness import Ratio


def _benchmarks() -> dict[str, Callable[[], list[Ratio]]]:
    from tests.bench import classifiers, decoding, gpu, model, overhead

    return {
        "decode": decoding.decode,
        "decode_whole": decoding.decode_whole,
        "decode_repeat": decoding.decode_repeat,
        "store": decoding.store,
        "sparse": model.sparse,
        "sparse_decoder": lambda: model.sparse(with_decoder=True),
        "step": model.step,
        "step_bf16": lambda: model.step(bf16=True),
        "masked_step": model.masked_step,
        "forward": classifiers.forward,
        "train_step": classifiers.train_step,
        "deploy": classifiers.deploy,
        "overhead": overhead.overhead,
        "gpu": gpu.gpu,
    }


def main(argv: Sequence[str]) -> int:
    """Exit code 2 for an unknown name."""
    known = _benchmarks()
    if unknown := [name for name in argv if name not in known]:
        print(f"tests.bench: no benchmark {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    ratios: list[Ratio] = []
    for name in argv or [name for name in known if name != "gpu"]:
        print(name, flush=True)
        found = known[name]()
        ratios += found
    for one in ratios:
        if one.wanted:
            print(f"  {one.name}: the bound is {one.wanted}")
    for one in ratios:
        print(one)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
