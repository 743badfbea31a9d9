"""Writes a golden test into a folder: samples, expected outputs with tolerances, and the code of the test.

The tolerance of an output is twice the largest difference that quantlab measured between the runtimes, on all samples
and without runtimes of half floats, and a millionth of the largest output. `golden.json` states both parts.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.formats import artifact_files
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.intact import intact_files
from quantlab.names import counted, nearest
from quantlab.npy import mapped
from quantlab.registries import REAL, Registries
from quantlab.samples import as_fed, files_of, indices_of, present_file
from quantlab.statistics import blocks
from quantlab.store import Store
from quantlab.types import PYTHON, KeptOutputs, Port, SampleSet, Study, Trial, Variant
from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.exports.golden.choice import Chosen, choose_samples
from quantlab_reports.exports.new_folder import new_folder
from quantlab_reports.subject import Subject

__all__ = ["EXPORT", "FORMAT", "FRAMEWORKS", "export_golden", "input_tolerance"]

FORMAT = "quantlab golden 1"
SLACK = 2.0
"""How many times the largest measured difference a test allows."""
ROUNDING = 1e-6
"""Share of the largest output that a test allows besides."""

_FILES = Path(__file__).parent / "files"


@dataclass(frozen=True, slots=True)
class _Framework:
    """A program that runs tests."""

    language: str
    """The folder of `files/`."""
    test: str
    """Name of the file with the test, below that folder."""
    written: str
    """Name that this file gets."""
    command: str
    """How it is run."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Name → text of files with its own settings, for a run in the folder."""
    code: str = ""
    """Folder of the code, below that of the test."""
    data: str = ""
    """Folder of `golden.json`, tensors and files, below that of the test."""
    steps: str = ""
    """How the folder becomes part of an app's tests, where the command does not run in the folder itself."""


_JEST = {"jest.config.json": '{"testMatch": ["**/*.test.mjs"], "transform": {}}\n'}

_ANDROID = """Add the folder to the module of your app, and `androidx.test:runner` and your runtime to its tests, in
   `build.gradle.kts`:

   ```kotlin
   android.sourceSets.getByName("androidTest") {
       java.srcDir("golden-android/kotlin")
       assets.srcDir("golden-android/assets")
   }
   ```

   Then run `./gradlew connectedAndroidTest` with a device."""

_XCTEST = """Add the files of `swift/` to the tests of your app, and the folder `golden/` as a folder reference (in
   Xcode) or with `resources: [.copy("golden")]` (in a Swift package). Then run `xcodebuild test` with a device or a
   simulator. No Swift compiler has read these files yet."""

FRAMEWORKS: Mapping[str, _Framework] = {
    "node": _Framework("js", "node.txt", "golden.test.mjs", "node --test"),
    "vitest": _Framework("js", "vitest.txt", "golden.test.mjs", "npx vitest run"),
    "jest": _Framework("js", "jest.txt", "golden.test.mjs", "NODE_OPTIONS=--experimental-vm-modules npx jest", _JEST),
    "pytest": _Framework("py", "test_golden.txt", "test_golden.py", "pytest"),
    "android": _Framework(
        "kotlin",
        "android.txt",
        "GoldenTest.kt",
        "./gradlew connectedAndroidTest",
        code="kotlin",
        data="assets/golden",
        steps=_ANDROID,
    ),
    "xctest": _Framework(
        "swift", "xctest.txt", "GoldenTests.swift", "xcodebuild test", code="swift", data="golden", steps=_XCTEST
    ),
}
"""The programs for which tests are written, by name."""

_SHARED = {"js": ("golden.mjs",), "py": ("golden.py",), "kotlin": ("Golden.kt",), "swift": ("Golden.swift",)}
"""Files of a language that all its tests have."""
_APP = {"js": "app.mjs", "py": "app.py", "kotlin": "App.kt", "swift": "App.swift"}
"""The file that users edit: how the app loads the model, prepares a file, and calls the model."""


def export_golden(subject: Subject, asked: Asked, registries: Registries = REAL) -> Written:
    """Write a golden test of a setting for a test program.

    Raises:
        UsageError: If no setting or test program is named, either is unknown, or the folder is not empty or
            cannot be written.
        StudyError: If the setting was not measured, or its outputs are finite on no sample.
    """
    study, framework = subject.study, FRAMEWORKS.get(asked.runtime or "")
    if framework is None:
        unknown = f"there is no test program '{asked.runtime}'"
        said = "name a test program with --runtime" if asked.runtime is None else unknown
        raise UsageError(f"{said}; {nearest(asked.runtime or '', FRAMEWORKS)}")
    refuse_scores_only(study, "'quantlab export test'")
    trial = _measured(study, asked.setting)
    _refuse_damaged(subject.store, study, trial)
    folder = asked.out or Path(f"golden-{asked.runtime}")
    with new_folder(folder) as place:
        chosen = _write(place, study, trial, framework, registries)
    app = Path(framework.code, _APP[framework.language])
    note = (
        f"{counted(len(chosen), 'sample')} with the outputs of {trial.setting} written to '{folder}': edit {app}, then "
        f"{_run_words(framework)}"
    )
    return Written((str(folder),), (note,))


def _run_words(framework: _Framework) -> str:
    if framework.steps:
        return f"add the folder to your app as README.md says, and run '{framework.command}'"
    return f"run '{framework.command}' there"


def _measured(study: Study, setting: str | None) -> Trial:
    """The row whose outputs are expected: that in Python, or the first that was measured."""
    rows = [trial for trial in study.trials if trial.status == "measured" and not trial.imported]
    known = list(dict.fromkeys(trial.setting for trial in rows))
    if not known:
        raise StudyError("no setting of the study was measured; run 'quantlab analyze' again")
    own = [trial for trial in rows if trial.setting == setting]
    if not own:
        asked = "name a setting with --setting" if setting is None else f"the study has no measured setting '{setting}'"
        raise UsageError(f"{asked}; {nearest(setting or '', known)}")
    return next((trial for trial in own if trial.runtime == PYTHON), own[0])


def _write(
    folder: Path, study: Study, trial: Trial, framework: _Framework, registries: Registries
) -> tuple[Chosen, ...]:
    name, variant = study.scored_output, trial.variant
    if variant is None:
        raise StudyError(f"the study has no artifact of '{trial.setting}'; run 'quantlab analyze' again")
    chosen = choose_samples(
        mapped(trial.outputs[name]),
        mapped(study.reference.outputs[name]),
        classes=study.classes,
    )
    if not chosen:
        raise StudyError(
            f"'{name}' holds NaN or infinity on every sample, in the model or in '{trial.setting}', so nothing can be "
            f"expected of it; export the test of another setting"
        )
    rows = np.array([one.row for one in chosen])
    data = folder / framework.data
    data.mkdir(parents=True, exist_ok=True)
    document = {
        "format": FORMAT,
        "setting": trial.setting,
        "artifact": dict(artifact_files(variant.path, registries.formats).files),
        "versions": _versions(study, trial.setting),
        "inputs": [*_inputs(data, study.samples, variant, rows)],
        "outputs": [*_outputs(data, study, trial, rows, registries)],
        "samples": _samples(data, study.samples, chosen),
        "measured_with": dict(study.versions),
    }
    (data / "golden.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _write_code(folder / framework.code, framework, variant.format)
    (folder / "README.md").write_text(_readme(trial.setting, framework, len(chosen)), encoding="utf-8")
    return chosen


def _refuse_damaged(store: Store, study: Study, trial: Trial) -> None:
    """Refuse kept outputs that are not as they were written: the test would expect what nothing gave.

    Raises:
        StudyError: If a file of the reference, or of a row of the setting, is missing or damaged.
    """
    rows = [study.reference, *(one for one in study.trials if one.setting == trial.setting and one.outputs)]
    for row in rows:
        kept = store.read(next(iter(row.outputs.values())).parent / "outputs.json", KeptOutputs)
        state = intact_files(row.outputs, kept.sha256 if kept is not None else {})
        if state in {"missing", "damaged"}:
            again = "import them again" if row.imported else "run 'quantlab analyze' again, which makes them anew"
            raise StudyError(f"the kept outputs of {row.setting} in {row.runtime} are {state}; {again}")


def _write_code(folder: Path, framework: _Framework, artifact: str) -> None:
    """Write the test, what it needs, and the file that users edit, for artifacts of a format."""
    folder.mkdir(exist_ok=True)
    language = _FILES / framework.language
    own = language / f"app.{artifact}.txt"
    shutil.copyfile(own if own.is_file() else language / "app.txt", folder / _APP[framework.language])
    for shared in _SHARED[framework.language]:
        shutil.copyfile(language / f"{shared}.txt", folder / shared)
    shutil.copyfile(language / framework.test, folder / framework.written)
    for file, text in framework.settings.items():
        (folder / file).write_text(text, encoding="utf-8")


def _versions(study: Study, setting: str) -> dict[str, list[str]]:
    """Facts that the runtimes and imported outputs told of themselves → all values that were measured."""
    told: dict[str, list[str]] = {}
    for trial in study.trials:
        if trial.setting == setting and trial.status == "measured":
            for name, value in trial.environment.items():
                told.setdefault(name, [])
                told[name] += [value] if value not in told[name] else []
    return told


def _inputs(
    folder: Path, samples: SampleSet, variant: Variant, rows: npt.NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    ports = {port.name: port for port in variant.inputs}
    for place, spec in enumerate(samples.inputs):
        values = np.asarray(mapped(samples.input_file(spec.name))[rows])
        fed = np.ascontiguousarray(as_fed(values, ports[spec.name]))
        (folder / f"input-{place}.bin").write_bytes(fed.tobytes())
        yield {
            "name": spec.name,
            "tensor": ports[spec.name].tensor,
            "position": ports[spec.name].position,
            "dtype": fed.dtype.name,
            "shape": list(fed.shape[1:]),
            "file": f"input-{place}.bin",
            "tolerance": input_tolerance(fed, ports[spec.name]),
        }


def input_tolerance(fed: npt.NDArray[Any], port: Port) -> float:
    """1/255 of the range, as two decoders may differ by one pixel value; 0 for numbers of things, such as tokens."""
    if port.codes is None and fed.dtype.kind in "iub" and fed.dtype.itemsize > 1:
        return 0.0
    return float(np.ptp(fed.astype(np.float64))) / 255 if fed.size else 0.0


def _outputs(
    folder: Path, study: Study, trial: Trial, rows: npt.NDArray[np.int64], registries: Registries
) -> Iterator[dict[str, Any]]:
    variant = trial.variant
    ports = {port.name: port for port in variant.outputs} if variant else {}
    for place, (name, file) in enumerate(trial.outputs.items()):
        expected = np.asarray(mapped(file)[rows]).astype(np.float32)
        (folder / f"expected-{place}.bin").write_bytes(np.ascontiguousarray(expected).tobytes())
        measured = max([0.0, *_differences(study, trial, name, registries)])
        rounding = ROUNDING * float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        codes = ports[name].codes
        yield {
            "name": name,
            "tensor": ports[name].tensor,
            "position": ports[name].position,
            "dtype": ports[name].dtype,
            "scale": codes.scale if codes else None,
            "zero_point": codes.zero_point if codes else None,
            "shape": list(expected.shape[1:]),
            "file": f"expected-{place}.bin",
            "measured": measured,
            "tolerance": SLACK * measured + rounding,
        }


def _differences(study: Study, expected: Trial, output: str, registries: Registries) -> Iterator[float]:
    """The largest difference of each other runtime, without those that store half floats."""
    for trial in study.trials:
        runtime = registries.runtimes.get(trial.ran_on or "")
        if trial.setting != expected.setting or trial is expected or output not in trial.outputs or runtime is None:
            continue
        if trial.status != "measured" or runtime.half(trial.environment):
            continue
        ones, others = mapped(expected.outputs[output]), mapped(trial.outputs[output])
        for block in blocks(ones):
            apart = np.abs(ones[block].astype(np.float64) - others[block])
            yield float(apart[np.isfinite(apart)].max(initial=0.0))


def _samples(folder: Path, samples: SampleSet, chosen: Sequence[Chosen]) -> list[dict[str, Any]]:
    """Position, reason and file of each sample; the files are copied, where they are still there."""
    indices = indices_of(samples)
    names = files_of(samples) if (samples.folder / "files.json").is_file() else None
    told = []
    for place, one in enumerate(chosen):
        about: dict[str, Any] = {"index": int(indices[one.row]), "why": one.why}
        source = present_file(samples, names[one.row]) if names else None
        if source is not None:
            about["file"] = f"files/{place:02d}{source.suffix.lower()}"
            (folder / "files").mkdir(exist_ok=True)
            shutil.copyfile(source, folder / about["file"])
        told.append(about)
    return told


def _readme(setting: str, framework: _Framework, count: int) -> str:
    app = Path(framework.code, _APP[framework.language])
    steps = framework.steps or f"Run `{framework.command}` in this folder, or move the folder into your test suite."
    return f"""# Golden test of {setting}

Written by `quantlab export test`. The code in this folder may be used under the license MIT-0.

1. Edit `{app}`: how your app loads the model, calls it, and prepares a file.
2. {steps}

The test has {count} samples, chosen because their answers change first. It fails if

- a file of the artifact is not the one that was measured (SHA-256); all other tests are then skipped,
- the runtime says another version than those that were measured,
- your preprocessing gives other tensors than those in `input-*.bin`, by more than 1/255 of their range (integers of
  more than 8 bits, such as tokens: at all), or
- an output differs from `expected-*.bin` by more than the tolerance in `golden.json`: twice the largest difference that
  quantlab measured between runtimes, and a millionth of the largest output.

If you change artifact, runtime or preprocessing on purpose, measure it with quantlab and export the test again.
"""


EXPORT = Export(frozenset({"setting", "runtime", "out"}), judges=False, write=export_golden)
"""`quantlab export test`."""
