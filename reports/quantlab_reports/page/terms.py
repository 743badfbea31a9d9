"""Terms of the glossary in the page: texts link to the explanations at its end, which has only those that are used."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from quantlab.glossary import GLOSSARY, anchor_of, explained

__all__ = ["Terms"]

_IN_TEXT = (
    "isolated SQNR",
    "half precision",
    "float32 check",
    "KL divergence",
    "equivalent",
    "SQNR",
    "top-1",
    "RMS error",
)
"""Terms that become links wherever they stand in a sentence; others also mean something in plain English."""
_PATTERN = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, _IN_TEXT))})(?![\w-])")


class Terms:
    """Makes links to terms, and remembers which are used."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def linked(self, text: str) -> Markup:
        """A text in which the first use of each known term is a link."""
        done = set[str]()

        def link(match: re.Match[str]) -> str:
            name = match[0]
            if name in done:
                return name
            done.add(name)
            return str(self.link(name, name))

        return Markup(_PATTERN.sub(link, str(escape(text))))  # noqa: S704 (the text is escaped)

    def link(self, name: str, text: str) -> Markup:
        """A link to the explanation of a term or heading; the text alone if there is none."""
        found = explained(name)
        if found is None:
            return escape(text)
        self._used.add(found[0])
        return Markup('<a class="term" href="#term-{}">{}</a>').format(anchor_of(found[0]), text)

    def of_headings(self, headings: Sequence[str]) -> list[Markup]:
        """Links to the terms of a table's headings, each once."""
        found = [explained(heading) for heading in headings]
        return [self.link(term, term) for term in dict.fromkeys(one[0] for one in found if one is not None)]

    def used(self) -> list[tuple[str, str, str]]:
        """Anchor, term and explanation of every term that was linked, in alphabetical order."""
        return [(anchor_of(term), term, GLOSSARY[term]) for term in GLOSSARY if term in self._used]
