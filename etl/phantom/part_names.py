"""How hospitals write the name of a body part: languages, case, accents, broken encodings, nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class PartText:
    """How a study names its body part. `examined` are the bytes of (0018,0015) as they stand in the file."""

    examined: bytes
    study: str = ""
    series: str = ""

    @property
    def named(self) -> bool:
        """Whether the part can be told from the header at all."""
        return bool(self.examined) or any(self.study in words or self.series in words for words in _STUDY_WORDS.values())


# UTF-8 read as Windows-1252 and written as UTF-8 again
_MANGLED_TWICE = "MUÑECA".encode().decode("cp1252").encode()

_EXAMINED: Mapping[str, tuple[bytes, ...]] = {
    "wrist": (
        b"WRIST", b"WRIST", "MUÑECA".encode("latin-1"), b"Wrist AP/Lat", _MANGLED_TWICE, b"mu?eca",
        b"MUNECA IZQ", b"CARPO",
        "muñeca".encode(), b"Carpus", "MUÑECA DCHA".encode("latin-1"), b"WRIS", b"Handgelenk", b"POIGNET",
        b"wrist ", b"CANELL",
        b"POLSO", b"R WRIST", b"PUNHO", b"MU ECA", "Muñeca derecha".encode("latin-1"), b"WRSIT",
        b"CARPUS DEXTER", b"MUECA",
    ),
    "hand": (b"HAND", b"MANO", b"Mano izq", b"MANUS", b"HAND PA", b"Main"),
    "elbow": (b"ELBOW", b"CODO", b"Ellbogen", b"COLZE"),
    "knee": (b"KNEE", b"RODILLA", b"Knie", b"GENOLL"),
    "chest": (b"CHEST", "TÓRAX".encode("latin-1"), b"THORAX", "TÃ“RAX".encode()),
}  # fmt: skip
_STUDY_WORDS: Mapping[str, tuple[str, ...]] = {
    "wrist": ("RX MUÑECA IZQUIERDA 2 PROYECCIONES", "Wrist 2 views", "RX CARPO", "Radiografia canell dret"),
    "hand": ("RX MANO", "Hand 3 views"),
    "elbow": ("RX CODO AP Y LATERAL", "Elbow 2 views"),
    "knee": ("RX RODILLA", "Knee AP"),
    "chest": ("RX TORAX PA", "Chest PA"),
}
_VAGUE = ("", "RX", "Radiografia simple", "URGENCIAS", "Control", "X-RAY")


def part_text(rng: Rng, part: str, turn: int, elsewhere: bool, nowhere: bool) -> PartText:
    """How a study of `part` names it; `turn` walks through the spellings, so that an archive has many."""
    vague = _VAGUE[rng.integers(len(_VAGUE))]
    if nowhere:
        return PartText(b"", vague)
    if elsewhere:
        words = _STUDY_WORDS[part][rng.integers(len(_STUDY_WORDS[part]))]
        return PartText(b"", study=words) if rng.random() < 0.5 else PartText(b"", vague, words)
    spellings = _EXAMINED[part]
    return PartText(spellings[turn % len(spellings)], vague)
