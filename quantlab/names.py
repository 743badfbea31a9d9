"""Names that users type, addresses among them, and lists and counts of names in sentences."""

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from quantlab.errors import UsageError

__all__ = [
    "address_of",
    "choose",
    "counted",
    "counted_candidates",
    "decibels",
    "excerpt",
    "in_minutes",
    "joined",
    "listed",
    "nearest",
    "nearest_of_many",
    "refuse_address",
    "shape_words",
    "shortened",
    "shown_place",
    "study_folder",
    "two_digits",
    "without_controls",
]

_MOST = 10
_LIKE = 0.6  # difflib's own default
_WHOLE = 99.5
"""From here on, two significant digits need an exponent."""


def decibels(value: float) -> str:
    """Decibels with a decimal and a true minus sign.

    >>> decibels(12.04), decibels(-3.4), decibels(float("-inf"))
    ('12.0 dB', '−3.4 dB', '−∞ dB')
    """
    return f"{value:.1f} dB".replace("-", "−").replace("inf", "∞")


def excerpt(text: str, *, most: int = 80) -> str:
    """The beginning of a text from outside, so that a sentence that quotes it stays readable.

    >>> excerpt("colour"), excerpt("colour" * 1000, most=8)
    ('colour', 'colourco…')
    """
    return text if len(text) <= most else f"{text[:most]}…"


def without_controls(text: str) -> str:
    r"""A text from outside without control characters, which terminals obey; new lines and tabs stay.

    >>> without_controls("a\x1b]0;title\x07 b\n")
    'a]0;title b\n'
    """
    return text.translate(_CONTROLS)


_CONTROLS = dict.fromkeys(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: similar names, or all known names.

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
    """Like `nearest`, for names that users chose, for example of files: at most ten, sorted.

    >>> nearest_of_many("zeal", ["b", "a"])
    "choose from 'a', 'b'"
    """
    known = sorted(known)
    hint = nearest(name, known)
    return hint if hint.endswith("?") or not known else f"choose from {listed(known)}"


def choose(
    kind: str, asked: Sequence[str], known: Sequence[str], *, matches: Callable[[str, str], bool] = fnmatch.fnmatchcase
) -> tuple[str, ...]:
    """Return the names of `known`, in its order, that a name or glob in `asked` matches; `all` matches every name.

    Args:
        kind: What the names stand for, for messages.
        asked: Names and globs; each text may hold several, separated by commas.
        known: All existing names.
        matches: Whether a name matches a glob.

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
    """Quote names for a message; beyond `most`, only count them.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    quoted = [f"'{name}'" for name in names]
    return shortened(quoted, most=most) if len(quoted) > most else ", ".join(quoted)


def joined(names: Sequence[str], *, separator: str = ",") -> str:
    """Join names with commas and a final "and", without quotes; at least one name.

    >>> joined(["a"]), joined(["a", "b", "c"]), joined(["a, x", "b, y", "c"], separator=";")
    ('a', 'a, b and c', 'a, x; b, y; and c')

    Args:
        names: What is joined.
        separator: A semicolon for clauses that contain commas.
    """
    *before, last = names
    final = " and " if separator == "," else f"{separator} and "
    return f"{f'{separator} '.join(before)}{final}{last}" if before else last


def two_digits(value: float) -> str:
    """A number of at least 0 with two significant digits; one from 100 on is whole, and never written as 1e+02.

    >>> two_digits(0.0123), two_digits(99.6), two_digits(1234.4)
    ('0.012', '100', '1,234')
    """
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.2g}"


def shortened(texts: Sequence[str], *, most: int, count: int | None = None, separator: str = ",") -> str:
    """Join texts like `joined`; beyond `most`, only count them.

    >>> shortened(["a", "b"], most=2), shortened(["a", "b", "c"], most=2), shortened(["a"], most=2, count=1000)
    ('a and b', 'a, b and 1 more', 'a and 999 more')

    Args:
        texts: At least one.
        most: The number of texts that are shown.
        count: How many there are, if `texts` are only the first of them.
        separator: See `joined`.
    """
    shown = texts[:most]
    more = (len(texts) if count is None else count) - len(shown)
    return joined([*shown, f"{more:,} more"] if more else shown, separator=separator)


def shape_words(shape: Sequence[int | None]) -> str:
    """A shape for a message, with `?` for open sizes.

    >>> shape_words((None, 3)), shape_words((3,)), shape_words(())
    ('(?, 3)', '(3,)', '()')
    """
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"


def counted(count: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun in the singular or plural.

    >>> counted(1, "value"), counted(1200, "value"), counted(0, "value is", "values are")
    ('1 value', '1,200 values', '0 values are')

    Args:
        count: Any number.
        one: What follows 1.
        several: What follows any other number; by default `one` with an "s".
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def in_minutes(minutes: float) -> str:
    """Return a time in minutes with its noun.

    >>> in_minutes(1.0), in_minutes(0.02), in_minutes(100)
    ('1 minute', '0.02 minutes', '100 minutes')
    """
    return f"{minutes:g} {'minute' if minutes == 1 else 'minutes'}"


def counted_candidates(candidates: int, single_decisions: int) -> str:
    """How many artifacts a search measured, among which it chose.

    >>> counted_candidates(20, 0), counted_candidates(1, 12)
    ('20 candidates', '1 candidate and 12 single decisions')
    """
    words = counted(candidates, "candidate")
    return f"{words} and {counted(single_decisions, 'single decision')}" if single_decisions else words


def study_folder(model: Path) -> Path:
    """Return the default folder of a model's study, in the current folder: the model's name without its suffix.

    A SavedModel for TensorFlow Serving lies in a folder whose name is its version, so the name of the model is that of
    the folder above.

    >>> str(study_folder(Path("models/digits.keras"))), str(study_folder(Path("serving/kws/1")))
    ('digits.study', 'kws-1.study')
    """
    whole = model.absolute()
    versioned = whole.name.isdecimal() and whole.parent.name
    return Path(f"{whole.parent.name}-{whole.name}.study" if versioned else f"{whole.stem}.study")


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?:/+(.*))?", re.DOTALL)


def address_of(path: str | Path) -> str | None:
    """The address in a path; None if it is one of this machine.

    A path drops slashes at its end, so that only `s3:` is left of `s3://`: it is an address too, of nothing.

    >>> address_of(Path("s3://bucket/study")), address_of("study"), address_of("/c:/study"), address_of(Path("s3://"))
    ('s3://bucket/study', None, None, 's3://')
    """
    match = _ADDRESS.fullmatch(str(path))
    return None if match is None else f"{match[1].lower()}://{match[2] or ''}"


def shown_place(path: Path) -> str:
    """A path or an address for messages and commands, without a name or a password.

    >>> shown_place(Path("s3://key:secret@bucket/study"))
    's3://bucket/study'
    >>> shown_place(Path("s3://key:half/other@bucket/study"))  # a password may hold a slash
    's3://bucket/study'
    """
    address = address_of(path)
    if address is None:
        return str(path)
    scheme, _, rest = address.partition("://")
    host, slash, name = rest.partition("/")
    if ":" in host:
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{name}"


def refuse_address(path: Path) -> None:
    """Refuse an address where only folders are read.

    Raises:
        UsageError: If it is one.
    """
    if address_of(path) is not None:
        raise UsageError(
            f"'{shown_place(path)}' is an address, and a folder is needed here; 'quantlab analyze --out', show, "
            f"report, gate and verify take the address of a study"
        )
