"""Whole studies with a toy format and toy runtimes in this process: plans, stored results, interruptions, scores.

Nothing here starts TensorFlow: the reference is an ONNX model.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import toy_format
from onnx_models import node, port, write
from study_fixtures import Heard
from toy_format.study import CLASSES, INPUTS, Child, Host, kernel_and_bias, with_hosts, write_model, write_samples

from quantlab.errors import MissingOp, RuntimeUnavailable, SamplesError, UsageError
from quantlab.gate import judge
from quantlab.processes import ChildDied
from quantlab.progress import Progress
from quantlab.registries import Registries
from quantlab.runtimes.requests import Request, Run
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.plan import make_plan
from quantlab.types import Budget, Setting, Study
from quantlab.types.messages import Message

pytestmark = pytest.mark.starts_children

BATCH = 50
SCORED = 150
"""A quarter of the samples is set aside for calibration."""
BATCHES = SCORED // BATCH


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    return folder


@pytest.fixture
def study(prepared, tmp_path):
    """Analyze the model, with registries and options of a test, in the same folder each time."""

    def run(registries: Registries, progress: Progress | None = None, **options) -> Study:
        asked = {"settings": ("toy-int8",), "batch_size": BATCH, "layers": False, "costs": False, **options}
        return analyze(
            prepared / "one_dense.onnx",
            data=str(prepared / "samples.npz"),
            options=AnalyzeOptions(out=tmp_path / "toy.study", **asked),
            progress=progress,
            registries=registries,
        )

    return run


def trial_in(study: Study, runtime: str, setting: str = "toy-int8"):
    return next(trial for trial in study.trials if (trial.setting, trial.runtime) == (setting, runtime))


# Planning


def planned(registries, **options):
    plan = make_plan(AnalyzeOptions(**options), "ONNX", registries)
    return {format_name: [setting.name for setting in members] for format_name, members in plan.by_format.items()}


def test_the_float32_baseline_comes_along():
    registries = with_hosts()
    assert planned(registries, settings=("toy-int8",)) == {"toy": ["toy-float32", "toy-int8"]}
    assert planned(registries, settings=("toy-*",)) == {"toy": ["toy-float32", "toy-int8"]}


@pytest.mark.parametrize(
    ("options", "made"),
    [
        pytest.param({}, {"toy": ["toy-float32"], "onnx": ["onnx-float32"]}, id="of a format that is not asked for"),
        pytest.param({"layers": False}, {"onnx": ["onnx-float32"]}, id="not without layers"),
        pytest.param({"settings": ("toy-int8",)}, {"toy": ["toy-float32", "toy-int8"]}, id="of one that is"),
    ],
)
def test_the_float32_baseline_of_a_given_variant(options, made, tmp_path):
    (tmp_path / "mine.toy").touch()
    assert (
        planned(with_hosts(), **{"variants": {"mine": tmp_path / "mine.toy"}, "settings": ("onnx-float32",), **options})
        == made
    )


def test_no_baseline_of_a_format_that_cannot_be_made(tmp_path):
    (tmp_path / "mine.tflite").touch()
    options = {"variants": {"mine": tmp_path / "mine.tflite"}, "settings": ("toy-int8",)}
    assert planned(with_hosts(), **options) == {"toy": ["toy-float32", "toy-int8"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"settings": ("toy-int9",)}, "there is no setting 'toy-int9'; did you mean 'toy-int8'", id="setting"
        ),
        pytest.param({"runtimes": ("attick",)}, "there is no runtime 'attick'; did you mean 'attic'?", id="runtime"),
        pytest.param({"variants": {"toy-int8": Path("x")}}, "has the name of a setting", id="a row that is a setting"),
        pytest.param({"variants": {"reference": Path("x")}}, "has the name of a setting", id="the reference"),
        pytest.param(
            {"variants": {"scored": Path("x")}}, "has a name that tables use for samples", id="a set of samples"
        ),
        pytest.param(
            {"variants": {"mine": Path("x")}, "variant_runtimes": {"mine": ("attick",)}},
            "there is no runtime 'attick'; did you mean 'attic'?",
            id="a runtime of a variant",
        ),
        pytest.param(
            {"variants": {"mine": Path("x")}, "variant_runtimes": {"mne": ("attic",)}},
            "runtimes are named for the variant 'mne', and there is no such variant; did you mean 'mine'?",
            id="a variant that is not given",
        ),
    ],
)
def test_names_that_there_are_not(options, message):
    registries = with_hosts(Host("attic").runtime())
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        make_plan(AnalyzeOptions(**options), "ONNX", registries)


# Variants of the user


@pytest.fixture(scope="module")
def own(prepared, tmp_path_factory) -> Path:
    """A toy file of the user."""
    options = AnalyzeOptions(settings=("toy-int8",), layers=False, costs=False, out=tmp_path_factory.mktemp("own"))
    study = analyze(
        prepared / "one_dense.onnx",
        data=str(prepared / "samples.npz"),
        options=options,
        registries=with_hosts(),
    )
    return trial_in(study, "python").variant.path


class Choosy(Host):
    """A host that cannot run files of the user, which lie outside of the study."""

    def answer(self, request: Request) -> Iterator[Message]:
        if isinstance(request, Run) and "toy.study" not in request.job.artifact:
            raise ChildDied(f"{self.name} runs no such file")
        yield from Host.answer(self, request)


@pytest.mark.parametrize(
    ("options", "states", "complete"),
    [
        pytest.param({}, {"python": "measured", "attic": "excused"}, True, id="tried in the default runtimes"),
        pytest.param(
            {"runtimes": ("python", "attic")}, {"python": "measured", "attic": "failed"}, False, id="named for all"
        ),
        pytest.param({"variant_runtimes": {"mine": ("python",)}}, {"python": "measured"}, True, id="in one runtime"),
        pytest.param(
            {"variant_runtimes": {"mine": ("attic", "pyth*")}},
            {"python": "measured", "attic": "failed"},
            False,
            id="named for the variant",
        ),
        pytest.param({"variant_runtimes": {"mine": ("attic",)}}, {"attic": "failed"}, False, id="measured nowhere"),
    ],
)
def test_runtimes_of_a_variant(options, states, complete, own, study):
    made = study(with_hosts(Choosy("attic").runtime()), variants={"mine": own}, **options)
    mine = [trial for trial in made.trials if trial.setting == "mine"]
    assert {trial.runtime: "excused" if trial.excused else trial.status for trial in mine} == states
    assert made.complete == complete
    assert {trial.setting for trial in made.failed} <= {"mine"}


def test_a_runtime_that_does_not_run_the_format_of_a_variant(own, study):
    attic = Host("attic").runtime(runs=lambda _: False)
    made = study(with_hosts(attic), variants={"mine": own}, variant_runtimes={"mine": ("attic",)})
    assert trial_in(made, "attic", "mine").failure.reason == (
        "attic does not run the format toy; name another runtime after @"
    )
    assert not made.complete


# Progress


@dataclass(slots=True)
class Told(Heard):
    """A progress that remembers what was planned when work was first done."""

    before: set[str] | None = None

    def work(self, phase: str, units: int) -> None:
        if units and self.before is None:
            self.before = set(self.planned)
        Heard.work(self, phase, units)


def test_every_phase_is_planned_before_one_of_them_has_done_anything(study):
    """Otherwise the first times that are told would lack those that are planned later."""
    told = Told()
    study(with_hosts(Host("attic").runtime()), progress=told, layers=True, costs=True, timing_rounds=2)
    assert told.before == {"run", "convert", "look inside", "time"}
    assert told.planned == {"run": 4 * SCORED, "convert": 2, "look inside": 3 * SCORED, "time": 3 * 2}
    assert {phase: told.worked[phase] + told.skipped[phase] for phase in told.planned} == told.planned


def test_kept_conversions_are_no_work(study):
    registries = with_hosts(Host("attic").runtime())
    first, second = Heard(), Heard()
    for told in (first, second):
        study(registries, progress=told)
    assert [(told.worked["convert"], told.skipped["convert"]) for told in (first, second)] == [(2, 0), (0, 2)]


# Running and keeping


def test_a_second_call_runs_nothing(study):
    host = Host("attic")
    registries = with_hosts(host.runtime())
    first = study(registries, runtimes=("attic",))
    assert trial_in(first, "attic").max_abs_from_python is None  # it was not asked for there
    assert host.batches == BATCHES
    again = study(registries, runtimes=("attic",))
    assert host.batches == BATCHES
    assert replace(again, created="", seconds={}) == replace(first, created="", seconds={})


def test_an_added_runtime_costs_only_itself(study):
    attic, cellar = Host("attic"), Host("cellar")
    registries = with_hosts(attic.runtime(), cellar.runtime())
    study(registries, runtimes=("attic",))
    study(registries, runtimes=("attic", "cellar"))
    assert (attic.batches, cellar.batches) == (BATCHES, BATCHES)


def test_another_version_of_a_runtime_runs_again(study):
    host = Host("attic")
    study(with_hosts(host.runtime()), runtimes=("attic",))
    study(with_hosts(host.runtime(environment=lambda _: {"toys": "2"})), runtimes=("attic",))
    assert host.batches == 2 * BATCHES


# Dying and resuming


def dies_once_at(sample):
    def before(host, start):
        if start == sample and host.batches == sample // BATCH and not any(begin for _, begin in host.starts):
            raise ChildDied("the process was ended by SIGKILL")

    return before


def test_a_run_that_died_goes_on_where_it_was(study):
    host, whole = Host("attic", before=dies_once_at(2 * BATCH)), Host("cellar")
    registries = with_hosts(host.runtime(), whole.runtime())
    failed = trial_in(study(registries, runtimes=("attic", "cellar")), "attic")
    assert (failed.status, failed.failure.reason) == ("failed", "the process was ended by SIGKILL")
    done = study(registries, runtimes=("attic", "cellar"))
    assert {begin for _, begin in host.starts} == {0, 2 * BATCH}
    assert host.batches == BATCHES  # none twice
    ours, theirs = (trial_in(done, name).outputs["y"] for name in ("attic", "cellar"))
    assert ours.read_bytes() == theirs.read_bytes()


# What costs its own row


def broken_scheme() -> toy_format.Format:
    more = Setting("toy-broken", "toy", "broken", "no such scheme")
    return replace(toy_format.FORMAT, settings=(*toy_format.FORMAT.settings, more))


def test_a_conversion_that_fails_is_its_own_row(study):
    base = with_hosts()
    registries = replace(base, formats={**base.formats, "toy": broken_scheme()})
    analyzed = study(registries, settings=("toy-*",), runtimes=("python",))
    assert {trial.setting: trial.status for trial in analyzed.trials} == {
        "toy-float32": "measured",
        "toy-int8": "measured",
        "toy-broken": "failed",
    }
    failure = trial_in(analyzed, "python", "toy-broken").failure
    assert (failure.stage, failure.reason) == ("conversion", "toy files know no such scheme; leave it out")


def unavailable(_):
    raise RuntimeUnavailable("there is no attic here; build one")


def test_a_runtime_that_is_not_there_is_its_own_row(study):
    analyzed = study(with_hosts(Host("attic").runtime(environment=unavailable)), runtimes=("python", "attic"))
    assert trial_in(analyzed, "python").status == "measured"
    assert trial_in(analyzed, "attic").failure.reason == "there is no attic here; build one"


def lacks_an_op(_host, _start):
    raise MissingOp("the attic has no Softmax")


@pytest.mark.parametrize("fallback", [False, True])
def test_an_op_that_a_runtime_lacks(fallback, study):
    attic, cellar = Host("attic", before=lacks_an_op), Host("cellar")
    registries = with_hosts(attic.runtime(fallback="cellar"), cellar.runtime())
    analyzed = study(registries, runtimes=("attic",), fallback=fallback)
    trial, root = trial_in(analyzed, "attic"), analyzed.samples.folder.parents[2]
    assert (root / "outputs").is_dir()
    assert list(root.rglob("*.partial")) == []
    if fallback:
        assert (trial.ran_on, trial.notes[-1]) == ("cellar", "ran on cellar")
    else:
        assert trial.failure.reason == "the attic has no Softmax; --fallback tries it on cellar"


def test_a_row_that_falls_back_to_the_runtime_of_another_row_waits_for_it(study):
    attic, cellar = Host("attic", before=lacks_an_op), Host("cellar", before=lambda *_: time.sleep(0.2))
    registries = with_hosts(attic.runtime(fallback="cellar"), cellar.runtime())
    analyzed = study(registries, runtimes=("attic", "cellar"), fallback=True)
    assert [trial_in(analyzed, name).ran_on for name in ("attic", "cellar")] == ["cellar", "cellar"]
    assert cellar.starts["toy-int8", 0] == 1


def test_answers_that_are_not_finite_spoil_their_own_score(study):
    spoiled = Host("attic", after=lambda values: values * np.float32("nan"))
    analyzed = study(with_hosts(spoiled.runtime()), runtimes=("python", "attic"))
    assert trial_in(analyzed, "attic").scores.non_finite == SCORED * CLASSES
    assert trial_in(analyzed, "python").scores.non_finite == 0


def test_costs_of_a_toy(study):
    analyzed = study(with_hosts(Host("attic").runtime()), runtimes=("attic",), costs=True)
    rows = Store(trial_in(analyzed, "attic").outputs["y"].parents[4]).read_costs().rows
    timed = next(row for row in rows if row.ran_on == "attic")
    assert (timed.load_ms, timed.first_run_ms, timed.steady_median_ms) == (1, 2, 0.5)
    assert (timed.peak_memory_bytes, timed.memory_reason) == (None, "a toy has none")


def starts_no_timing(host):
    def start(job, _pool):
        if job.batch_size == 1:
            raise RuntimeUnavailable("its addon is gone; build it again")
        return Child(host)

    return start


def test_a_process_that_cannot_be_started_is_timed_by_nobody(study):
    """Whatever fails at the call itself, and not in what it gives on."""
    attic = Host("attic")
    registries = with_hosts(attic.runtime(start=starts_no_timing(attic)), Host("cellar").runtime())
    analyzed = study(registries, runtimes=("attic", "cellar"), costs=True)
    rows = Store(trial_in(analyzed, "attic").outputs["y"].parents[4]).read_costs().rows
    reasons = {row.ran_on: row.reason for row in rows if row.ran_on != "python"}
    assert reasons == {"attic": "its addon is gone; build it again", "cellar": None}


# Judging


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        pytest.param(lambda values: values, "fits", id="the same answers"),
        pytest.param(lambda values: np.roll(values, 1, axis=1), "breaks", id="every answer another"),
        pytest.param(lambda values: values * np.float32("nan"), "breaks", id="no answers"),
    ],
)
def test_a_verdict(after, outcome, study):
    analyzed = study(with_hosts(Host("attic", after=after).runtime()), runtimes=("attic",))
    (setting,) = judge(analyzed, Budget(max_accuracy_loss="5pt"), registries=with_hosts()).settings
    assert (setting.setting, setting.outcome) == ("toy-int8", outcome)


def test_a_verdict_goes_by_the_metric_of_the_study(study):
    analyzed = study(with_hosts(), runtimes=("python",), metric="macro-f1")
    assert analyzed.metric == "macro-f1"
    (setting,) = judge(analyzed, Budget(max_accuracy_loss="5pt")).settings
    assert setting.judgements[0].loss.metric == "macro-f1"
    assert study(with_hosts(), runtimes=("python",)).metric is None


def test_a_baseline_that_failed_is_not_taken_for_quantized(study):
    """It has no variant that would tell."""
    registries = with_hosts(Host("attic").runtime(environment=unavailable))
    broken = replace(toy_format.CONVERTER, convert="toy_format.conversion:refuse")
    registries = replace(registries, converters={**registries.converters, "toy": broken})
    analyzed = study(registries, settings=("toy-*",), runtimes=("python",))
    verdict = judge(analyzed, Budget(max_accuracy_loss="5pt"), registries=registries)
    assert {setting.setting: setting.quantized for setting in verdict.settings} == {
        "toy-float32": False,
        "toy-int8": True,
    }


# A model that is NaN inside, which may be meant


def write_selecting_model(path: Path) -> None:
    """Log(x), or x where that is NaN; then the dense layer of the toy model."""
    weights = dict(zip(("kernel", "bias"), kernel_and_bias(), strict=True))
    write(
        path,
        [
            node("Log", ["x"], "log"),
            node("IsNaN", ["log"], "negative"),
            node("Where", ["negative", "x", "log"], "known"),
            node("Gemm", ["known", "kernel", "bias"], "dense"),
            node("Softmax", ["dense"], "y", axis=1),
        ],
        ([port("x", ["n", INPUTS])], [port("y", ["n", CLASSES])]),
        {name: array.astype(np.float32) for name, array in weights.items()},
    )


def spoil_first(values):
    values[0] = np.nan
    return values


def test_nan_in_a_branch_that_is_not_taken_excuses_no_variant(tmp_path):
    write_selecting_model(tmp_path / "selecting.onnx")
    x = np.random.default_rng(0).uniform(0.1, 1, (200, INPUTS)).astype(np.float32)
    x[::BATCH] *= -1  # the model is NaN inside where the runtime spoils what it answers
    np.savez(tmp_path / "samples.npz", x=x)
    np.savez(tmp_path / "others.npz", x=x + 1)
    only = {"settings": ("toy-int8",), "runtimes": ("attic",), "layers": False, "costs": False}
    study = analyze(
        tmp_path / "selecting.onnx",
        data=str(tmp_path / "samples.npz"),
        options=AnalyzeOptions(
            **only, batch_size=BATCH, calibration=str(tmp_path / "others.npz"), out=tmp_path / "a.study"
        ),
        registries=with_hosts(Host("attic", after=spoil_first).runtime()),
    )
    assert study.non_finite == ()
    scores = trial_in(study, "attic").scores
    assert (scores.n, scores.left_out, scores.non_finite) == (200, None, 200 // BATCH * CLASSES)


def test_the_time_limit_of_a_study_is_that_of_its_loader(study, prepared, tmp_path, monkeypatch):
    registries = with_hosts(Host("attic").runtime())
    study(registries)  # so that no other process than the loader's has to answer in time
    (tmp_path / "endless.py").write_text("import time\n\n\ndef sleeping():\n    time.sleep(3600)\n")
    monkeypatch.chdir(tmp_path)
    options = AnalyzeOptions(settings=("toy-int8",), batch_size=BATCH, out=tmp_path / "toy.study", time_limit=1.5)
    with pytest.raises(SamplesError) as refused:
        analyze(prepared / "one_dense.onnx", data="endless:sleeping", options=options, registries=registries)
    assert str(refused.value) == (
        "the loader 'endless:sleeping' did not answer for 1.5 seconds and was ended; if it only needs longer, raise "
        "--time-limit"
    )
