"""The training lines of `make bench`: the loader with its cache against PNG, our step against a bare loop."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.benchmark import loader, training_step


def report(scratch: Path) -> list[str]:
    """Lines to print."""
    cached = loader.compare(scratch / "loader")
    step = training_step.compare(scratch / "step")
    lines = [
        "",
        "training: the loader, pictures of 1024 x 768 to 341 x 512 with augmentation",
        *(f"  {name:<24}{value:>10.1f}" for name, value in cached.items() if isinstance(value, float)),
        "training: a step of Rx Lite at 96 x 128, batch 32, one thread",
        f"  ours                    {1e3 * step['ours_s']:>10.1f} ms",
        f"  bare PyTorch loop       {1e3 * step['bare_s']:>10.1f} ms",
        f"  ratio (aim <= 1.05)     {step['ratio']:>10.3f}",
    ]
    if not torch.cuda.is_available():
        return [*lines, "no GPU here: the loader was not measured beside one"]
    fed = loader.fed_per_s(scratch / "loader", "cuda")
    return [*lines, f"the cached loader, to a GPU and normalised there {fed:>10.1f} pictures/s"]


def main() -> None:
    """Only these lines."""
    sys.stdout.write("\n".join(report(Path(sys.argv[1]))) + "\n")


if __name__ == "__main__":
    main()
