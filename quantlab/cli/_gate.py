"""The commands that decide: recommend, gate and accept. They judge what a study kept, and run nothing."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantlab.cli._exit import BREAKS, INCONCLUSIVE, OK
from quantlab.cli._policy import Policy, read_policy
from quantlab.errors import QuantlabError, StudyError, UsageError

if TYPE_CHECKING:
    from quantlab.study import Judged
    from quantlab.types import Lock, Verdict
    from quantlab_reports.junit import Undecided

__all__ = ["accept", "gate", "recommend"]

Studies = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[STUDY]...", help="[default: the policy's, else the latest here]", show_default=False),
]
OneStudy = Annotated[
    Path | None, typer.Argument(help="[default: the latest at or below this folder]", show_default=False)
]
SettingNames = Annotated[
    list[str] | None, typer.Option("--setting", help="One that must fit, a name or glob. Repeatable.")
]
PolicyFile = Annotated[
    Path | None, typer.Option(help="A TOML file with [budget]. [default: the quantlab.toml in this folder, if any]")
]
AccuracyLoss = Annotated[
    str | None, typer.Option(help="What the metric may lose: 0.5pt (points) or 0.5% (of the reference's).")
]
ClassLossText = Annotated[str | None, typer.Option(help="What any single class may lose, in points: 2pt.")]
MaxSize = Annotated[str | None, typer.Option(help="What the target may transfer: 500KB, 2MiB.")]
Agreement = Annotated[str | None, typer.Option(help="Samples on which a variant says what the model says: 99%.")]
Confidence = Annotated[float | None, typer.Option(help="One-sided, of the bounds that decide. [default: 0.95]")]
MetricName = Annotated[
    str | None,
    typer.Option(
        help="top1, top5, macro-f1, auc, mae, rmse, mean-iou, or module:function:higher|lower. [default: the study's]"
    ),
]
TargetName = Annotated[str | None, typer.Option(help="web, web-mobile, node, android or any. [default: any]")]
RuntimeNames = Annotated[
    str | None, typer.Option(help="Runtimes that count, names and globs, comma-separated. [default: the target's]")
]
LockFile = Annotated[Path | None, typer.Option(help="Compare with what was accepted in this quantlab.lock.")]


def gate(
    study: Studies = None,
    setting: SettingNames = None,
    policy: PolicyFile = None,
    max_accuracy_loss: AccuracyLoss = None,
    max_class_loss: ClassLossText = None,
    max_size: MaxSize = None,
    min_agreement: Agreement = None,
    confidence: Confidence = None,
    metric: MetricName = None,
    target: TargetName = None,
    runtimes: RuntimeNames = None,
    lock: LockFile = None,
    artifact: Annotated[
        Path | None, typer.Option(help="First verify that this file or folder is what was judged, and judge that.")
    ] = None,
    undecided: Annotated[str, typer.Option(help="What too few samples do: fail or warn.")] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown for a pull request.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every figure as JSON.")] = None,
) -> int:
    """Pass or fail a build by what a study measured.

    Nothing is run again. With settings named, each must fit; with none, one quantized setting is enough.
    """
    from quantlab.study import changed_artifacts, compare_with_lock, read_lock
    from quantlab_reports.verdict_text import render_verdicts_text

    allowed = _undecided(undecided)
    accepted = read_lock(lock) if lock is not None else None
    given = {
        "max_accuracy_loss": max_accuracy_loss,
        "max_class_loss": max_class_loss,
        "max_size": max_size,
        "min_agreement": min_agreement,
        "confidence": confidence,
        "metric": metric,
        "target": target,
        "runtimes": runtimes,
        "settings": setting,
        "studies": [str(each) for each in study] if study else None,
    }
    asked = _policy(policy, given, accepted)
    folders = _folders(asked)
    if artifact is not None and len(folders) > 1:
        raise UsageError(f"--artifact is of one study and {_listed(folders)} are asked for; name that study")
    judged = [_judged(folder, asked, artifact, accepted) for folder in folders]
    verdicts = [each.verdict if accepted is None else compare_with_lock(each, accepted) for each in judged]
    print(render_verdicts_text(verdicts))
    if accepted is not None:
        for text in (text for each in judged for text in changed_artifacts(each, accepted)):
            print(f"! {text}", file=sys.stderr)
    _write_reports(verdicts, judged, {"junit": junit, "markdown": markdown, "json": json}, undecided=allowed)
    return _status(verdicts, allowed)


def _undecided(text: str) -> "Undecided":
    if text == "fail":
        return "fail"
    if text == "warn":
        return "warn"
    raise UsageError(f"--undecided {text} is neither 'fail' nor 'warn'")


def _policy(policy: Path | None, given: dict[str, Any], accepted: "Lock | None") -> Policy:
    """What was accepted is the policy where nothing else is asked for."""
    try:
        return read_policy(policy, given)
    except UsageError:
        if accepted is None or policy is not None:
            raise
        return read_policy(
            None, {**accepted.budget, **{key: value for key, value in given.items() if value is not None}}
        )


def _folders(policy: Policy) -> Sequence[Path]:
    from quantlab.store import find_latest

    return policy.studies or (find_latest(Path()),)


def _listed(folders: Sequence[Path]) -> str:
    return " and ".join(f"'{folder}'" for folder in folders)


def _judged(folder: Path, policy: Policy, artifact: Path | None, accepted: "Lock | None") -> "Judged":
    from quantlab.store import Store
    from quantlab.study import gather, name_of, settings_of_artifact

    store = Store(folder)
    store.refuse_running()
    study, name = store.read_study(), name_of(folder)
    settings = policy.settings
    if settings is None and accepted is not None and name in accepted.studies:
        settings = tuple(accepted.studies[name].settings)
    if artifact is not None:
        settings = settings_of_artifact(artifact, study, settings)
    return gather(study, policy.budget, settings=settings, name=name)


def _status(verdicts: Sequence["Verdict"], undecided: "Undecided") -> int:
    outcomes = {verdict.outcome for verdict in verdicts}
    if "breaks" in outcomes:
        return BREAKS
    if "inconclusive" not in outcomes:
        return OK
    if undecided == "warn" and all(verdict.lacks_samples for verdict in verdicts if verdict.outcome == "inconclusive"):
        print("warning: too few samples to know, which --undecided warn lets pass", file=sys.stderr)
        return OK
    return INCONCLUSIVE


def _write_reports(
    verdicts: Sequence["Verdict"], judged: Sequence["Judged"], files: dict[str, Path | None], *, undecided: "Undecided"
) -> None:
    from quantlab_reports.junit import render_junit
    from quantlab_reports.pull_request import render_pull_request
    from quantlab_reports.verdict_document import render_verdicts

    evidence = [each.trials for each in judged]
    if path := files["junit"]:
        _write(path, render_junit(verdicts, undecided=undecided))
    if path := files["json"]:
        _write(path, render_verdicts(verdicts, evidence=evidence))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if files["markdown"] or summary:
        text = render_pull_request(verdicts, evidence=evidence)
        if path := files["markdown"]:
            _write(path, text)
        if summary:
            _append(Path(summary), text)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise QuantlabError(
            f"'{path}', which GITHUB_STEP_SUMMARY names, cannot be written ({error.strerror}); unset it"
        ) from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text.rstrip()}\n", encoding="utf-8")
    except OSError as error:
        raise QuantlabError(f"'{path}' cannot be written ({error.strerror}); name another file") from error


def recommend(
    study: OneStudy = None,
    policy: PolicyFile = None,
    max_accuracy_loss: AccuracyLoss = None,
    max_class_loss: ClassLossText = None,
    max_size: MaxSize = None,
    min_agreement: Agreement = None,
    confidence: Confidence = None,
    metric: MetricName = None,
    target: TargetName = None,
    runtimes: RuntimeNames = None,
) -> int:
    """Say which setting to ship, why, and how to make it.

    It is the smallest that fits in every runtime that counts. Nothing is run again.
    """
    from quantlab.store import find_latest
    from quantlab.study import recommend as choose
    from quantlab_reports.verdict_text import render_recommendation

    given = {
        "max_accuracy_loss": max_accuracy_loss,
        "max_class_loss": max_class_loss,
        "max_size": max_size,
        "min_agreement": min_agreement,
        "confidence": confidence,
        "metric": metric,
        "target": target,
        "runtimes": runtimes,
        "studies": [str(study)] if study else None,
    }
    asked = read_policy(policy, given)
    if len(asked.studies) > 1:
        raise UsageError(f"a recommendation is of one study and the policy names {_listed(asked.studies)}; name it")
    folder = asked.studies[0] if asked.studies else find_latest(Path())
    found = choose(folder, asked.budget)
    print(render_recommendation(found))
    if found.setting is not None:
        return OK
    return BREAKS if found.verdict.outcome == "breaks" else INCONCLUSIVE


def accept(
    study: Studies = None,
    setting: SettingNames = None,
    policy: PolicyFile = None,
    max_accuracy_loss: AccuracyLoss = None,
    max_class_loss: ClassLossText = None,
    max_size: MaxSize = None,
    min_agreement: Agreement = None,
    confidence: Confidence = None,
    metric: MetricName = None,
    target: TargetName = None,
    runtimes: RuntimeNames = None,
    lock: Annotated[Path, typer.Option(help="The file to write.")] = Path("quantlab.lock"),
) -> int:
    """Accept figures and hashes, for a later gate to compare.

    With settings named these are accepted whatever they lose; with none, those that fit.
    """
    from quantlab.study import accept as accepted_of
    from quantlab.study import write_lock
    from quantlab_reports.verdict_text import render_verdicts_text

    given = {
        "max_accuracy_loss": max_accuracy_loss,
        "max_class_loss": max_class_loss,
        "max_size": max_size,
        "min_agreement": min_agreement,
        "confidence": confidence,
        "metric": metric,
        "target": target,
        "runtimes": runtimes,
        "settings": setting,
        "studies": [str(each) for each in study] if study else None,
    }
    asked = read_policy(policy, given)
    judged = [_judged(folder, asked, None, None) for folder in _folders(asked)]
    names = [_accepted(each) for each in judged]
    if lock.is_dir():
        raise UsageError(f"'{lock}' is a folder; name the file to write with --lock")
    write_lock(lock, accepted_of(judged, names, asked.texts))
    print(render_verdicts_text([each.verdict for each in judged]))
    print(f"Accepted in '{lock}': {', '.join(name for each in names for name in each)}", file=sys.stderr)
    return OK


def _refuse_unaccountable(judged: "Judged", names: Sequence[str]) -> None:
    """What failed or gave NaN has no loss that a later one could be compared with."""
    for each in judged.trials:
        trial, evidence = each.trial, each.evidence
        if trial.setting in names and trial.requested and (evidence is None or evidence.non_finite):
            why = "it failed" if evidence is None else f"{evidence.non_finite:,} output values are NaN or infinite"
            raise StudyError(
                f"'{trial.setting}' cannot be accepted: {why} in {trial.runtime}; accept settings that answer"
            )


def _accepted(judged: "Judged") -> list[str]:
    verdict = judged.verdict
    names = [
        each.setting
        for each in verdict.settings
        if (verdict.named or each.outcome == "fits") and each.size_bytes is not None
    ]
    _refuse_unaccountable(judged, names)
    if not names:
        raise StudyError(
            f"nothing of '{verdict.study}' fits, so that nothing is accepted; name what you accept all the same "
            f"with --setting"
        )
    return names
