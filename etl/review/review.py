"""A sitting from its beginning to Ctrl-C: the version, the file beside it, and the page between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from etl.correction_file import CorrectionFile
from etl.private import is_inside
from etl.review.server import ReviewServer
from etl.review.session import Session
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError


def file_beside(version: DatasetVersion) -> Path:
    """Where corrections go unless somebody says otherwise: beside the dataset, never in it."""
    dataset = version.dataset.resolve()
    return dataset.with_name(dataset.name + ".corrections.toml")


@contextmanager
def sitting(version: DatasetVersion, out: Path | None, port: int) -> Iterator[ReviewServer]:
    """A server that listens already. Raises RadforgeError: the file, its key, the port, an old version."""
    path = out or file_beside(version)
    if is_inside(path, version.folder):
        raise RadforgeError("must not lie inside the version", f"--out {path}", expected="a file beside the dataset")
    if path.is_dir() or path.suffix != ".toml":
        raise RadforgeError("not a file of corrections", f"--out {path}", expected="a .toml file")
    with (
        CorrectionFile(path, version.card.get("key_fingerprint")) as file,
        ReviewServer(Session(version, file), port) as server,
    ):
        yield server


def serve(server: ReviewServer) -> None:
    """Answer until Ctrl-C, which is how a sitting ends."""
    with suppress(KeyboardInterrupt):
        server.serve_forever(poll_interval=0.2)
