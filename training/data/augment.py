"""What happens to a training picture, each time anew."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from schemas.train_recipe import Augment


def picture_seed(seed: int, epoch: int, position: int) -> int:
    """A seed for one picture in one epoch: the same on any number of workers and processes, and after a resume."""
    return int(np.random.SeedSequence(seed, spawn_key=(epoch, position)).generate_state(1, np.uint64)[0])


def augment(picture: Tensor, settings: Augment) -> Tensor:
    """uint8 (1, H, W) to uint8 (1, H, W): turned, cropped and resized back, mirrored, inverted, its greys changed.

    Randomness comes from torch's global generator of the CPU, always in the same amount. What a turn brings in from outside
    is black, as the borders are.
    """
    turn, part, top, left, flip, invert, bright, contrast = torch.rand(8).tolist()
    if settings.rotate_deg:
        angle = settings.rotate_deg * (2 * turn - 1)
        picture = functional.rotate(picture, angle, interpolation=v2.InterpolationMode.BILINEAR)
    if settings.crop < 1:
        picture = _crop(picture, settings, part, top, left)
    if flip < settings.flip:
        picture = functional.horizontal_flip(picture)
    if invert < settings.invert:
        picture = functional.invert(picture)
    if settings.intensity:
        picture = functional.adjust_brightness(picture, 1 + settings.intensity * (2 * bright - 1))
        picture = functional.adjust_contrast(picture, 1 + settings.intensity * (2 * contrast - 1))
    return picture


def _crop(picture: Tensor, settings: Augment, part: float, top: float, left: float) -> Tensor:
    """A part of the picture's own aspect, anywhere in it; the draws are in [0, 1)."""
    rows, columns = picture.shape[-2:]
    share = settings.crop + (1 - settings.crop) * part
    side = share if settings.crop_of == "side" else math.sqrt(share)
    high, wide = max(round(rows * side), 1), max(round(columns * side), 1)
    corner = [int(top * (rows - high + 1)), int(left * (columns - wide + 1))]
    cropped: Tensor = functional.resized_crop(picture, *corner, high, wide, [rows, columns], antialias=False)
    return cropped
