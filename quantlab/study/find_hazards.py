"""Hazards of models, artifacts and studies, as `quantlab lint` finds them."""

from collections.abc import Sequence
from pathlib import Path

from quantlab.lint import lint
from quantlab.study.hazards import lint_study
from quantlab.types.lint import LintResult

__all__ = ["find_hazards"]


def find_hazards(paths: Sequence[str | Path], *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> LintResult:
    """Find hazards in models, artifacts and studies, without samples; nothing is run.

    >>> import quantlab
    >>> from quantlab.demo import MODEL
    >>> found = quantlab.find_hazards([MODEL], ignore=["SMALL-TENSORS"])
    >>> found.counts["error"], found.unread
    (0, ())

    Args:
        paths: Files and folders, in any number; one that is given twice is examined once. Of a study, its model and
            all its artifacts are examined, and findings have what it measured.
        select: Ids of hazards, beginnings of ids, and globs; empty selects all.
        ignore: The same, for hazards to leave out; it wins over `select`.

    Returns:
        The findings. A file that cannot be read is in `unread`, with the reason.

    Raises:
        UsageError: If a text of `select` or `ignore` matches no id.
        StudyError: If a study cannot be read.
    """
    result = LintResult((), ())
    for path in dict.fromkeys(map(Path, paths)):
        if (path / "study.json").is_file():
            result += lint_study(path, select=select, ignore=ignore)
        else:
            result += lint([path], select=select, ignore=ignore)
    return result
