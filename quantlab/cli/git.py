"""What git tells: which files changed since a revision."""

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import UsageError

__all__ = ["Changes", "changes_since", "run_git"]

_OPTION = "--changed-since"
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Changes:
    """The files of a work tree and those of them that changed."""

    changed: frozenset[Path]
    """Files that differ from the revision, and files that are new; absolute paths."""
    tracked: frozenset[Path]
    """All files that git tracks."""

    def touch(self, files: Collection[Path]) -> bool:
        """Whether one of some files or folders changed, or a file in one of the folders."""
        places = {file.resolve() for file in files}
        return any(places & {changed, *changed.parents} for changed in self.changed)

    def unseen(self, files: Collection[Path]) -> list[Path]:
        """Those of some files and folders whose changes git cannot tell, because it tracks nothing of them."""
        known = self.tracked | self.changed
        places = known.union(*(path.parents for path in known))
        return [file for file in files if file.resolve() not in places]


def changes_since(revision: str) -> Changes:
    """Compare the files of the current work tree with a revision.

    Raises:
        UsageError: If there is no git, no repository, or no such revision.
    """
    top = Path(_git("rev-parse", "--show-toplevel").rstrip("\n"))
    try:
        commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except UsageError as error:
        raise UsageError(
            f"{_OPTION} names '{revision}', and the repository '{top}' has no such revision; name a commit, a branch "
            f"or a tag, and fetch it if the clone is shallow"
        ) from error
    differing = _paths(top, "diff", "--name-only", "-z", "--no-renames", commit, "--")
    new = _paths(top, "ls-files", "-z", "--others", "--exclude-standard")
    return Changes(differing | new, _paths(top, "ls-files", "-z"))


def _paths(top: Path, *arguments: str) -> frozenset[Path]:
    told = _git("-C", str(top), *arguments)
    return frozenset((top / name).resolve() for name in told.split("\0") if name)


def _git(*arguments: str) -> str:
    ran = run_git(_OPTION, *arguments)
    if ran.returncode:
        lines = ran.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise UsageError(
            f"{_OPTION} compares with a git repository, and git says: {lines[0]}; run the command inside a clone, or "
            f"leave the option out"
        )
    return ran.stdout.decode(errors="surrogateescape")


def run_git(option: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run the git of the user, whatever its exit status.

    Args:
        option: The option that needs it, for messages.
        arguments: Those of git.

    Raises:
        UsageError: If there is no git, or it does not answer.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, timeout=_SECONDS, check=False)  # noqa: S607
    except OSError as error:
        raise UsageError(
            f"{option} needs the program git, which cannot be run ({error.strerror}); install git, or leave the option "
            f"out"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"git did not answer within {_SECONDS} seconds, which {option} needs; try again") from error
