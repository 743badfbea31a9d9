"""The page of hazards: every id of `quantlab lint` as a heading, so that findings can link to it."""

from quantlab.lint import HAZARDS, Hazard

__all__ = ["hazards_page"]

_INTRO = (
    "`quantlab lint` looks for these hazards in models and artifacts, without samples. An **error** is a wrong result "
    "or a file that does not load, a **warning** a likely loss, and a **note** a property to know. It is reported "
    "only if the file shows it. `quantlab lint --explain ID` prints a section of this page; the guide "
    "[Hazards without samples](guides/lint.md) shows how to use the command."
)


def hazards_page() -> str:
    """A table of all hazards, and a section for each."""
    rows = [
        f"| [{hazard.id}](#{hazard.id.lower()}) | {hazard.severity} | {hazard.title} |" for hazard in HAZARDS.values()
    ]
    table = "\n".join(["| id | severity | hazard |", "|---|---|---|", *rows])
    return "\n\n".join(["# Hazards", _INTRO, table, *map(_section, HAZARDS.values())])


def _section(hazard: Hazard) -> str:
    title = hazard.title[0].upper() + hazard.title[1:]
    facts = (
        f"Severity: {hazard.severity}",
        f"Looked for in: {', '.join(hazard.kinds)}",
        f"How to see it: {hazard.see}",
        f"What to do: {hazard.remedy}",
        *([f"Figure of a study: {hazard.confirmed_by}"] if hazard.confirmed_by else []),
    )
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"## {hazard.id}\n\n**{title}.** {hazard.happens}\n\n{listed}"
