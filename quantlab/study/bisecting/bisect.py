"""Which release of a package moved the outputs of an artifact: runs the kept samples through releases of a registry."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError, StudyError, UsageError
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.gate.outputs import measured_shapes
from quantlab.names import excerpt, nearest
from quantlab.npy import mapped
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL
from quantlab.runtimes.elsewhere import DUMPERS, PACKAGES, Package, Release, write_inputs
from quantlab.statistics import answers_of
from quantlab.store import Store
from quantlab.study.bisecting.search import releases_between, search
from quantlab.study.importing.dumps import read_dump
from quantlab.study.integrity import intact_variant
from quantlab.types import Study, TensorSpec, Variant
from quantlab.types.bisecting import Bisection, TriedRelease

__all__ = ["BisectOptions", "bisect_study"]

Array = npt.NDArray[Any]

_MARK = "installed"
"""File in the folder of a release that is wholly installed: the program and its arguments, a line for each."""


@dataclass(frozen=True, slots=True)
class BisectOptions:
    """The options of `bisect_study`."""

    package: str
    """Name of the package, see `quantlab.runtimes.elsewhere.PACKAGES`."""
    good: str
    """A release whose outputs are right."""
    bad: str
    """A release whose outputs have moved; it may be older than `good`."""
    setting: str | None = None
    """Setting or given variant whose artifact is run; None takes the first that the package runs."""
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "quantlab" / "releases")
    """Folder of installed releases, which are used again."""
    time_limit: float = 1800.0
    """Seconds for one run."""


def bisect_study(
    study: str | Path,
    options: BisectOptions,
    *,
    progress: Progress | None = None,
    packages: Mapping[str, Package] = PACKAGES,
) -> Bisection:
    """Find the release of a package from which on the outputs of an artifact differ.

    The two ends are run first. A release between them is good if its outputs are nearer to those of the good end, by
    the largest difference of the scored output. Releases are installed from the registries of pip and npm into a cache.

    Args:
        study: Folder of the study with samples and artifacts.
        options: Package, ends and setting.
        progress: Receives events; nothing is printed.
        packages: The known packages.

    Raises:
        UsageError: If package, release or setting is unknown, or the two ends give the same outputs.
        StudyError: If the study or the artifact is missing or damaged, or an end cannot be installed or does not run
            the artifact.
    """
    store = Store(Path(study))
    record = store.read_study()
    refuse_scores_only(record, "'quantlab bisect'")
    package = _package(options.package, packages)
    variant = _variant(record, options.setting, package)
    releases = releases_between(package.versions(package), options.good, options.bad, package.requirement)
    with _inputs(record, variant) as inputs:
        runs = _Runs(package, variant, record, inputs, options, progress or Silent())
        good, bad = runs.outputs(releases[0]), runs.outputs(releases[-1])
        difference = _apart(good, bad)
        if difference == 0:
            raise UsageError(
                f"{package.requirement} {releases[0]} and {releases[-1]} give the same outputs for {variant.name}, so "
                f"no release between them is searched; name releases that differ"
            )
        found, tried = search(releases, lambda version: runs.attempt(version, good, bad))
    ends = [runs.row(releases[0], "good", good, good, bad), runs.row(releases[-1], "bad", bad, good, bad)]
    order = {version: place for place, version in enumerate(releases)}
    return Bisection(
        package=package.requirement,
        setting=variant.name,
        output=record.scored_output,
        n=record.samples.n,
        difference=difference,
        last_good=found[0],
        first_bad=found[1],
        between=found[2],
        tried=tuple(sorted([*ends, *tried], key=lambda one: order[one.version])),
    )


def _package(name: str, packages: Mapping[str, Package]) -> Package:
    if name not in packages:
        raise UsageError(f"there is no package '{name}' to bisect; {nearest(name, packages)}")
    return packages[name]


def _variant(study: Study, setting: str | None, package: Package) -> Variant:
    """The artifact that is run: the named one, or the first that the package runs."""
    made = {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}
    fitting = {name: one for name, one in made.items() if package.model_of(one.path) is not None}
    if setting is not None and setting not in made:
        raise UsageError(f"the study has no artifact of the setting '{setting}'; {nearest(setting, made)}")
    if setting is not None and setting not in fitting:
        raise UsageError(f"{package.requirement} does not run '{setting}'; {nearest(setting, fitting)}")
    if not fitting:
        raise UsageError(f"the study has no artifact that {package.requirement} runs; add a setting to the study")
    quantized = [name for name, one in fitting.items() if not one.is_float32]
    variant = fitting[setting or (quantized or [*fitting])[0]]
    if intact_variant(variant, REAL) == "damaged":
        raise StudyError(f"the artifact of {variant.name} is damaged; run the same 'quantlab analyze' again")
    return variant


@contextlib.contextmanager
def _inputs(study: Study, variant: Variant) -> Iterator[Path]:
    """A folder with the samples as the artifact takes them."""
    with tempfile.TemporaryDirectory(prefix="quantlab-bisect-") as folder:
        write_inputs(Path(folder), study, variant, measured_shapes(study))
        yield Path(folder)


@dataclass(slots=True)
class _Runs:
    """Runs releases on the samples."""

    package: Package
    variant: Variant
    study: Study
    inputs: Path
    options: BisectOptions
    progress: Progress

    def outputs(self, version: str) -> Array:
        """The scored output of a release, (n, …).

        Raises:
            StudyError: If it cannot be installed, or does not run the artifact.
        """
        step = f"run {self.package.requirement} {version}"
        self.progress.begin(step)
        try:
            values = self._run(self._installed(version), version)
        except BaseException as error:
            self.progress.end(step, str(error) or type(error).__name__)
            raise
        self.progress.end(step, "done")
        return values

    def attempt(self, version: str, good: Array, bad: Array) -> TriedRelease:
        """One release between the ends."""
        try:
            values = self.outputs(version)
        except QuantlabError as error:
            return TriedRelease(version, "skipped", reason=str(error))
        from_good, from_bad = _apart(values, good), _apart(values, bad)
        if from_good == from_bad == np.inf:
            reason = "its outputs are NaN or infinite where those of both ends are not, or the reverse"
            return TriedRelease(version, "skipped", reason=reason)
        return self.row(version, "good" if from_good <= from_bad else "bad", values, good, bad)

    def row(
        self, version: str, outcome: Literal["good", "bad"], values: Array, good: Array, bad: Array
    ) -> TriedRelease:
        """A release that ran."""
        changed = None
        if self.study.classes:
            ones, others = (answers_of(one, probabilities=self.study.probabilities) for one in (good, values))
            changed = int(np.count_nonzero(ones != others))
        return TriedRelease(version, outcome, _apart(values, good), _apart(values, bad), changed)

    def _installed(self, version: str) -> Release:
        """An installed release; one that was left unfinished, or whose program is gone, is installed again."""
        folder = self.options.cache / self.package.name / version
        release = _installed_before(folder)
        if release is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            release = self.package.install(self.package, version, folder)
            (folder / _MARK).write_text("\n".join(release.command), encoding="utf-8")
        for dumper in DUMPERS.iterdir():  # an older quantlab may have installed it with another dumper
            if (folder / dumper.name).is_file():
                shutil.copyfile(dumper, folder / dumper.name)
        return release

    def _run(self, release: Release, version: str) -> Array:
        model = self.package.model_of(self.variant.path) or self.variant.path
        with tempfile.TemporaryDirectory(prefix="quantlab-bisect-") as folder:
            file = Path(folder) / "outputs.npz"
            done = self._ended([*release.command, str(model.absolute()), str(self.inputs), str(file)], release, version)
            if done.returncode or not file.is_file():
                raise StudyError(
                    f"{self.package.requirement} {version} does not run {self.variant.name} "
                    f"({excerpt(_last_line(done.stderr), most=200)}); choose another release"
                )
            spec = _spec(self.study)
            rows = read_dump(file, [spec], self.study.samples.n).outputs[spec.name]
            return rows.whole().astype(np.float64)

    def _ended(self, command: list[str], release: Release, version: str) -> "subprocess.CompletedProcess[str]":
        variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "NODE_PATH"}}
        try:
            return subprocess.run(
                command,
                cwd=release.folder,
                env=variables,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.options.time_limit,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise StudyError(
                f"{self.package.requirement} {version} cannot be started ({error.strerror}); remove "
                f"'{release.folder}', so that it is installed again"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise StudyError(
                f"{self.package.requirement} {version} did not run {self.variant.name} within "
                f"{self.options.time_limit:,.0f} seconds; run fewer samples"
            ) from error


def _installed_before(folder: Path) -> Release | None:
    """The release in a folder of the cache; None if it was not wholly installed, or its program is gone."""
    try:
        command = tuple((folder / _MARK).read_text(encoding="utf-8").split("\n"))
    except (OSError, ValueError):
        return None
    return Release(command, folder) if Path(command[0]).is_file() else None


def _spec(study: Study) -> TensorSpec:
    """The scored output with the shape that was observed."""
    values = mapped(study.reference.outputs[study.scored_output])
    return TensorSpec(study.scored_output, (None, *values.shape[1:]), values.dtype.name)


def _last_line(text: str) -> str:
    """The line of what a program printed that says why it ended: the last one about an error, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    return (errors or lines or ["no message"])[-1]


_ERROR = re.compile(r"\bError\b|Error:|error:", re.ASCII)


def _apart(ones: Array, others: Array) -> float:
    """Largest difference; infinite where one of the two is not finite and the other is."""
    same = (ones == others) | (np.isnan(ones) & np.isnan(others))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(ones - others))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))
