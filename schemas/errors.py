"""What radforge says when the mistake is not its own.

    RadforgeError            exit 2   a flag, a recipe, a label file, a path, a full disk
    |- NothingUsable         exit 3   not one record came out of an archive
    `- DamageFound           exit 4   `verify` found files that are not what they were

A mistake of ours is any other exception: it keeps its traceback and exits 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake, told so that it can be mended: what is wrong, where, what was found, what was expected."""

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.found:
            parts.append(f"found {self.found}")
        if self.expected:
            parts.append(f"expected {self.expected}")
        return "; ".join(parts)


class RadforgeError(Exception):
    """The user's mistake, or the disk's. Carries every problem of a file at once; never a patient's words."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        where: str = "",
        found: str = "",
        expected: str = "",
        *,
        problems: list[Problem] | None = None,
    ) -> None:
        self.problems = problems or [Problem(what, where, found, expected)]
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, problems: list[Problem]) -> RadforgeError:
        """Several problems as one error, each on its own line."""
        return cls("", problems=problems)

    def __reduce__(self) -> tuple[object, ...]:
        # Dask ships errors between processes by pickle, which would call __init__ with the joined text only.
        return (_rebuild, (type(self), self.problems))


def _rebuild(cls: type[RadforgeError], problems: list[Problem]) -> RadforgeError:
    return cls("", problems=problems)


class NothingUsable(RadforgeError):  # noqa: N818 - the name says what happened
    """Not one record came out; nothing was committed."""

    exit_code = 3


class DamageFound(RadforgeError):  # noqa: N818
    """Files of a version are missing or are not what they were."""

    exit_code = 4
