"""Signs that libjpeg ran out of data or went astray: it then hands back a full picture without an error.

A sound film may show the same (black to its last row, say), so these are reasons to ask another decoder,
not to refuse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.pixels.claims import Claims
from etl.pixels.codestream import StreamHeader

Values = NDArray[Any]

OUT_OF_RANGE = "out_of_range"


def suspect_lossy(values: Values, header: StreamHeader, _: Claims) -> str:
    """Our code "grey_end" where the last block is all mid-range, as blocks without data are; else ""."""
    middle = 1 << (header.precision - 1)
    return "grey_end" if (values[-8:, -8:] == middle).all() else ""


def suspect_lossless(values: Values, header: StreamHeader, claims: Claims) -> str:
    """Our code for what is odd, else "".

    "out_of_range": a stream that went astray soon leaves BitsStored. "predicted_end": the last row is what
    the predictor makes of its neighbours, as all rows are that data is missing for.
    """
    if int(values.max()) >> claims.bits_stored and not (claims.signed and _is_signed(values, claims)):
        return OUT_OF_RANGE
    return "predicted_end" if _is_predicted(values[-2:].astype(np.int64), header.predictor) else ""


def _is_signed(values: Values, claims: Claims) -> bool:
    """Whether 16-bit cells all hold numbers of BitsStored bits, with or without their sign spread over
    the cell.
    """
    limit = 1 << (claims.bits_stored - 1)
    whole = values.astype(np.uint16, copy=False).view(np.int16)
    return bool(((whole >= -limit) & (whole < 2 * limit)).all())


def _is_predicted(rows: NDArray[np.int64], predictor: int) -> bool:
    """Whether the last of two rows is exactly what the predictor makes of its neighbours (T.81 table H.1)."""
    if rows.shape[0] < 2 or rows.shape[1] < 2:
        return False
    here, left, above, corner = rows[1, 1:], rows[1, :-1], rows[0, 1:], rows[0, :-1]
    predictions = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }
    return predictor in predictions and bool((here == predictions[predictor]).all())
