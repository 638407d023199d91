"""Checkpoints: whole or not there, and loadable with weights_only=True, so that a checkpoint can run no code."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from schemas.errors import RadforgeError
from schemas.training_run import write_bytes


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors, numbers, text, and dicts and lists of them. Raises RadforgeError when the disk refuses."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote. Raises RadforgeError when it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the sums that the file carries
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise RadforgeError("no such checkpoint", str(path)) from None
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, zipfile.BadZipFile):
        raise RadforgeError("the checkpoint is damaged", str(path), expected="a file that `train run` wrote") from None
    if not isinstance(state, dict) or "model" not in state:
        raise RadforgeError("not a checkpoint of a run", str(path), expected="a file that `train run` wrote")
    return state


def on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    """A model's state detached and copied to the CPU: a best checkpoint must not depend on the GPU it was made on."""
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}
