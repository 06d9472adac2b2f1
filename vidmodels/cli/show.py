"""`vidmodels show`: all that is known about one model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vidmodels import zoo
from vidmodels.cli.models import as_dict
from vidmodels.cli.output import count, print_fields, print_json


def run(argv: Sequence[str]) -> int:
    """`vidmodels show NAME [--count] [--json]`. Raises ConfigError for an unknown name."""
    parser = argparse.ArgumentParser(prog="vidmodels show", description="Show what is known about a model.")
    parser.add_argument("name", help="name of a model, see `vidmodels models`")
    parser.add_argument(
        "--count", action="store_true", help="build the model and count what its card leaves open (takes memory)"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args(list(argv))

    facts = as_dict(zoo.entry(options.name))
    if options.count and None in (facts["params"], facts["macs"]):
        params, macs = counted(options.name)
        facts["params"] = facts["params"] or params
        facts["macs"] = facts["macs"] or macs
    if options.json:
        print_json(facts)
        return 0
    spec = facts["input"]
    rate = f" at {spec['fps']:g} per second" if spec["fps"] else ""
    taken = "" if spec["frame_stride"] == 1 else f", one of each {spec['frame_stride']}"
    audio = spec["audio"]
    heard = {}
    if audio is not None:
        rows = f"{audio['rows']} rows of {audio['mels']} mel bands at {audio['sample_rate']} Hz"
        heard["sound"] = f"{rows}, over each clip's own time; clips without sound are masked"
    unknown = "not in the card (--count computes it)"
    print_fields(
        {
            "name": facts["name"],
            "summary": facts["summary"],
            "system": facts["system"],
            "task": facts["task"],
            "input": f"{spec['num_frames']} frames{taken}{rate}, {spec['size']} x {spec['size']} px",
            "values": f"(x / 255 - mean) / std, mean {tuple(spec['mean'])}, std {tuple(spec['std'])}",
            **heard,
            "parameters": f"{facts['params']:,}" if facts["params"] else unknown,
            "multiply-adds": f"{count(facts['macs'])} for one clip" if facts["macs"] else unknown,
            "published": "\n".join(f"{data}: {figure}" for data, figure in facts["published"].items()),
            "licence": facts["licence"],
            "weights": "\n".join(facts["formats"]),
            "recipes": "\n".join(facts["recipes"]),
        }
    )
    return 0


def counted(name: str) -> tuple[int, int]:
    """Parameters, and multiply-adds of matrix products and convolutions for one clip."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # on the meta device nothing is computed; the largest models would take minutes
    model = zoo.create_model(name).eval().to("meta")
    spec = zoo.entry(name).input
    clip = torch.empty(1, 3, spec.num_frames, spec.size, spec.size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clip)
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
