"""The page of the glossary: every term as a heading, so that other pages and reports can link to it."""

from quantlab.glossary import GLOSSARY, SYNONYMS

__all__ = ["glossary_page"]


def glossary_page() -> str:
    """Every term with its explanation and the column headings that it explains."""
    parts = [
        "# Glossary",
        "The terms that tables, reports and messages use. `quantlab glossary TERM` prints the explanation of one term.",
    ]
    for term, text in GLOSSARY.items():
        headings = [heading for heading, explained in SYNONYMS.items() if explained == term]
        also = f" Also: {', '.join(headings)}." if headings else ""
        parts += [f"## {term}", f"{_escaped(text)}{_escaped(also)}"]
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Text, not markup: `<format>-<scheme>`."""
    return text.replace("<", "\\<").replace("[", "\\[")
