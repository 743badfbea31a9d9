"""How to make it again: the command or program of the official tools, and those of quantlab."""

from quantlab_reports.page.contract import Content
from quantlab_reports.subject import Subject

__all__ = ["again_section", "in_lines"]


def again_section(subject: Subject) -> Content:
    """What makes the recommended artifact without quantlab, if something is recommended."""
    chosen = subject.recommendation
    if chosen is None or chosen.setting is None:
        return Content("Nothing is recommended, so there is nothing to make; 'quantlab recommend' judges by a budget.")
    recipe = (chosen.reproduce or "").rstrip()
    if not recipe:
        return Content(f"{chosen.setting} was given as a file, and quantlab does not know how it was made.")
    told = "This program makes" if "\n" in recipe else "This command makes"
    lead = f"{told} {chosen.setting} with the official tools, byte for byte, from the same model and versions."
    if any(trial.variant is not None and trial.variant.candidates for trial in subject.trials_of(chosen.setting)):
        lead = f"This makes {chosen.setting} again from the decisions of the search, without a search."
    return Content(lead, "again.html.jinja", {"recipe": in_lines(recipe)})


_LONG = 88


def in_lines(recipe: str) -> str:
    """A long command with a line for each option, for a shell; a program as it is."""
    if len(recipe) <= _LONG or "\n" in recipe or "'" in recipe or '"' in recipe:
        return recipe
    return recipe.replace(" --", " \\\n  --")
