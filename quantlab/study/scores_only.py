"""A study that keeps scores only: what it refuses, and which rows need no outputs because their scores are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import UsageError
from quantlab.gate import SCORES, RowScores, are_gone, kept_state
from quantlab.npy import mapped
from quantlab.statistics import PairedMetric
from quantlab.store import Store, key_of
from quantlab.study.options import AnalyzeOptions
from quantlab.study.task import Scoring
from quantlab.types import PYTHON, REFERENCE, Imports, KeptOutputs, KeptScores, Trial

__all__ = [
    "ScoresOnly",
    "hash_of",
    "needing_outputs",
    "partner_hashes",
    "partners",
    "refuse_few_with_outputs",
    "refuse_unfit",
    "scored_rows",
    "scores_of",
]

_ROWS = 1
"""Incremented when what is kept of a row changes, so that rows that an older quantlab kept run again."""

_REMEDY = "leave --store scores out"


def refuse_few_with_outputs(options: AnalyzeOptions) -> None:
    """Refuse to keep the outputs of all samples and few of the samples, before samples are read.

    Raises:
        UsageError: With what to do.
    """
    if options.sharding is None or options.sharding.keep_samples == "all":
        return
    if options.pipeline is not None:
        raise UsageError(
            "--keep-samples few reads the samples of one pipeline again and again, and the variants are fed those of "
            "another one (--pipeline); leave one of them out"
        )
    if options.store != "scores":
        raise UsageError(
            "--keep-samples few is for studies that keep scores only, since outputs are read together with their "
            "samples; give it to 'quantlab analyze' with --store scores, or leave it out"
        )


def refuse_unfit(options: AnalyzeOptions, scoring: Scoring, imports: Imports) -> None:
    """Refuse `--store scores` where a figure needs whole outputs, before anything runs.

    Raises:
        UsageError: With what needs them.
    """
    metric = scoring.metric
    if scoring.task == "positions":
        why = "classes of positions are compared in whole outputs"
    elif scoring.task == "metric" or (metric is not None and not metric.of_samples):
        why = f"the metric '{_name(metric)}' reads whole outputs"
    elif options.pipeline is not None:
        why = "the reference is run on two kinds of samples (--pipeline), whose whole outputs are compared"
    elif options.serving is not None:
        why = "a server (--serving) is asked again in each study, and its whole outputs are compared"
    elif options.layers and options.layer_samples is None:
        why = "layers are compared on all samples (--layer-samples all), with whole outputs"
    elif imports.rows:
        why = "the study has rows of imported outputs or of a phone, which cannot be run again"
    else:
        return
    raise UsageError(f"--store scores removes the outputs, and {why}; {_REMEDY}")


def _name(metric: PairedMetric | None) -> str:
    return "of the ground truth" if metric is None else metric.name


def scores_of(trial: Trial) -> RowScores | None:
    """What is kept of a measured row whose outputs were removed; None if they are there."""
    file = next(iter(trial.outputs.values()), None)
    return RowScores.of(trial) if file is not None and are_gone(file) else None


def scored_rows(trial: Trial, output: str, indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The scored output of a row on some of the samples on which layers are compared."""
    kept = scores_of(trial)
    if kept is None:
        return np.asarray(mapped(trial.outputs[output])[indices])
    return kept.array("layers/outputs")[np.searchsorted(kept.array("layers/indices"), indices)]


@dataclass(slots=True)
class ScoresOnly:
    """Which rows of an analysis may be taken from their scores."""

    scoring: Scoring
    labels_sha256: str
    reading: str = ""
    """See `KeptScores.reading`; known as soon as the reference's outputs, or their hashes, are."""
    indices: npt.NDArray[Any] | None = None
    """Samples on which layers are compared; None if they are not."""
    needed: set[tuple[str, str]] = field(default_factory=set)
    """Setting and runtime of rows that need their outputs again."""

    def reading_of(self, reference: KeptOutputs) -> str:
        """Hash of what scores depend on besides a row's own outputs."""
        # The metric chooses the samples that reports name, unless these are all that have another answer.
        metric = None if self.scoring.task == "classification" else self.scoring.metric
        return key_of(
            {
                "reference": dict(reference.sha256),
                "labels": self.labels_sha256,
                "task": self.scoring.task,
                "output": self.scoring.output.name,
                "metric": None if metric is None else metric.name,
                "rows": _ROWS,
            }
        )

    def suffice(self, name: str, runtime: str, folder: Path, kept: KeptOutputs) -> bool:
        """Whether the scores of a row are enough, so that it need not run.

        Args:
            name: Its setting, or `reference`.
            runtime: Where it ran.
            folder: The folder of its outputs.
            kept: The record of its outputs, which are not there.
        """
        if (name, runtime) in self.needed or any(file.parent != folder.absolute() for file in kept.files.values()):
            return False
        record = Store(folder).read(folder / SCORES, KeptScores)
        if record is None or kept_state(folder) != "intact":
            return False
        if name == REFERENCE:
            return record.reading == self.reading_of(kept)
        return record.reading == self.reading and self._has_layers(folder, name)

    def _has_layers(self, folder: Path, name: str) -> bool:
        """Whether the outputs of the samples are kept on which layers are compared, if they are."""
        if self.indices is None:
            return True
        arrays = RowScores.read(folder, name).arrays
        return "layers/indices" in arrays and bool(np.isin(self.indices, arrays["layers/indices"]).all())


def hash_of(trial: Trial, output: str) -> str:
    """Hash of the scored output of a row, of which the outputs may be gone; empty if it is not known."""
    file = trial.outputs.get(output)
    kept = None if file is None else Store(file.parent).read(file.parent / "outputs.json", KeptOutputs)
    return "" if kept is None else kept.sha256.get(output, "")


def partners(trial: Trial, rows: Mapping[tuple[str, str], Trial]) -> tuple[Trial | None, Trial | None]:
    """The rows with which a row is compared besides the reference: the float32 artifact's, and its own, in Python."""
    float32 = rows.get((trial.variant.float32, PYTHON)) if trial.variant is not None else None
    return float32, rows.get((trial.setting, PYTHON))


def partner_hashes(trial: Trial, rows: Mapping[tuple[str, str], Trial], output: str) -> tuple[str, str]:
    """Hashes of the scored outputs of `partners`; empty for one that was not measured."""
    float32, own = ("" if one is None else hash_of(one, output) for one in partners(trial, rows))
    return float32, own


def needing_outputs(trials: Iterable[Trial], output: str) -> set[tuple[str, str]]:
    """Setting and runtime of the rows that must run again, because their outputs were removed and are compared.

    These are the partners of rows that ran now, and rows whose partners are others than when their scores were kept.
    """
    rows = {(trial.setting, trial.runtime): trial for trial in trials if trial.status == "measured"}
    needed: set[tuple[str, str]] = set()
    for place, trial in rows.items():
        kept = scores_of(trial)
        if kept is not None and kept.record.split_of == partner_hashes(trial, rows, output):
            continue
        involved = [one for one in partners(trial, rows) if one is not None and scores_of(one) is not None]
        needed |= {(one.setting, one.runtime) for one in involved} | ({place} if kept is not None else set())
    return needed
