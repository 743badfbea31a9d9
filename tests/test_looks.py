"""What is judged again with more samples: the record of looks, and the bounds that follow from it."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

from quantlab import judge
from quantlab.errors import StudyError, UsageError
from quantlab.gate import recommend
from quantlab.gate.looks import budget_at, look_at, recorded
from quantlab.seals import sealed
from quantlab.statistics import loss_bounds, obrien_fleming
from quantlab.statistics.paired.sequential import any_look_bounds
from quantlab.store import Store, write_json
from quantlab.study import verify
from quantlab.types import Budget, Look, LookRule, Looks

POINT = Budget(max_accuracy_loss="1pt")
TWO = Budget(max_accuracy_loss="2pt")
UNKNOWN = Budget(min_sqnr="elsewhere=10dB")


@pytest.fixture
def study(tmp_path):
    """Writes a study of so many samples of which some became wrong, in the place of the one before."""

    def write(n, lost):
        import shutil

        folder = tmp_path / "digits.study"
        kept = (folder / "looks.json").read_bytes() if (folder / "looks.json").exists() else None
        shutil.rmtree(folder, ignore_errors=True)
        labels = np.arange(n) % 10
        candidate = answers(labels, flipped(n, list(range(lost))))
        written = write_study(folder, labels, answers(labels), {("tfjs-uint8", "python"): candidate})
        Store(folder).write_study(replace(written, samples=replace(written.samples, sha256=f"{n:064d}")))
        if kept is not None:
            (folder / "looks.json").write_bytes(kept)
        return folder

    return write


def bounds_of(verdict):
    (judged,) = verdict.settings
    loss = judged.deciding.loss
    return loss.lower, loss.upper, loss.confidence


def test_the_first_look_is_judged_as_the_only_one_and_the_next_more_strictly(study):
    first = judge(study(600, 3), POINT)
    assert first.look == LookRule("one", 1)
    assert bounds_of(first) == (*(100 * bound for bound in loss_bounds(3, 0, n=600, confidence=0.95)), 0.95)
    again = judge(study(600, 3), POINT)
    assert again == first  # the same samples are no further look
    second = judge(study(2000, 10), POINT)
    assert second.look == LookRule("further", 2)
    lower, upper, confidence = bounds_of(second)
    assert confidence == pytest.approx(0.995)
    expected = any_look_bounds(10, 0, n=2000, confidence=confidence)
    assert (lower, upper) == tuple(100 * bound for bound in expected)
    assert (first.outcome, second.outcome) == ("inconclusive", "inconclusive")
    assert judge(study(600, 3), POINT).look == LookRule("one", 1)


def test_every_judgement_is_recorded_once(study):
    folder = study(600, 3)
    for _ in range(2):
        judge(folder, POINT)
    judge(folder, Budget(max_accuracy_loss="2pt"))
    recommend(study(2000, 10), POINT)
    looks = json.loads((folder / "looks.json").read_text())["looks"]
    assert [(look["n"], look["kind"], look["budget"], look["outcome"]) for look in looks] == [
        (600, "one", "max_accuracy_loss 1pt", "inconclusive"),
        (600, "one", "max_accuracy_loss 2pt", "fits"),
        (2000, "further", "max_accuracy_loss 1pt", "inconclusive"),
    ]


def test_a_plan_spends_little_early_and_hardly_anything_is_lost_at_its_end(study):
    planned = replace(POINT, planned_n=2000)
    first = judge(study(600, 3), planned)
    assert first.look == LookRule("planned", 1, 2000, n=600)
    assert bounds_of(first)[2] == pytest.approx(obrien_fleming([600], 2000, 0.95))
    assert bounds_of(first)[2] > 0.995
    second = judge(study(2000, 10), POINT)  # the plan is in the record
    assert second.look == LookRule("planned", 2, 2000, n=2000)
    assert bounds_of(second)[2] == pytest.approx(obrien_fleming([600, 2000], 2000, 0.95))
    assert 0.95 < bounds_of(second)[2] < 0.953
    assert second.outcome == "fits"
    with pytest.raises(UsageError) as caught:
        judge(study(3000, 10), POINT)
    assert str(caught.value) == (
        "the plan of 2,000 samples ended with the look at n = 2,000, with the outcome fits; analyze new samples in "
        "another folder"
    )


def test_a_plan_is_at_least_as_large_as_the_first_look(study):
    folder = study(600, 3)
    with pytest.raises(UsageError) as caught:
        judge(folder, replace(POINT, planned_n=599))
    assert str(caught.value) == (
        "a plan of 599 samples is smaller than the 600 samples of this first look; plan at least 600, or leave the "
        "plan out"
    )
    assert not (folder / "looks.json").exists()
    at_end = judge(folder, replace(POINT, planned_n=600))
    assert (at_end.look, at_end.look.at_end) == (LookRule("planned", 1, 600, n=600), True)
    assert bounds_of(at_end)[2] == pytest.approx(0.95)


def test_any_number_of_looks_is_declared_at_the_first(study):
    first = judge(study(600, 3), replace(POINT, looks="any"))
    assert first.look == LookRule("any", 1)
    lower, upper = any_look_bounds(3, 0, n=600, confidence=0.95)
    assert bounds_of(first) == (100 * lower, 100 * upper, 0.95)
    second = judge(study(2000, 6), POINT)
    assert (second.look, bounds_of(second)[2]) == (LookRule("any", 2), 0.95)
    assert second.outcome == "fits"


def a_look(n, kind="one", samples="a"):
    return Look(samples, n, kind, 0.95, "max_accuracy_loss 1pt", "inconclusive")


@pytest.mark.parametrize(
    ("record", "asked", "message"),
    [
        pytest.param(
            Looks((a_look(600),)),
            {"planned_n": 10_000},
            "the study was first judged with no plan (n = 600), and now a plan of 10,000 samples is asked for; a plan "
            "is declared before the first look, so leave it out, or analyze new samples in another folder",
            id="a plan after the first look",
        ),
        pytest.param(
            Looks((a_look(600, "planned"),), 5000),
            {"planned_n": 10_000},
            "the study was first judged with a plan of 5,000 samples (n = 600), and now a plan of 10,000 samples is "
            "asked for; a plan is declared before the first look, so leave it out, or analyze new samples in another "
            "folder",
            id="another plan",
        ),
        pytest.param(
            Looks((a_look(600),)),
            {"looks": "any"},
            "the study was first judged with no plan (n = 600), and now any number of looks is asked for; a plan is "
            "declared before the first look, so leave it out, or analyze new samples in another folder",
            id="any number of looks after the first",
        ),
        pytest.param(
            Looks((a_look(900, "planned"),), 5000),
            {},
            "the plan of 5,000 samples was looked at with n = 900, and these other samples are 800; analyze more "
            "samples of the same source, with the same seed",
            id="fewer samples than before",
        ),
    ],
)
def test_what_contradicts_the_record(study, record, asked, message):
    judged = Store(study(800, 3)).read_study()
    with pytest.raises(UsageError) as caught:
        look_at(record, judged, replace(POINT, **asked))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"planned_n": 0}, "planned_n is 0; plan at least one sample", id="a plan of nothing"),
        pytest.param(
            {"planned_n": "many"},
            "planned_n 'many' is not a number of samples; write for example 10000",
            id="no number",
        ),
        pytest.param({"looks": "two"}, "looks 'two' is not known; write any, or leave it out", id="no such looks"),
        pytest.param(
            {"looks": "any", "planned_n": 9},
            "looks = any and planned_n = 9 contradict each other; a plan needs no bounds for any number of looks, so "
            "leave one of them out",
            id="both",
        ),
    ],
)
def test_plans_that_cannot_be(given, message):
    with pytest.raises(UsageError) as caught:
        replace(POINT, **given)
    assert str(caught.value) == message


def test_a_damaged_record_is_refused(study):
    folder = study(600, 3)
    judge(folder, POINT)
    text = (folder / "looks.json").read_text()
    for damaged in ("[]", "{", text.replace("600", "601"), '{"looks": []}', '{"looks": [], "planned_n": null}'):
        (folder / "looks.json").write_text(damaged)
        with pytest.raises(StudyError, match=r"looks\.json' is damaged, so it is unknown which samples were judged"):
            judge(folder, POINT)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        pytest.param(lambda text: text, "intact", id="whole"),
        pytest.param(lambda text: text.replace("600", "601"), "damaged", id="another number"),
        pytest.param(lambda _: '{"looks": []}', "damaged", id="no hash"),
        pytest.param(lambda _: "", "damaged", id="empty"),
    ],
)
def test_the_record_of_looks_is_verified(change, state, study):
    folder = study(600, 3)
    judge(folder, POINT)
    text = change((folder / "looks.json").read_text())
    (folder / "looks.json").write_text(text)
    done = quantlab_in_process("verify", folder, cwd=folder.parent)
    assert f"looks.json {state}" in " ".join(done.stdout.split())
    told = (
        "'looks.json' is not made again, because it is unknown which samples were judged before: restore it, or "
        "analyze new samples in another folder"
    )
    assert (told in done.stdout) is (state == "damaged")
    assert done.status == 2  # other files of this study were never written
    (row,) = [row for row in verify(folder) if row.path.name == "looks.json"]
    assert (row.kind, row.name, row.state) == ("record", "looks.json", state)


def test_a_folder_that_cannot_be_written_costs_a_warning(study, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    folder = study(600, 3)
    monkeypatch.setattr(Store, "write", refuse)
    (warning,) = judge(folder, POINT).warnings
    assert warning == (
        f"this judgement cannot be recorded in '{folder / 'looks.json'}' (Read-only file system), so a later one with "
        f"more samples will not know of it"
    )


def test_the_record_keeps_what_was_declared(study):
    judged = Store(study(800, 3)).read_study()
    verdict = judge(Store(study(800, 3)).root, replace(POINT, planned_n=4000))
    after = recorded(Looks(), judged, verdict)
    assert after.planned_n == 4000
    assert recorded(after, judged, verdict) == after
    assert budget_at(look_at(after, judged, POINT), after, judged, POINT).confidence == pytest.approx(
        obrien_fleming([800], 4000, 0.95)
    )


@pytest.fixture
def two(tmp_path):
    """A study of 600 samples: 3 become wrong with 16 bits, and one with 8, so that the sequence stops at the first."""
    labels = np.arange(600) % 10
    outputs = {
        ("tfjs-uint8", "python"): answers(labels, flipped(600, [7])),
        ("tfjs-uint16", "python"): answers(labels, flipped(600, [1, 2, 3])),
    }
    folder = tmp_path / "two.study"
    write_study(folder, labels, answers(labels), outputs)
    return folder


FIRST = "in the order tfjs-uint16 and tfjs-uint8 (inconclusive)"
PROMISE = "that at most 5 % of verdicts fit wrongly holds only for what was declared before the first look"


@pytest.mark.parametrize(
    ("budget", "settings", "now"),
    [
        pytest.param(
            replace(POINT, order=("tfjs-uint8",)), None, "in the order tfjs-uint8 and tfjs-uint16", id="order"
        ),
        pytest.param(POINT, ("tfjs-uint8",), "by tfjs-uint8 alone", id="a setting"),
        pytest.param(
            replace(POINT, max_size=15_000),
            None,
            "in the order tfjs-uint16 and tfjs-uint8 with max_size 15000",
            id="a size that leaves the first setting out",
        ),
    ],
)
def test_a_choice_after_the_first_look_is_told(two, budget, settings, now):
    assert judge(two, POINT).outcome == "inconclusive"
    for _ in range(2):
        verdict = judge(two, budget, settings=settings)
        assert verdict.outcome == "fits"
        assert verdict.look == LookRule("one", 1, first_choice=FIRST)
        assert verdict.warnings[-1] == f"these samples were judged first {FIRST}, and now {now}; {PROMISE}"
    looks = json.loads((two / "looks.json").read_text())["looks"]
    assert (looks[0]["rule"], looks[0]["order"]) == ("fixed sequence", ["tfjs-uint16", "tfjs-uint8"])
    assert len(looks) == 2


def test_settings_in_no_order_after_an_order_are_a_choice(two):
    judge(two, Budget(max_accuracy_loss="1.5pt"), settings=("tfjs-uint16",))
    verdict = judge(two, Budget(max_accuracy_loss="1.5pt", order=("none",)))
    (warning,) = verdict.warnings
    assert warning == (
        f"these samples were judged first by tfjs-uint16 alone (fits), and now by any of tfjs-uint16 and tfjs-uint8 in "
        f"no order; {PROMISE}"
    )


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param((POINT, None), (POINT, None), id="the same again"),
        pytest.param((POINT, None), (TWO, ("tfjs-*",)), id="all settings by name"),
        pytest.param((POINT, None), (TWO, ("tfjs-uint16",)), id="the first of the order by name"),
        pytest.param((TWO, None), (TWO, ("tfjs-uint8",)), id="by name what fitted first"),
        pytest.param((POINT, ("tfjs-uint16",)), (TWO, None), id="the order that begins with what was named"),
        pytest.param((POINT, ("tfjs-uint8",)), (TWO, ("tfjs-*",)), id="more settings, all of which must fit"),
    ],
)
def test_what_was_declared_first_is_no_choice(two, first, then):
    judge(two, first[0], settings=first[1])
    verdict = judge(two, then[0], settings=then[1])
    assert (verdict.look, verdict.warnings) == (LookRule("one", 1), ())


def test_records_of_an_older_quantlab_do_not_say_what_was_chosen(two):
    store = Store(two)
    study = store.read_study()
    looks = [{"samples_sha256": study.samples.sha256, "n": 600, "kind": "one", "confidence": 0.95}]
    looks[0] |= {"budget": "max_accuracy_loss 1pt", "outcome": "inconclusive"}
    write_json(two / "looks.json", sealed({"looks": looks, "planned_n": None}))
    assert judge(two, POINT, settings=("tfjs-uint8",)).warnings == ()
    assert judge(two, replace(POINT, order=("tfjs-uint8",))).warnings == ()
    judged_first = Store(two).read(two / "looks.json", Looks).looks[0]
    assert (judged_first.rule, judged_first.order) == ("unknown", ())


@pytest.mark.parametrize(
    "judging",
    [
        pytest.param(lambda folder: judge(folder, UNKNOWN), id="judge"),
        pytest.param(lambda folder: recommend(folder, UNKNOWN), id="recommend"),
        pytest.param(
            lambda folder: quantlab_in_process("gate", folder, "--min-sqnr", "elsewhere=10dB", cwd=folder.parent),
            id="quantlab gate",
        ),
        pytest.param(
            lambda folder: quantlab_in_process(
                "accept", folder, "--min-sqnr", "elsewhere=10dB", "--lock", f"{folder}.lock", cwd=folder.parent
            ),
            id="quantlab accept",
        ),
    ],
)
def test_what_cannot_be_judged_is_no_look(judging, study):
    folder = study(600, 3)
    with contextlib.suppress(UsageError):
        done = judging(folder)
        assert (done.status, "elsewhere" in done.stderr) == (2, True)
    assert not (folder / "looks.json").exists()
    judge(folder, POINT)
    assert (folder / "looks.json").exists()
