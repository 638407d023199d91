"""What is left of a picture after each block of Rx: arithmetic, no tensors."""

from __future__ import annotations

from schemas.errors import RadforgeError

Size = tuple[int, int]
"""Rows and columns."""


def sizes_after(size: Size, blocks: int, padding: int) -> list[Size]:
    """Rows and columns before the first block and after each one, up to the block that leaves nothing.

    A block is a convolution 3x3, which takes 2 - 2 padding off a side, and a max pooling that halves it.
    """
    sizes = [size]
    for _ in range(blocks):
        rows, columns = (_after(side, padding) for side in sizes[-1])
        sizes.append((rows, columns))
        if min(rows, columns) == 0:
            break
    return sizes


def smallest_side(blocks: int, padding: int) -> int:
    """The smallest side of a picture of which so many blocks leave one cell: 46 for 4 blocks without padding."""
    side = 1
    for _ in range(blocks):
        side = 2 * side + 2 - 2 * padding
    return side


def check_fits(size: Size, blocks: int, padding: int) -> None:
    """Raises RadforgeError, with the size after every block, when the blocks leave nothing of a picture of this size."""
    sizes = sizes_after(size, blocks, padding)
    if min(sizes[-1]) > 0:
        return
    rows, columns = size
    last = len(sizes) - 1
    ways = [f"sides of {smallest_side(blocks, padding)} or more"]
    if padding == 0 and min(size) >= smallest_side(blocks, 1):
        ways.append("`model.padding = 1`")
    if last > 1:
        ways.append(f"`model.blocks = {last - 1}` at most")
    raise RadforgeError(
        f"{blocks} blocks with padding {padding} leave nothing of the pictures: block {last} {_end(sizes[-2], padding)}"
        f" (rows x columns: {' -> '.join(map(_text, sizes))})",
        "[model]",
        found=f"`data.size` of {columns} columns x {rows} rows",
        expected=" or ".join(ways),
    )


def _end(before: Size, padding: int) -> str:
    rows, columns = (side - 2 + 2 * padding for side in before)
    if min(rows, columns) < 1:
        return f"cannot convolve the {_text(before)} that are left"
    return f"pools {_text((rows, columns))} to nothing"


def _after(side: int, padding: int) -> int:
    return max(side - 2 + 2 * padding, 0) // 2


def _text(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))
