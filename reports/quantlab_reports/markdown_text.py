"""Tables and texts as GitHub's Markdown has them."""

import re
from collections.abc import Sequence

from quantlab_reports.figures import EMPTY

__all__ = ["NAMES", "as_text", "table"]

NAMES = {"study", "setting", "runtime"}
"""Headings of columns whose text may be broken; the others are figures at the right, but for the verdict."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What turns the direction of text, has no width, or is half of a pair and cannot be written."""


def table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table of GitHub's; a column that is empty in every row is left out."""
    kept = [place for place in range(len(headings)) if any(row[place] not in {"", EMPTY} for row in cells)]
    lines = [
        [_unbroken(headings[place]) for place in kept],
        ["---" if headings[place] in {*NAMES, "verdict"} else "---:" for place in kept],
        *([row[place] if headings[place] in NAMES else _unbroken(row[place]) for place in kept] for row in cells),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if kept else ""


def _unbroken(cell: str) -> str:
    """With spaces at which no line is broken: a figure stays beside its unit, and its interval whole."""
    return cell.replace(" ", "\u00a0")


def as_text(text: str) -> str:
    r"""Names and reasons are text, not markup, and stay on their line.

    A zero-width space parts what GitHub would link or notify after the Markdown is read: `@name` and `#12`.

    >>> as_text("a|b <b> *c*")
    'a&#124;b &lt;b&gt; \\*c\\*'
    """
    text = _INVISIBLE.sub("\ufffd", " ".join(_CONTROL.sub(" ", text).split()))
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    text = re.sub(r"([\\`*_\[\]~$])", r"\\\1", text)
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", text).replace("|", "&#124;")
