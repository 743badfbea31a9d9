"""Accepted figures (`quantlab.lock`): those of a study, and a study compared with them."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantlab.errors import StudyError
from quantlab.gate.figures import rounded_down, rounded_up
from quantlab.gate.judging import Judged
from quantlab.gate.lock_file import LOCK_SCHEMA
from quantlab.gate.output_limits import accepted_of, worse_than_accepted
from quantlab.gate.targets import target_of
from quantlab.names import listed
from quantlab.registries import REAL, Registries
from quantlab.types import (
    ERROR_FIGURES,
    AcceptedFigures,
    AcceptedLoss,
    AcceptedOutput,
    AcceptedSetting,
    AcceptedStudy,
    Judgement,
    Loss,
    OutputFigure,
    SettingVerdict,
    TrialEvidence,
    Verdict,
)

__all__ = ["accepted_figures", "changed_artifacts", "compare_with_lock"]


def accepted_figures(
    judged: Sequence[Judged], settings: Sequence[Sequence[str]], budget: Mapping[str, str]
) -> AcceptedFigures:
    """Collect the accepted figures of some settings of some studies.

    Args:
        judged: The judged studies.
        settings: For each study, the accepted settings.
        budget: The limits of the budget, as text.

    Raises:
        StudyError: If two studies have the same name.
    """
    names = [gathered.verdict.study for gathered in judged]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(
                f"two studies have the name '{name}', and accepted figures are stored by name; "
                f"rename one of the folders"
            )
    return AcceptedFigures(
        studies={
            gathered.verdict.study: AcceptedStudy(
                model_sha256=gathered.study.model.sha256,
                samples_sha256=gathered.study.samples.sha256,
                settings={name: _accepted(name, gathered.trials) for name in accepted},
            )
            for gathered, accepted in zip(judged, settings, strict=True)
        },
        budget=dict(budget),
        schema=LOCK_SCHEMA,
    )


def _accepted(name: str, trials: Sequence[TrialEvidence]) -> AcceptedSetting:
    # Rows with NaN do not count, else the setting would have been refused; nothing can be compared with theirs.
    of_setting = [row for row in trials if row.trial.setting == name and not (row.evidence and row.evidence.non_finite)]
    variant = next(row.trial.variant for row in of_setting if row.trial.variant)
    return AcceptedSetting(
        sha256=variant.sha256,
        size_bytes=variant.size_bytes,
        losses={
            row.trial.runtime: _accepted_loss(row.evidence.loss)
            for row in of_setting
            if row.evidence and row.evidence.loss
        },
        outputs={
            row.trial.runtime: accepted_of(row.evidence.figures)
            for row in of_setting
            if row.evidence and row.evidence.figures
        },
    )


def _accepted_loss(loss: Loss) -> AcceptedLoss:
    return AcceptedLoss(
        loss.metric,
        loss.unit,
        loss.n,
        loss.reference,
        loss.candidate,
        loss.loss,
        loss.lower,
        loss.upper,
        loss.confidence,
    )


def compare_with_lock(judged: Judged, lock: AcceptedFigures, *, registries: Registries = REAL) -> Verdict:
    """Return the verdict with the accepted losses as an additional limit.

    A setting breaks if the lower bound of its loss is above the accepted upper bound. It is inconclusive if it was not
    measured in a runtime that counts and in which it was accepted.

    Raises:
        StudyError: If there are no accepted figures for the study or for a setting that was selected by name, or they
            belong to another model or metric.
    """
    accepted = _study_of(judged, lock)
    verdict = judged.verdict
    _refuse_unaccepted(verdict, accepted)
    counting = verdict.budget.runtimes or target_of(verdict.budget, registries).runtimes
    figures = {
        (row.trial.setting, row.trial.runtime): row.evidence.figures
        for row in judged.trials
        if row.evidence is not None
    }
    return replace(
        verdict,
        settings=tuple(
            _compared(setting, accepted.settings[setting.setting], counting, figures)
            if setting.setting in accepted.settings
            else setting
            for setting in verdict.settings
        ),
    )


def _refuse_unaccepted(verdict: Verdict, accepted: AcceptedStudy) -> None:
    """Refuse settings selected by name that were never accepted: nothing would be compared."""
    unaccepted = [judged.setting for judged in verdict.settings if judged.setting not in accepted.settings]
    if verdict.named and unaccepted:
        raise StudyError(
            f"there are no accepted figures for {listed(unaccepted)} of '{verdict.study}' (accepted: "
            f"{', '.join(accepted.settings)}); accept them with 'quantlab accept', or select other settings"
        )


def _study_of(judged: Judged, lock: AcceptedFigures) -> AcceptedStudy:
    name = judged.verdict.study
    if name not in lock.studies:
        raise StudyError(
            f"there are no accepted figures for the study '{name}' (accepted: {', '.join(lock.studies) or 'none'}); "
            f"write them with 'quantlab accept'"
        )
    accepted = lock.studies[name]
    if accepted.model_sha256 != judged.study.model.sha256:
        raise StudyError(
            f"the accepted figures of '{name}' belong to another model: SHA-256 {accepted.model_sha256[:12]}…, and the "
            f"model of the study has {judged.study.model.sha256[:12]}…; check the new figures and accept them with "
            f"'quantlab accept'"
        )
    return accepted


def _compared(
    verdict: SettingVerdict,
    accepted: AcceptedSetting,
    counting: Sequence[str],
    figures: Mapping[tuple[str, str], Sequence[OutputFigure]],
) -> SettingVerdict:
    judged = {judgement.runtime for judgement in verdict.judgements}
    if not accepted.losses and any(judgement.loss is not None for judgement in verdict.judgements):
        raise StudyError(
            f"{verdict.setting} was accepted without a loss, so there is nothing to compare its loss with; accept it "
            f"again with 'quantlab accept'"
        )
    missing = [
        Judgement(verdict.setting, runtime, "inconclusive", f"was accepted in {runtime}, and was not run there")
        for runtime in dict.fromkeys((*accepted.losses, *accepted.outputs))
        if runtime not in judged and any(fnmatch.fnmatchcase(runtime, pattern) for pattern in counting)
    ]
    compared = [
        _against(judgement, accepted.losses[judgement.runtime]) if judgement.runtime in accepted.losses else judgement
        for judgement in verdict.judgements
    ]
    of_outputs = [
        _against_outputs(
            judgement,
            figures.get((judgement.setting, judgement.runtime), ()),
            accepted.outputs.get(judgement.runtime, ()),
        )
        for judgement in compared
    ]
    return replace(verdict, judgements=(*of_outputs, *missing))


def _against_outputs(
    judgement: Judgement, figures: Sequence[OutputFigure], accepted: Sequence[AcceptedOutput]
) -> Judgement:
    worse = worse_than_accepted(figures, accepted)
    if judgement.outcome == "breaks" or not worse:
        return judgement
    return replace(judgement, outcome="breaks", reason="; ".join(worse), missing=None)


def _against(judgement: Judgement, accepted: AcceptedLoss) -> Judgement:
    loss = judgement.loss
    if loss is not None and loss.metric != accepted.metric:
        raise StudyError(
            f"{judgement.setting} was accepted with the metric '{accepted.metric}' and is judged by '{loss.metric}'; "
            f"leave --metric out, or accept it again with 'quantlab accept'"
        )
    if loss is None and judgement.outcome == "fits":
        raise StudyError(
            f"{judgement.setting} was accepted with a loss of '{accepted.metric}', and the samples of this study have "
            f"no labels; give labelled samples, or accept it again with 'quantlab accept'"
        )
    if loss is None or not loss.lower > accepted.upper:
        return judgement
    unit = " pt" if loss.unit == "pt" else ""
    return replace(
        judgement,
        outcome="breaks",
        reason=f"loses at least {rounded_down(loss.lower, accepted.upper)}{unit}; "
        f"the accepted loss is at most {rounded_up(accepted.upper)}{unit}",
        missing=None,
    )


def changed_artifacts(judged: Judged, lock: AcceptedFigures) -> list[str]:
    """Return a sentence for each difference from the accepted figures: artifacts, runtimes, settings, samples."""
    accepted = lock.studies.get(judged.verdict.study)
    if accepted is None:
        return []
    hashes = {row.trial.setting: row.trial.variant.sha256 for row in judged.trials if row.trial.variant}
    changes = [
        f"{judged.verdict.study}: the artifact of {name} is not the accepted one: SHA-256 {hashes[name][:12]}…, "
        f"accepted {figures.sha256[:12]}…"
        for name, figures in accepted.settings.items()
        if name in hashes and hashes[name] != figures.sha256
    ]
    ran = {(row.trial.setting, row.trial.runtime) for row in judged.trials if row.evidence}
    changes += [
        f"{judged.verdict.study}: {name} was accepted in {runtime}, but this study did not measure it there"
        for name, figures in accepted.settings.items()
        for runtime in dict.fromkeys((*figures.losses, *figures.outputs))
        if (name, runtime) not in ran
    ]
    changes += _not_compared(judged, accepted)
    changes += [
        f"{judged.verdict.study}: {setting.setting} has no accepted figures, so nothing was compared with it"
        for setting in judged.verdict.settings
        if setting.setting not in accepted.settings
    ]
    if accepted.samples_sha256 != judged.study.samples.sha256:
        changes.append(f"{judged.verdict.study}: the scored samples are not those of the accepted figures")
    return changes


def _not_compared(judged: Judged, accepted: AcceptedStudy) -> list[str]:
    """Return a sentence for each accepted figure of an output that the budget does not limit any more."""
    limited = {
        (one.figure, one.output, one.channel) for row in judged.trials if row.evidence for one in row.evidence.figures
    }
    gone = dict.fromkeys(
        (one.figure, one.output if one.channel is None else f"{one.output}[{one.channel}]")
        for setting in accepted.settings.values()
        for of_runtime in setting.outputs.values()
        for one in of_runtime
        if (one.figure, one.output, one.channel) not in limited
    )
    return [
        f"{judged.verdict.study}: the {ERROR_FIGURES[figure].words} of '{name}' was accepted, and the budget does not "
        f"limit it, so it is not compared; give {ERROR_FIGURES[figure].limit}"
        for figure, name in gone
    ]
