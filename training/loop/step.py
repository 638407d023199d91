"""One step: batch -> loss -> gradients -> weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from schemas.errors import RadforgeError
from schemas.train_recipe import Loop
from training.data.batches import Batch, normalise
from training.loop.ranks import Ranks
from training.targets import Target


def half_precision(settings: Loop, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast, or None for full precision. Raises RadforgeError when the device cannot."""
    if settings.amp == "off" or (settings.amp == "auto" and device.type == "cpu"):
        return None
    if settings.amp == "fp16" and device.type == "cpu":
        raise RadforgeError("fp16 needs a GPU", "`loop.amp`", '"fp16" on a CPU', '"off" or "bf16"')
    if settings.amp == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if settings.amp == "bf16" else torch.float16


@dataclass
class Result:
    """What a step showed: loss summed over this rank's items, their logits (n,) on the CPU."""

    loss: float
    logits: Tensor


class Stepper:
    """A model in training: the network itself, its optimiser, and what stands between them."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        target: Target,
        settings: Loop,
        ranks: Ranks,
        mean: float,
        std: float,
    ) -> None:
        self.network, self.optimiser, self._target, self._settings, self._ranks = network, optimiser, target, settings, ranks
        self._mean, self._std = mean, std
        self.dtype = half_precision(settings, ranks.device)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=self.dtype is torch.float16)
        self.average = AveragedModel(network, multi_avg_fn=_decaying(settings.ema), use_buffers=True) if settings.ema else None
        self._callable: nn.Module = network
        self.wrap()

    def wrap(self) -> None:
        """Anew after features were frozen or set free: what is shared between processes has changed."""
        self._callable = self.network
        if self._settings.compile:
            self._callable = torch.compile(self._callable)  # type: ignore[assignment]
        if self._ranks.world > 1:
            ids = [self._ranks.device.index] if self._ranks.device.type == "cuda" else None
            self._callable = DistributedDataParallel(self._callable, device_ids=ids)

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and kept: the running average where there is one."""
        return self.average.module if self.average is not None else self.network

    def step(self, batch: Batch, lr: float) -> Result:
        """Raises RadforgeError when the memory does not suffice; the caller looks whether the loss is a number."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        with memory_told(self._settings):
            result = self._gradients(batch)
            if self._settings.clip_norm:
                self.scaler.unscale_(self.optimiser)
                nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip_norm)
            self.scaler.step(self.optimiser)
            self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return result

    def _gradients(self, batch: Batch) -> Result:
        """Of the mean loss over all ranks' items: DDP takes the mean over ranks, and all have as many items."""
        parts = batch.parts(self._settings.accumulate)
        count, loss, logits = len(batch.item), 0.0, []
        for index, part in enumerate(parts):
            here = part.to(self._ranks.device, non_blocking=True)
            with self._quiet(last=index == len(parts) - 1):
                with autocast(self._ranks.device, self.dtype):
                    output = self._callable(normalise(here.views, self._mean, self._std), here.mask)
                total = self._target.loss(output, here.target).sum()
                torch.autograd.backward(self.scaler.scale(total / count))
            loss += float(total.detach())
            logits.append(output.detach()[:, 0].float().cpu())
        return Result(loss, torch.cat(logits))

    def _quiet(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients travel between processes once a step, with its last part."""
        if isinstance(self._callable, DistributedDataParallel) and not last:
            return self._callable.no_sync()
        return contextlib.nullcontext()


def _decaying(decay: float) -> Any:
    return get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Half precision where it is wanted."""
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


@contextmanager
def memory_told(settings: Loop) -> Iterator[None]:
    """Turns a lack of memory, of GPU or machine, into one message with the way out."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "alloc" in str(error).lower():
            raise RadforgeError(
                "out of memory",
                "a training step",
                f"loop.batch = {settings.batch}, loop.accumulate = {settings.accumulate}",
                f"a smaller batch, the same in more parts (--set loop.accumulate={settings.accumulate * 2}), or smaller films",
            ) from error
        raise
