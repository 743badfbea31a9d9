"""Names that people write: what may have been meant, which are chosen by globs, and how several stand in a sentence."""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Sequence

from quantlab.errors import UsageError

__all__ = ["choose", "listed", "nearest", "nearest_of_many"]

_MOST = 10
_LIKE = 0.6  # difflib's own default


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what may have been meant, else what there is.

    >>> nearest("tfjs-int8", ["tfjs-uint8", "tflite-int8", "tfjs-float16"])
    "did you mean 'tfjs-uint8' or 'tflite-int8'?"
    >>> nearest("zeal", ["a", "b"]), nearest("zeal", [])
    ('choose from a, b', 'there are none')
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=_LIKE)[:2]
    if close:
        return "did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    return "choose from " + ", ".join(known) if known else "there are none"


def nearest_of_many(name: str, known: Iterable[str]) -> str:
    """The same for names that people chose, as of files, of which there may be any number; sorted, ten are told.

    >>> nearest_of_many("zeal", ["b", "a"])
    "choose from 'a', 'b'"
    """
    known = sorted(known)
    hint = nearest(name, known)
    return hint if hint.endswith("?") or not known else f"choose from {listed(known)}"


def choose(
    kind: str, asked: Sequence[str], known: Sequence[str], *, matches: Callable[[str, str], bool] = fnmatch.fnmatchcase
) -> tuple[str, ...]:
    """The names of `known`, in its order, that any of `asked` names or matches as a glob; `all` is every one.

    Args:
        kind: What they are names of, for a message.
        asked: Names and globs, several of which may stand in one with commas between.
        known: The names there are.
        matches: Whether a name is meant by a glob.

    >>> choose("setting", ["b*", "a"], ["a", "b1", "b2", "c"])
    ('a', 'b1', 'b2')

    Raises:
        UsageError: If one of `asked` matches nothing, or `asked` is empty.
    """
    patterns = [part.strip() for text in asked for part in text.split(",") if part.strip()]
    if not patterns:
        raise UsageError(f"no {kind} is named; {nearest('', known)}")
    chosen: set[str] = set()
    for pattern in patterns:
        matching = [name for name in known if pattern == "all" or matches(name, pattern)]
        if not matching:
            raise UsageError(f"there is no {kind} '{pattern}'; {nearest(pattern, known)}")
        chosen.update(matching)
    return tuple(name for name in known if name in chosen)


def listed(names: Sequence[str], *, most: int = _MOST) -> str:
    """Quoted names for a message; beyond `most` only their number is told.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
