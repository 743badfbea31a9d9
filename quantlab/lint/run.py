"""Examines files: reads each, applies the checks of its kind, and keeps what could not be read."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from pathlib import Path

from quantlab.errors import ArtifactError, QuantlabError, UsageError
from quantlab.foreign import reading
from quantlab.lint.contract import Evidence, Hazard, anchor
from quantlab.lint.reading import read_subject
from quantlab.lint.registry import HAZARDS
from quantlab.lint.subject import Subject
from quantlab.types.lint import Finding, LintResult, Unread

__all__ = ["choose_hazards", "examine", "examine_file", "lint", "nearest_hazard"]


_NAMED = 3
"""Most ids that a message lists."""


def lint(
    paths: Sequence[Path],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    signature: str | None = None,
) -> LintResult:
    """Examine models and artifacts.

    Args:
        paths: Files and folders, in any number; one that cannot be read does not concern the others, and one that is
            given twice is examined once.
        select: Ids, beginnings of ids, and globs, of which each may hold several, separated by commas; empty selects
            all hazards.
        ignore: The same, for hazards to leave out; it wins over `select`.
        signature: Of SavedModels; None takes the one that is served.

    Raises:
        UsageError: If a text of `select` or `ignore` matches no id, or no hazard is left.
    """
    hazards, findings, unread = choose_hazards(select, ignore), list[Finding](), list[Unread]()
    paths = tuple(dict.fromkeys(paths))
    for path in paths:
        try:
            findings += examine_file(path, hazards, signature)
        except QuantlabError as error:
            unread.append(Unread(str(path), str(error)))
    return LintResult(tuple(map(str, paths)), tuple(findings), tuple(unread))


def examine_file(path: Path, hazards: Sequence[Hazard], signature: str | None = None) -> list[Finding]:
    """Examine one file; a signature is that of a SavedModel.

    Raises:
        ModelError: If there is no file, or it is no complete model.
        ArtifactError: If it is no complete artifact, or a value in it is of a type that no check expects.
    """
    subject = read_subject(path, signature)
    with reading(path, ArtifactError, "a value in it is none that Keras or a converter writes, so convert it again"):
        return examine(subject, hazards)


def choose_hazards(
    select: Sequence[str], ignore: Sequence[str], known: Mapping[str, Hazard] = HAZARDS
) -> tuple[Hazard, ...]:
    """Hazards that are selected and not ignored, in the order of the registry; raises like `lint`.

    >>> [hazard.id for hazard in choose_hazards(["F16"], ["*-UNDERFLOW", "f16-eps"])]
    ['F16-OVERFLOW']
    """
    chosen = _matching(select, known) if select else set(known)
    left = chosen - _matching(ignore, known)
    if not left:
        raise UsageError(
            f"--ignore leaves out all that --select looks for ({', '.join(sorted(chosen)[:_NAMED])}), so nothing would "
            f"be checked; leave one of them out"
            if select
            else "--ignore leaves out all hazards, so nothing would be checked; leave it out"
        )
    return tuple(hazard for name, hazard in known.items() if name in left)


def _matching(texts: Sequence[str], known: Mapping[str, Hazard]) -> set[str]:
    matched: set[str] = set()
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        pattern = text.upper()
        found = {name for name in known if name.startswith(pattern) or fnmatchcase(name, pattern)}
        if not found or not text:
            raise UsageError(f"no hazard has an id like '{text}'; {nearest_hazard(pattern, known)}")
        matched |= found
    return matched


_LIKE, _AS_GOOD, _MOST = 0.6, 0.1, 3
"""Likeness of an id that is named, by how much it may be below that of the most like one, and number of named ids."""


def nearest_hazard(name: str, known: Iterable[str] = HAZARDS) -> str:
    """Return the end of a message about an unknown hazard: ids that are like it, or that begin or have a word like it.

    >>> nearest_hazard("RELU-SLOP"), nearest_hazard("overflow")
    ("did you mean 'RELU-SLOPE'?", "did you mean 'F16-OVERFLOW'?")
    >>> nearest_hazard("NOSUCH")
    "'quantlab lint --explain all' lists the ids"
    """
    asked = name.upper().strip("*?-")
    likeness = {
        hazard: max(
            SequenceMatcher(None, asked, part).ratio() for part in (hazard, hazard[: len(asked)], *hazard.split("-"))
        )
        for hazard in known
    }
    best = max(likeness.values(), default=0.0)
    near = [hazard for hazard, ratio in likeness.items() if ratio >= max(_LIKE, best - _AS_GOOD)]
    if not near:
        return "'quantlab lint --explain all' lists the ids"
    quoted = [f"'{hazard}'" for hazard in sorted(near, key=lambda hazard: -likeness[hazard])[:_MOST]]
    return f"did you mean {' or '.join(quoted)}?"


_SEVEREST = {"error": 0, "warning": 1, "note": 2}


def examine(subject: Subject, hazards: Sequence[Hazard]) -> list[Finding]:
    """Apply the checks of a subject's kind: errors first, and else in the order of the hazards."""
    found = [
        _finding(subject, hazard, evidence)
        for hazard in hazards
        if subject.kind in hazard.kinds
        for evidence in hazard.check(subject)
    ]
    return sorted(found, key=lambda finding: _SEVEREST[finding.severity])


def _finding(subject: Subject, hazard: Hazard, evidence: Evidence) -> Finding:
    return Finding(
        hazard=hazard.id,
        severity=evidence.severity or hazard.severity,
        path=subject.path,
        where=evidence.where,
        sentence=evidence.sentence,
        see=hazard.see,
        remedy=hazard.remedy,
        docs=anchor(hazard.id),
    )
