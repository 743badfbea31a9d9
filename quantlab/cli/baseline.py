"""The accepted figures of another branch, which `gate --baseline` compares with."""

from pathlib import Path
from typing import TYPE_CHECKING

from quantlab.cli.git import run_git
from quantlab.errors import StudyError, UsageError

if TYPE_CHECKING:
    from quantlab.types import AcceptedFigures

__all__ = ["accepted_of"]

_FILE = "quantlab.lock"


def accepted_of(baseline: str) -> "AcceptedFigures":
    """Read a file of accepted figures, or `quantlab.lock` of the current folder as it is in a revision of git.

    Raises:
        UsageError: If it is neither a file nor a revision, or there is no git.
        StudyError: If the revision has no such file, or its content is damaged.
    """
    from quantlab.gate import parse_lock, read_lock

    if Path(baseline).is_file():
        return read_lock(Path(baseline))
    revision = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{baseline}^{{commit}}")
    if revision is None:
        raise UsageError(
            f"--baseline is '{baseline}', which is neither a file nor a revision of git here; name a file of 'quantlab "
            f"accept', or a branch, for example origin/main (fetched, in CI with enough history)"
        )
    found = _git("show", f"{revision.decode().strip()}:./{_FILE}")
    if found is None:
        raise StudyError(
            f"the revision '{baseline}' has no '{_FILE}' in this folder; write one with 'quantlab accept' and commit "
            f"it there"
        )
    return parse_lock(found, f"{_FILE} of {baseline}")


def _git(*arguments: str) -> bytes | None:
    """What git prints; None if it fails."""
    done = run_git("--baseline", *arguments)
    return done.stdout if done.returncode == 0 else None
