"""The processes that train together: one a GPU, started by torchrun or by a launcher that sets the same variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from schemas.errors import RadforgeError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process among its fellows, and its device."""

    rank: int
    world: int
    local: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def largest(self, number: int) -> int:
        """The largest of every rank's number: so all agree whether one of them was asked to stop."""
        if self.world == 1:
            return number
        value = torch.tensor([number], dtype=torch.int64, device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value.item())

    def total(self, values: list[float]) -> list[float]:
        """Sums over the ranks, element by element."""
        if self.world == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(v) for v in sums.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in rank order, on every rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)


@contextmanager
def join(device: str = "auto") -> Iterator[Ranks]:
    """Meet the other processes, if there are any. Raises RadforgeError when the device or the variables are not there."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        missing = [name for name in _VARIABLES if name not in os.environ]
        if missing:
            raise RadforgeError(
                "several processes, but not told how to meet", "environment", f"no {', '.join(missing)}", "torchrun"
            )
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    here = _device(device, local)
    if world == 1:
        yield Ranks(0, 1, 0, here)
        return
    if here.type == "cuda":
        torch.cuda.set_device(here)
    try:
        dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=timedelta(minutes=30))
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise RadforgeError("the processes could not meet", where, str(error).splitlines()[0][:200]) from None
    try:
        yield Ranks(rank, world, local, here)
    finally:
        dist.destroy_process_group()


def _device(wanted: str, local: int) -> torch.device:
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if wanted not in {"auto", "cuda"}:
        raise RadforgeError("no such device", f"--device {wanted}", expected="auto, cpu or cuda")
    if not torch.cuda.is_available():
        raise RadforgeError("no GPU here", f"--device {wanted}", expected="a CUDA device that torch can see; --device cpu")
    if local >= torch.cuda.device_count():
        raise RadforgeError(
            "more processes than GPUs", "LOCAL_RANK", str(local), f"below {torch.cuda.device_count()}: one process a GPU"
        )
    return torch.device("cuda", local)
