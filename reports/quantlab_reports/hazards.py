"""What `quantlab lint` found, as a table, as a document for programs, and as a JUnit file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from quantlab.names import counted
from quantlab.types.lint import Finding, LintResult
from quantlab_reports.junit import count_cases, xml_document, xml_text
from quantlab_reports.model import NOTES, Column, Table, table_of

__all__ = ["hazard_table", "lint_document", "render_lint_junit"]


def hazard_table(result: LintResult) -> Table:
    """Return a row for each finding, in groups by file; the column of files is left out where only one was given."""
    columns = [
        Column("hazard", lambda finding: finding.hazard, numeric=False),
        Column("severity", lambda finding: finding.severity, numeric=False),
        Column("where", lambda finding: finding.where or "whole file", numeric=False),
        Column(NOTES, lambda finding: finding.sentence, numeric=False),
        Column("measured", lambda finding: finding.measured, numeric=False),
    ]
    above: list[str] = []
    if len(result.files) > 1 and result.findings:
        folder, named = _beginnings(result.findings)
        columns.insert(0, Column("file", lambda finding: named.get(id(finding), ""), numeric=False))
        above = [f"Files in '{folder}':"] if folder else []
    table = table_of(
        columns,
        result.findings,
        keys=tuple(Finding.__dataclass_fields__),
        records=[asdict(finding) for finding in result.findings],
        above=above,
        below=_below(result),
    )
    return table if result.findings else replace(table, headed=False)


def _beginnings(findings: Sequence[Finding]) -> tuple[str, Mapping[int, str]]:
    """The folder that all files with findings are in, and the name of each in it, by the identity of its first finding.

    The folder is empty if they have none in common but the current one, or the root.
    """
    paths = {finding.path: _nearer(Path(finding.path)) for finding in findings}
    common = Path(os.path.commonpath([path.parent.absolute() for path in paths.values()]))
    folder = common if len(paths) > 1 and common not in {Path.cwd(), Path(common.anchor)} else None
    named = {path: str(near.absolute().relative_to(folder) if folder else near) for path, near in paths.items()}
    first = {finding.path: id(finding) for finding in reversed(findings)}
    return str(_nearer(folder)) if folder else "", {first[path]: name for path, name in named.items()}


def _nearer(path: Path) -> Path:
    """A path from the current folder, if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _below(result: LintResult) -> list[str]:
    examined = len(result.files) - len(result.unread)
    if not examined:
        return ["No file was examined."]
    counts = ", ".join(counted(count, severity) for severity, count in result.counts.items() if count)
    lines = [f"{counts or 'No hazard'} in {counted(examined, 'file')}."]
    ids = list(dict.fromkeys(finding.hazard for finding in result.findings))
    if ids:
        lines.append(f"What happens, how to see it and what to do: 'quantlab lint --explain {ids[0]}'.")
    return lines


def lint_document(result: LintResult) -> dict[str, Any]:
    """The result as one JSON object.

    | key | description |
    |---|---|
    | `files` | the paths that were given, in order |
    | `counts` | number of findings of each severity: `error`, `warning`, `note` |
    | `findings` | `hazard` (its id), `severity`, `path`, `where` (layer, tensor or op; empty for the whole file), |
    | | `sentence`, `see`, `remedy`, `docs` (page and heading) and `measured` (by a study; else empty) of each |
    | `unread` | `path` and `reason` of each file that could not be read |
    """
    return {
        "files": list(result.files),
        "counts": dict(result.counts),
        "findings": [asdict(finding) for finding in result.findings],
        "unread": [asdict(unread) for unread in result.unread],
    }


def render_lint_junit(result: LintResult) -> str:
    """Render findings as XML for CI systems: a testsuite for each file, and a testcase for each finding.

    An error is a `failure`, a file that could not be read an `error`; warnings and notes pass, with their sentences in
    `system-out`. A file without findings is one testcase that passes.
    """
    root = ET.Element("testsuites", name="quantlab lint")
    reasons = {unread.path: unread.reason for unread in result.unread}
    for path in dict.fromkeys(result.files):
        suite = ET.SubElement(root, "testsuite", name=xml_text(path))
        found = [finding for finding in result.findings if finding.path == path]
        for finding in found:
            suite.append(_case(finding))
        if not found:
            suite.append(_without_findings(path, reasons))
        count_cases(suite)
    count_cases(root)
    return xml_document(root)


def _case(finding: Finding) -> ET.Element:
    name = f"{finding.hazard} {finding.where}".strip()
    case = ET.Element("testcase", classname=xml_text(f"{finding.path}.{finding.hazard}"), name=xml_text(name))
    text = f"{finding.sentence}\n{finding.remedy}\n{finding.docs}"
    if finding.severity == "error":
        ET.SubElement(case, "failure", type=finding.hazard, message=xml_text(finding.sentence)).text = xml_text(text)
    else:
        ET.SubElement(case, "system-out").text = xml_text(f"{finding.severity}: {text}")
    return case


def _without_findings(path: str, reasons: Mapping[str, str]) -> ET.Element:
    case = ET.Element("testcase", classname=xml_text(path), name="no hazards")
    if path in reasons:
        ET.SubElement(case, "error", type="unread", message=xml_text(reasons[path])).text = xml_text(reasons[path])
    return case
