"""Renders verdicts as a JUnit file: a testsuite for each study, a testcase for each setting in each runtime.

| outcome | testcase |
|---|---|
| fits | passed, with its figures in `system-out` |
| breaks | a `failure` of type `breaks` |
| failed to run | an `error` of type `failed` |
| inconclusive | a `failure` of type `inconclusive`; `skipped` if undecided settings only warn |

The file fails only if the gate fails. In a study that passes, for example because one quantized setting is enough,
settings that do not fit are `skipped`. There are no times, because nothing is run.
"""

import re
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

from quantlab.types import Judgement, Verdict
from quantlab_reports.figures import for_programs

__all__ = ["Undecided", "count_cases", "render_junit", "xml_document", "xml_text"]

Undecided = Literal["fail", "warn"]

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids even as references: control characters and halves of surrogate pairs."""


def render_junit(verdicts: Sequence[Verdict], *, undecided: Undecided = "fail") -> str:
    """Render verdicts as XML for CI systems.

    Args:
        verdicts: One for each study.
        undecided: What an inconclusive verdict does to the build: `fail` or `warn`.
    """
    root = ET.Element("testsuites", name="quantlab")
    for verdict in verdicts:
        root.append(_suite(verdict, undecided))
    count_cases(root)
    return xml_document(root)


def xml_document(root: ET.Element) -> str:
    """The text of a JUnit file, indented."""
    ET.indent(root)
    return '<?xml version="1.0"?>\n' + ET.tostring(root, encoding="unicode")


def _suite(verdict: Verdict, undecided: str) -> ET.Element:
    suite = ET.Element("testsuite", name=xml_text(verdict.study))
    properties = ET.SubElement(suite, "properties")
    told = {
        "outcome": verdict.outcome,
        "recommended": verdict.recommended or "",
        "target": verdict.budget.target,
        "warnings": "; ".join(verdict.warnings),
        "untested": ", ".join(verdict.untested),
    }
    for name, value in told.items():
        ET.SubElement(properties, "property", name=name, value=xml_text(value))
    for setting in verdict.settings:
        for judgement in setting.judgements:
            suite.append(_case(judgement, verdict, undecided))
    count_cases(suite)
    return suite


def count_cases(suite: ET.Element) -> None:
    """Write the numbers of tests, failures, errors and skipped ones into a suite."""
    cases = list(suite.iter("testcase"))
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _case(judgement: Judgement, verdict: Verdict, undecided: str) -> ET.Element:
    name = xml_text(judgement.runtime or "no runtime")
    case = ET.Element("testcase", classname=xml_text(f"{verdict.study}.{judgement.setting}"), name=name)
    if judgement.outcome == "fits":
        told = ET.SubElement(case, "system-out")
    elif _passes(verdict, undecided) or (judgement.outcome == "inconclusive" and undecided == "warn" and judgement.n):
        told = ET.SubElement(case, "skipped", message=xml_text(f"{judgement.outcome}: {judgement.reason}"))
    elif _failed(judgement):
        told = ET.SubElement(case, "error", type="failed", message=xml_text(judgement.reason))
    else:
        told = ET.SubElement(case, "failure", type=judgement.outcome, message=xml_text(judgement.reason))
    told.text = xml_text("\n".join([judgement.reason, *_figures(judgement)]))
    return case


def _passes(verdict: Verdict, undecided: str) -> bool:
    return verdict.fits or (verdict.outcome == "inconclusive" and undecided == "warn" and verdict.lacks_samples)


def _failed(judgement: Judgement) -> bool:
    """Whether the trial failed: only a failed trial breaks without any sample."""
    return judgement.outcome == "breaks" and not judgement.n


def _figures(judgement: Judgement) -> list[str]:
    loss = judgement.loss
    if loss is None:
        return [f"n: {judgement.n}"] if judgement.n else []
    unit = f" {loss.unit}" if loss.unit else ""
    lines = [
        f"metric: {loss.metric}",
        f"reference: {for_programs(loss.reference)}",
        f"candidate: {for_programs(loss.candidate)}",
        f"loss: {for_programs(loss.loss)}{unit}",
        f"lower: {for_programs(loss.lower)}{unit}",
        f"upper: {for_programs(loss.upper)}{unit}",
        f"margin: {'none' if judgement.margin is None else for_programs(judgement.margin) + unit}",
        f"confidence: {for_programs(loss.confidence)}, one-sided, for each bound ({loss.method})",
        f"n: {loss.n}",
    ]
    if loss.groups is not None:
        lines.append(f"groups: {loss.groups}")
    if loss.p_mcnemar is not None:
        lines.append(f"McNemar p-value: {for_programs(loss.p_mcnemar)}")
    if judgement.missing is not None:
        lines.append(f"missing samples: {judgement.missing}")
    return lines


def xml_text(text: str) -> str:
    """The text with what XML 1.0 forbids replaced."""
    return _NOT_XML.sub("\ufffd", text)
