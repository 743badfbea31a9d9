"""Attestations: a verdict bound to the SHA-256 of each file of an artifact.

`quantlab_reports.attestation` writes one as an in-toto statement, and `quantlab.gate.statement` reads it. quantlab
signs nothing and checks no signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quantlab.errors import ArtifactError, UsageError
from quantlab.formats import artifact_files
from quantlab.gate.judging import Judged
from quantlab.gate.shipped import refuse_files_not_served
from quantlab.names import excerpt, listed
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, Variant, Verdict

__all__ = [
    "RESULTS",
    "Attestation",
    "TestResult",
    "attestation_of",
    "attested_variant",
    "other_rules",
    "refuse_other_files",
    "tests_of",
]

TestResult = Literal["PASSED", "WARNED", "FAILED"]
"""What the statement says about all tests together."""

RESULTS: tuple[TestResult, ...] = ("PASSED", "WARNED", "FAILED")


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a statement says about one artifact."""

    files: Mapping[str, str]
    """Name of each file, relative to the artifact's folder, or of the only file → SHA-256 of its bytes."""
    artifact_sha256: str
    """The hash by which a study knows the artifact, see `Variant.sha256`."""
    model_sha256: str
    samples_sha256: str
    """SHA-256 of the scored samples and their labels, see `SampleSet.sha256`."""
    verdict: Verdict
    """The decision about the settings that have these bytes, all of which must fit; without warnings."""
    result: TestResult
    """PASSED: every setting fits in every runtime that counts. WARNED: there are too few samples, and the build let
    that pass. FAILED: anything else."""
    plan: Mapping[str, Any]
    """How often and how much was looked at: key → a value of JSON, see `plan_of`."""


def plan_of(judged: Judged, variant: Variant) -> dict[str, Any]:
    """Return what counts beside the figures: how many settings were judged, and among how many they were chosen."""
    return {
        "settings_judged": len(judged.verdict.settings),
        "settings_of_study": len({trial.setting for trial in judged.study.trials if trial.requested}),
        "tuning_candidates": variant.candidates,
        "several": judged.verdict.several,
        "look": judged.verdict.look,
    }


def attested_variant(judged: Judged) -> Variant | None:
    """Return the one artifact that a verdict is about; None if its conversion failed.

    Raises:
        UsageError: If the judged settings have several artifacts.
    """
    names = _counted(judged.verdict)
    variants = {
        row.trial.variant.sha256: row.trial.variant
        for row in judged.trials
        if row.trial.variant is not None and row.trial.setting in names
    }
    if len(variants) > 1:
        raise UsageError(
            f"--attest is about one artifact, and {listed(list(names))} are judged; name one with --setting, or the "
            f"files that you ship with --artifact"
        )
    return next(iter(variants.values()), None)


def _counted(verdict: Verdict) -> tuple[str, ...]:
    return tuple(judged.setting for judged in verdict.settings if verdict.named or judged.quantized)


def attestation_of(
    judged: Judged, variant: Variant, path: Path, *, undecided: str = "fail", registries: Registries = REAL
) -> Attestation:
    """Bind the verdict about an artifact to its files, which are read and hashed.

    Args:
        judged: The judged study.
        variant: The artifact; see `attested_variant`.
        path: Where its files are: in the study, or where they will be shipped from.
        undecided: What too few samples do to the build: `fail` or `warn`.
        registries: All formats.

    Raises:
        ArtifactError: If the files are missing or are no longer those that were measured.
    """
    hashed = artifact_files(path, registries.formats)
    if hashed.sha256 != variant.sha256:
        raise ArtifactError(
            f"'{path}' is not the artifact that was measured: its SHA-256 is {hashed.sha256}, and the study has "
            f"{variant.sha256}; run 'quantlab analyze' again"
        )
    names = {
        row.trial.setting for row in judged.trials if row.trial.variant and row.trial.variant.sha256 == variant.sha256
    }
    settings = tuple(one for one in judged.verdict.settings if one.setting in names)
    verdict = Verdict(
        judged.verdict.study, judged.verdict.budget, settings, named=True, untested=judged.verdict.untested
    )
    return Attestation(
        files=hashed.files,
        artifact_sha256=variant.sha256,
        model_sha256=judged.study.model.sha256,
        samples_sha256=judged.study.samples.sha256,
        verdict=verdict,
        result=_result(verdict, undecided),
        plan=plan_of(judged, variant),
    )


def _result(verdict: Verdict, undecided: str) -> TestResult:
    if verdict.fits:
        return "PASSED"
    return "WARNED" if undecided == "warn" and verdict.outcome == "inconclusive" and verdict.lacks_samples else "FAILED"


def tests_of(attestation: Attestation) -> dict[str, list[str]]:
    """Return the names of the tests in the fields of the predicate: one test for each setting in each runtime."""
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    undecided = "warnedTests" if attestation.result == "WARNED" else "failedTests"
    fields_of = {"fits": "passedTests", "breaks": "failedTests", "inconclusive": undecided}
    for setting in attestation.verdict.settings:
        for judgement in setting.judgements:
            name = f"{attestation.verdict.study}.{setting.setting}.{judgement.runtime or 'no runtime'}"
            tests[fields_of[judgement.outcome]].append(name)
    return tests


def other_rules(attestation: Attestation, asked: Budget) -> tuple[str, ...]:
    """Return a clause for each rule of a budget, about looks and order, by which an attested verdict was not judged.

    A rule that is not asked for is not compared.
    """
    look = attestation.plan.get("look")
    look = look if isinstance(look, dict) else {}
    planned = look.get("planned_n") if look.get("kind") == "planned" else None
    order = attestation.verdict.budget.order
    rules = (
        ("order", "not set" if order is None else ",".join(order), asked.order and ",".join(asked.order)),
        ("planned_n", "not set" if planned is None else excerpt(str(planned)), asked.planned_n),
        ("looks", "any" if look.get("kind") == "any" else "not set", asked.looks),
    )
    return tuple(
        f"{key} is {known} there, and {wanted} is asked"
        for key, known, wanted in rules
        if wanted is not None and known != str(wanted)
    )


def refuse_other_files(attestation: Attestation, path: Path, statement: Path, *, registries: Registries = REAL) -> None:
    """Check that an artifact has the files of a statement, all of them and no others, byte for byte.

    The name of a single file does not matter: it may have been renamed.

    Args:
        attestation: What the statement says.
        path: A file, or a folder that holds only files to be served.
        statement: The file of the statement, for the message.
        registries: All formats; a format says which files of a folder are served.

    Raises:
        ArtifactError: If the artifact does not exist, or has other files; the message has the hashes of one.
    """
    hashed = artifact_files(path, registries.formats)
    actual, expected = hashed.files, attestation.files
    if len(actual) == len(expected) == 1:
        name, expected = next(iter(actual)), {next(iter(actual)): next(iter(expected.values()))}
    if actual == expected:
        # The name of a single file, which may have changed, is part of the hash of a folder.
        if len(actual) > 1 and hashed.sha256 != attestation.artifact_sha256:
            raise ArtifactError(
                f"'{statement}' contradicts itself: its files have the SHA-256 {hashed.sha256} together, and it names "
                f"{attestation.artifact_sha256}; write it again with 'quantlab gate --attest'"
            )
        refuse_files_not_served(path, registries=registries)
        return
    name = next(name for name in (*actual, *expected) if actual.get(name) != expected.get(name))
    has = f"has the SHA-256 {actual[name]}" if name in actual else "is missing"
    wants = f"has {expected[name]}" if name in expected else "has no such file"
    raise ArtifactError(
        f"'{path}' is not the artifact of '{statement}': '{excerpt(name)}' {has}, and the statement {wants}; ship the "
        f"attested files, or attest these with 'quantlab gate --attest'"
    )
