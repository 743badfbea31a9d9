"""How this was measured: samples, checks, warnings, rules, versions and hashes."""

from quantlab.names import counted
from quantlab_reports.judging_rules import look_words, several_settings
from quantlab_reports.page.contract import Content
from quantlab_reports.subject import Subject
from quantlab_reports.views.trials import footer, heading

__all__ = ["measured_section"]


def measured_section(subject: Subject) -> Content:
    """Everything that is needed to repeat the study, and all of its warnings."""
    study, chosen = subject.study, subject.recommendation
    warnings = study.warnings if chosen is None else chosen.verdict.warnings
    above = [line for line in heading(study) if not line.startswith("! ")]
    several = None if chosen is None else chosen.verdict.several
    rules = [] if several is None else [several_settings(several)]
    look = None if chosen is None else look_words(chosen.verdict.look)
    values = {
        "warnings": warnings,
        "lines": [*above, *rules, *([look] if look else []), *footer(study, subject.formats)],
        "hashes": _hashes(subject),
    }
    failed = len(study.failed)
    conclusion = f"{study.samples.n:,} samples, {counted(len(study.trials), 'trial')}" + (
        f", {failed} failed" if failed else ""
    )
    count = f"{len(warnings)} warning" + ("" if len(warnings) == 1 else "s")
    return Content(f"{conclusion}, {count if warnings else 'no warnings'}.", "measured.html.jinja", values)


def _hashes(subject: Subject) -> list[tuple[str, str]]:
    study = subject.study
    known = {"model": study.model.sha256, "samples": study.samples.sha256}
    if study.calibration is not None:
        known["calibration samples"] = study.calibration.sha256
    known |= {trial.setting: trial.variant.sha256 for trial in study.trials if trial.variant is not None}
    return [(name, digest) for name, digest in known.items() if digest]
