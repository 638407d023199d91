"""A sitting from its beginning to Ctrl-C: the version, the file beside it, and the page between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from etl.correction_file import CorrectionFile
from etl.private import Private, is_inside
from etl.review.server import ReviewServer
from etl.review.session import Session
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError


def file_beside(version: DatasetVersion) -> Path:
    """Where corrections go unless somebody says otherwise: beside the dataset, never in it."""
    dataset = version.dataset.resolve()
    return dataset.with_name(dataset.name + ".corrections.toml")


def _kept(path: Path, version: DatasetVersion) -> str | None:
    """What of a dataset a file would lie in that nobody else may write to; None where it lies in no such thing."""
    if is_inside(path, version.folder) or any((folder / "card.json").is_file() for folder in path.resolve().parents):
        return "the version" if is_inside(path, version.folder) else "a version"
    dataset = version.dataset.resolve()
    if is_inside(path, Private.beside(dataset).folder):
        return "what is private"
    hidden = [folder for folder in dataset.glob(".*") if is_inside(path, folder)]
    return hidden[0].name if hidden else None


@contextmanager
def sitting(version: DatasetVersion, out: Path | None, port: int) -> Iterator[ReviewServer]:
    """A server that listens already. Raises RadforgeError: the file, its key, the port, an old version."""
    path = out or file_beside(version)
    where = _kept(path, version)
    if where:
        raise RadforgeError(f"must not lie inside {where}", f"--out {path}", expected="a file beside the dataset")
    if path.is_dir() or path.suffix != ".toml":
        raise RadforgeError("not a file of corrections", f"--out {path}", expected="a .toml file")
    with (
        CorrectionFile(path, version.card.get("key_fingerprint")) as file,
        ReviewServer(Session(version, file), port) as server,
    ):
        yield server


def serve(server: ReviewServer, announce: Callable[[str], None]) -> None:
    """Tell the page's address and answer until Ctrl-C (or SIGTERM), which is how a sitting ends: also one just begun."""
    with suppress(KeyboardInterrupt):
        announce(server.url)
        server.serve_forever(poll_interval=0.2)
