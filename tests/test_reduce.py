"""`quantlab reduce`: sub-graphs of graphs, the search among them, and the folder for an issue."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import PATIENCE, quantlab_in_process
from hypothesis import assume, given
from hypothesis import strategies as st

from quantlab.errors import UsageError
from quantlab.formats import FORMATS
from quantlab.study.reduction.running import Cutting, graph_of, run_file
from quantlab.study.reduction.search import SubGraph, smallest_subgraph, subgraph_of
from quantlab.types.reduction import CutGraph, CutOp


def chain(count):
    """x → t0 → t1 → …"""
    names = ["x", *(f"t{place}" for place in range(count))]
    ops = tuple(CutOp(f"op{i}", (names[i],), (names[i + 1],)) for i in range(count))
    return CutGraph(("x",), (names[-1],), ops, frozenset(names))


BRANCHED = CutGraph(
    ("x",),
    ("sum",),
    (
        CutOp("left", ("x",), ("a",)),
        CutOp("right", ("x",), ("b",)),
        CutOp("more", ("b",), ("c",)),
        CutOp("add", ("a", "c"), ("sum",)),
    ),
    frozenset({"x", "a", "b", "c", "sum"}),
)


@pytest.mark.parametrize(
    ("graph", "known", "first", "output", "subgraph"),
    [
        pytest.param(chain(3), {"t0", "t1", "t2"}, 0, "t2", SubGraph((0, 1, 2), ("x",), "t2"), id="a whole chain"),
        pytest.param(chain(3), {"t0", "t1", "t2"}, 2, "t2", SubGraph((2,), ("t1",), "t2"), id="its last op"),
        pytest.param(
            chain(3), {"t0", "t2"}, 2, "t2", SubGraph((1, 2), ("t0",), "t2"), id="an unknown tensor cannot be fed"
        ),
        pytest.param(
            BRANCHED,
            {"a", "b", "c", "sum"},
            2,
            "sum",
            SubGraph((2, 3), ("a", "b"), "sum"),
            id="two branches, one cut later",
        ),
        pytest.param(
            BRANCHED, {"a", "b", "c", "sum"}, 0, "sum", SubGraph((0, 1, 2, 3), ("x",), "sum"), id="both branches"
        ),
        pytest.param(BRANCHED, {"a", "b", "c", "sum"}, 0, "c", SubGraph((1, 2), ("x",), "c"), id="one branch alone"),
    ],
)
def test_a_part(graph, known, first, output, subgraph):
    assert subgraph_of(graph, frozenset(known), first=first, output=output) == subgraph


@given(st.integers(1, 40), st.data())
def test_the_op_at_fault_is_found_alone(count, data):
    """One op of a chain adds an error; every tensor behind it differs, and every sub-graph that holds it."""
    fault = data.draw(st.integers(0, count - 1))
    shares = {f"t{place}": float(place >= fault) for place in range(count)}
    found = smallest_subgraph(chain(count), shares, 0.5, lambda subgraph: float(fault in subgraph.ops))
    assert found is not None
    assert (found.subgraph.ops, found.subgraph.output) == ((fault,), f"t{fault}")
    assert found.tried <= 2 + int(np.ceil(np.log2(count + 1)))


@given(st.integers(2, 30), st.data())
def test_what_is_found_differs_and_no_later_part_of_it_does(count, data):
    """Errors of ops add up; the sub-graph is the shortest with the same end that reaches the threshold."""
    errors = data.draw(st.lists(st.floats(0.01, 1.0), min_size=count, max_size=count))
    sums = np.cumsum(errors)
    threshold = data.draw(st.floats(0.02, 1.0)) * sums[-1]

    def measure(subgraph):
        return sum(errors[place] for place in subgraph.ops)

    assume(not np.isclose(sums, threshold, rtol=1e-12).any())  # there, the sum over a sub-graph rounds otherwise
    found = smallest_subgraph(chain(count), {f"t{i}": float(sums[i]) for i in range(count)}, threshold, measure)
    assert found is not None
    assert found.share == measure(found.subgraph) >= threshold
    last = found.subgraph.ops[-1]
    assert last == int(np.argmax(sums >= threshold))
    assert sum(errors[place] for place in found.subgraph.ops[1:]) < threshold


def test_nothing_is_found_where_parts_agree():
    """A tensor may differ only in the run of the whole graph, where ops are fused otherwise."""
    assert smallest_subgraph(chain(3), {"t0": 0.0, "t1": 1.0, "t2": 1.0}, 0.5, lambda _: 0.0) is None


@pytest.fixture(scope="module")
def study(small_models, tmp_path_factory):
    """A study of a small network in formats that can be cut."""
    folder = tmp_path_factory.mktemp("reduce")
    model = small_models["conv"]
    values = np.random.default_rng(7).normal(size=(40, *next(iter(model.inputs.values())).shape[1:]))
    np.savez(folder / "samples.npz", **dict.fromkeys(model.inputs, values.astype(np.float32)))
    settings = "tflite-float32,tflite-int8,onnx-float32,onnx-int8,tfjs-float32"
    words = ("--settings", settings, "--runtimes", "python", "--no-layers", "--no-costs", "--out", "s.study")
    done = quantlab_in_process("analyze", model.path, "--data", "samples.npz", *words, cwd=folder)
    assert done.status == 0, done.stderr
    return folder


@pytest.mark.starts_children
@pytest.mark.parametrize("setting", ["tflite-int8", "onnx-int8"])
def test_the_folder_shows_the_difference(setting, study):
    out = study / f"{setting}.reduced"
    done = quantlab_in_process("reduce", "s.study", "--setting", setting, "--out", out, "--json", cwd=study)
    assert done.status == 0, done.stderr
    told = json.loads(done.stdout)
    found, expected = np.load(out / "output.npy"), np.load(out / "expected.npy")
    difference = float(np.abs(found.astype(np.float64) - expected).max())
    assert told["difference"] == difference > 0
    assert told["share"] >= told["threshold"]
    assert 0 < len(told["ops"]) <= told["all_ops"]
    assert {path.name for path in out.iterdir()} == {
        "issue.md",
        "compare.py",
        "reduction.json",
        "output.npy",
        "expected.npy",
        "input-0.npy",
        f"subgraph.{setting.partition('-')[0]}",
    }
    ran = subprocess.run(
        [sys.executable, "compare.py"], cwd=out, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert ran.stdout == (
        f"largest difference from expected.npy: {difference:.6g}\nlargest difference from output.npy: 0\n"
    )
    issue = (out / "issue.md").read_text(encoding="utf-8")
    assert f"Largest difference: {difference:.6g} " in issue
    assert "- numpy: " in issue


@pytest.mark.starts_children
def test_an_existing_folder_is_left_alone(study):
    (study / "mine").mkdir(exist_ok=True)
    (study / "mine" / "notes.txt").write_text("mine")
    done = quantlab_in_process("reduce", "s.study", "--setting", "tflite-int8", "--out", "mine", cwd=study)
    assert (done.status, done.last) == (2, "quantlab: 'mine' exists already; choose another --out, or remove it")
    assert [path.name for path in (study / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--setting", "tflite-int9"],
            "quantlab: the study has no setting 'tflite-int9' that was measured in 'python'; did you mean "
            "'tflite-int8' or 'tflite-float32'?",
            id="no such setting",
        ),
        pytest.param(
            ["--setting", "tflite-float32"],
            "quantlab: 'tflite-float32' in Python is the baseline itself; name a quantized setting, or another "
            "--runtime",
            id="the baseline itself",
        ),
        pytest.param(
            ["--setting", "tflite-int8", "--threshold", "1000"],
            "quantlab: no sub-graph of 'tflite-int8' differs by 1e+03 of the largest value of a tensor; give a smaller "
            "--threshold",
            id="a threshold that nothing reaches",
        ),
    ],
)
def test_what_cannot_be_reduced(arguments, message, study):
    done = quantlab_in_process("reduce", "s.study", *arguments, cwd=study)
    assert (done.status, done.last, done.stdout) == (2, message, "")
    assert not list(study.glob(f"{arguments[1]}-python.reduced*"))


@pytest.mark.starts_children
@pytest.mark.parametrize("name", ["tflite", "onnx", "tfjs"])
def test_a_part_with_all_ops_answers_as_the_file(name, study):
    """Cut at its inputs and outputs, a float file gives the same outputs, and each half joined gives them again."""
    from quantlab.processes import ChildPool
    from quantlab.registries import REAL
    from quantlab.store import Store

    variant = next(
        trial.variant
        for trial in Store(study / "s.study").read_study().trials
        if trial.setting == f"{name}-float32" and trial.variant is not None
    )
    format_ = FORMATS[name]
    graph = format_.cut_graph(variant.path)
    with ChildPool(study / f"pool-{name}", 300.0) as pool:
        where = (REAL.python, REAL, pool)
        shape = (1, *(size for size in variant.inputs[0].shape[1:]))
        values = np.random.default_rng(3).normal(size=shape).astype(np.float32)
        cut = Cutting(format_, variant.path, where, Path(study) / f"sub-graphs-{name}")
        middle = next(op.writes[0] for op in graph.ops[len(graph.ops) // 2 :] if op.writes[0] in graph.tensors)
        whole = run_file(format_, variant.path, [values], where=where)
        read = cut.values({graph.inputs[0]: values}, [middle, *graph.outputs])
        np.testing.assert_array_equal(read[graph.outputs[0]], whole[0])
        rest = subgraph_of(graph, frozenset({middle}), first=len(graph.ops), output=graph.outputs[0])
        assert rest.inputs == (middle,)
        (again,) = run_file(format_, cut.write({middle: read[middle]}, graph.outputs[:1]), [read[middle]], where=where)
        np.testing.assert_allclose(again, whole[0], rtol=0, atol=1e-6)


def test_a_format_that_cannot_be_cut():
    with pytest.raises(UsageError) as refused:
        graph_of(replace(FORMATS["tfjs"], cut_graph=None), Path("model"))
    assert str(refused.value) == (
        "a file of the format 'tfjs' cannot be cut yet; 'quantlab show layers' names the first tensor that differs"
    )
