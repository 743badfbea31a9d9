"""The options of a budget, and functions that `gate`, `accept` and `recommend` share."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantlab.cli.policy import Policy, read_policy
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.gate import Judged
    from quantlab.types import AcceptedFigures

__all__ = ["BudgetOptions", "Places", "SettingNames", "Studies", "folders_of", "judged_of", "listed"]

Studies = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[STUDY]...",
        help="Folders of studies. [default: those of the policy, else the latest study in the current folder]",
        show_default=False,
    ),
]
Places = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[STUDY]...",
        help="Folders or addresses (s3://…) of studies. [default: those of the policy, else the latest study in the "
        "current folder]",
        show_default=False,
    ),
]
SettingNames = Annotated[
    list[str] | None, typer.Option("--setting", help="Setting that must fit: a name or glob. Repeatable.")
]


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """Options that override the keys of `[budget]` in a policy file."""

    policy: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a [budget] table. [default: quantlab.toml in the current folder, if it exists]"
        ),
    ] = None
    max_accuracy_loss: Annotated[
        str | None,
        typer.Option(
            help="Largest allowed loss of the metric: 0.5pt (percentage points), 0.5% (relative) or 0.2mae (its unit)."
        ),
    ] = None
    max_class_loss: Annotated[
        str | None, typer.Option(help="Largest allowed loss of any class, in percentage points: 2pt.")
    ] = None
    max_slice_loss: Annotated[
        str | None,
        typer.Option(
            help="Largest allowed loss of any slice of 'quantlab analyze --slice', in percentage points: 2pt."
        ),
    ] = None
    max_size: Annotated[
        str | None, typer.Option(help="Largest allowed size, as the target transfers it: 500KB, 2MiB.")
    ] = None
    min_agreement: Annotated[
        str | None, typer.Option(help="Smallest allowed share of samples with the same top-1 as the model: 99%.")
    ] = None
    min_sqnr: Annotated[
        list[str] | None,
        typer.Option(
            "--min-sqnr",
            metavar="[OUTPUT=]DB",
            help="Smallest allowed SQNR against the model, without labels: 40dB for every output, boxes=30dB for one, "
            "boxes[3]=30dB for index 3 of its last axis, boxes[*]=30dB for each index. Repeatable.",
        ),
    ] = None
    min_cosine: Annotated[
        list[str] | None,
        typer.Option(
            "--min-cosine",
            metavar="[OUTPUT=]COSINE",
            help="Smallest allowed cosine similarity with the model's outputs: 0.999 or embedding=0.999. Repeatable.",
        ),
    ] = None
    max_abs_error: Annotated[
        list[str] | None,
        typer.Option(
            "--max-abs-error",
            metavar="[OUTPUT=]ERROR",
            help="Largest allowed difference of any element from the model's outputs: 0.05 or boxes=2.5. Repeatable.",
        ),
    ] = None
    max_rmse: Annotated[
        list[str] | None,
        typer.Option(
            "--max-rmse",
            metavar="[OUTPUT=]ERROR",
            help="Largest allowed root mean square difference from the model's outputs: 0.01 or boxes=0.5. Repeatable.",
        ),
    ] = None
    confidence: Annotated[
        float | None, typer.Option(help="One-sided confidence of the bounds that decide. [default: 0.95]")
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric to judge by: top1, top3 or another k, macro-f1, auc, mae, rmse, mean-iou, position-accuracy, "
            "sequence-accuracy, micro-f1, multilabel-macro-f1, map, cer, wer, angular-error, pck@0.1, "
            "or module:function:higher|lower. [default: the metric of the study]"
        ),
    ] = None
    target: Annotated[
        str | None, typer.Option(help="Where the model will run: web, web-mobile, node, android or any. [default: any]")
    ] = None
    allow_constant: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-constant",
            metavar="OUTPUT",
            help="Output that may be constant in a variant although it varies in the model; OUTPUT[3]: only index 3 of "
            "its last axis. Repeatable.",
        ),
    ] = None
    runtimes: Annotated[
        str | None,
        typer.Option(help="Runtimes that count: comma-separated names and globs. [default: those of the target]"),
    ] = None
    order: Annotated[
        str | None,
        typer.Option(
            help="Order in which settings are judged until one does not fit: comma-separated names and globs; none: no "
            "order, but wider bounds. [default: from most bits to fewest]"
        ),
    ] = None
    planned_n: Annotated[
        int | None,
        typer.Option(
            help="Plan N samples at the first look; looks at fewer of them then count together. Recorded in the study."
        ),
    ] = None
    looks: Annotated[
        str | None,
        typer.Option(
            help="any, at the first look: the study may be judged at any number of samples, with wider bounds. "
            "Recorded in the study."
        ),
    ] = None
    leave_out_non_finite: Annotated[
        bool | None,
        typer.Option(
            "--leave-out-non-finite",
            help="Judge without samples on which the model itself is NaN or infinite; otherwise they are an error.",
        ),
    ] = None
    allow_poor_reference: Annotated[
        bool | None,
        typer.Option("--allow-poor-reference", help="Judge although the model itself is no better than guessing."),
    ] = None

    def read(
        self,
        studies: Sequence[Path] | None,
        settings: Sequence[str] | None = None,
        *,
        unlimited: str | None = None,
    ) -> Policy:
        """Return the policy; `unlimited` and what is raised are those of `read_policy`."""
        _refuse_unitless(self.max_size)
        return read_policy(self.policy, self.given(studies, settings), unlimited=unlimited)

    def given(self, studies: Sequence[Path] | None, settings: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the keys of `[budget]` by name; None is an option that was not given."""
        keys = asdict(self)
        del keys["policy"]
        return {**keys, "settings": settings, "studies": [str(folder) for folder in studies] if studies else None}


def _refuse_unitless(max_size: str | None) -> None:
    """Refuse a size without a unit: 20 may be meant as kilobytes. In a policy file, a number is one of bytes."""
    if max_size is not None and re.fullmatch(r"\s*(\d*\.?\d+)\s*", max_size):
        number = max_size.strip()
        raise UsageError(f"--max-size {number} has no unit; write {number}KB, {number}MB or, for bytes, {number}B")


def folders_of(policy: Policy) -> Sequence[Path]:
    """Return the studies of a policy, or the latest study in the current folder."""
    from quantlab.store import find_latest

    return policy.studies or (find_latest(Path()),)


def listed(folders: Sequence[Path]) -> str:
    """Return folders as a part of a sentence."""
    return " and ".join(f"'{folder}'" for folder in folders)


def judged_of(
    folder: Path, policy: Policy, artifact: Path | None = None, accepted: "AcceptedFigures | None" = None
) -> "Judged":
    """Judge a study by a policy, or by accepted figures; with an artifact, judge only the settings with its bytes."""
    from quantlab.gate import (
        gather_of,
        name_of,
        refuse_dropped_settings,
        refuse_files_not_served,
        settings_of_artifact,
    )
    from quantlab.store import Store

    store = Store(folder)
    store.refuse_running()
    study, name = store.read_study(), name_of(folder)
    settings = policy.settings
    if settings is None and accepted is not None and name in accepted.studies:
        settings = tuple(accepted.studies[name].settings)
    if artifact is not None:
        settings = settings_of_artifact(artifact, study, settings)
        refuse_files_not_served(artifact)
        refuse_dropped_settings(artifact, policy.settings or (), settings)
    return gather_of(store, policy.budget, settings=settings)
