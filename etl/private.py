"""DATASET.private: what must not be shared. The key, the index of the archive, the crosswalks, the lock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from etl.deidentify import Key, make_key, read_key
from schemas.errors import RadforgeError


@dataclass(frozen=True)
class Private:
    """The folder beside a dataset, mode 0700."""

    folder: Path

    @classmethod
    def beside(cls, dataset: Path, elsewhere: Path | None = None) -> Private:
        """`DATASET.private`, or the folder that `--private` names; never one inside the dataset."""
        folder = elsewhere or dataset.with_name(dataset.name + ".private")
        if is_inside(folder, dataset):
            raise RadforgeError(
                "what is private must not lie inside the dataset",
                f"--private {folder}",
                expected="another folder",
            )
        return cls(folder)

    @property
    def key_file(self) -> Path:
        """The key, unless --key names another."""
        return self.folder / "key"

    @property
    def index_file(self) -> Path:
        """The headers of the archives."""
        return self.folder / "index.parquet"

    @property
    def crosswalks(self) -> Path:
        """The ways back, one file a version."""
        return self.folder / "crosswalks"

    def crosswalk_file(self, version: str) -> Path:
        """Where the way back of a version is kept."""
        return self.crosswalks / f"{version}.parquet"

    def make(self) -> None:
        """Create the folder and its sub-folders, closed to others. Raises RadforgeError."""
        try:
            if not self.folder.exists():
                self.folder.mkdir(mode=0o700, parents=True)
            if self.folder.stat().st_mode & 0o077:
                raise RadforgeError(
                    "is open to others", f"--private {self.folder}", expected=f"chmod 700 {self.folder}, or another folder"
                )
            self.crosswalks.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RadforgeError("cannot be written", f"--private {self.folder}", found=error.strerror or "I/O error") from None

    def key(self, chosen: Path | None, dataset: Path, versions_exist: bool) -> Key:
        """The key of this dataset: `--key`, else the kept one, else a new one for a new dataset.

        A dataset that has versions but no key is not given a new one: ids would change and patients would be split.
        """
        if chosen is not None:
            if is_inside(chosen, dataset):
                raise RadforgeError("the key must not lie inside the dataset", f"--key {chosen}")
            return read_key(chosen)
        if self.key_file.exists():
            return read_key(self.key_file)
        if versions_exist:
            raise RadforgeError(
                "the dataset has versions, but their key is missing",
                str(self.key_file),
                expected="the key these versions were made with (--key FILE), or a new DATASET folder",
            )
        try:
            return make_key(self.key_file)
        except OSError as error:
            raise RadforgeError("the key cannot be made", str(self.key_file), found=error.strerror or "I/O error") from None


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, symbolic links followed, is the folder or lies in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
