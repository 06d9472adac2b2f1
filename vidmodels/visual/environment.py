"""What a program runs on: versions and hardware, for reports and bug reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys

PACKAGES = ("vidmodels", "torch", "torchvision", "av", "numpy", "pyarrow", "ray", "mlflow")


def environment() -> dict[str, str]:
    """Names and values in reading order: versions of Python and the packages, system, processor, memory, accelerators.

    Imports nothing heavy: accelerators are named only where the process uses torch already. No host names and no paths.
    """
    import psutil

    facts = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "from source" if name == "vidmodels" else "not installed"
    facts["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts["processor"] = f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}"
    facts["memory"] = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    facts["accelerator"] = _accelerators()
    return facts


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown processor"


def _accelerators() -> str:
    torch = sys.modules.get("torch")
    if torch is None:
        return "not looked for"
    if not torch.cuda.is_available():
        return "none"
    count = torch.cuda.device_count()
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{count} x {torch.cuda.get_device_name(0)}, {total:.0f} GiB, CUDA {torch.version.cuda}"
