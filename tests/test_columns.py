"""Columns of views by name, and tables with captions in LaTeX."""

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from command_line import quantlab_in_process
from study_fixtures import a_study
from test_notebooks import folder  # noqa: F401 (a fixture)

from quantlab.errors import UsageError
from quantlab_reports import RENDERINGS, VIEWS, trial_table
from quantlab_reports.columns import with_columns
from quantlab_reports.model import Column, Table, table_of

ROWS = (
    {"setting": "tfjs-uint8", "loss": 1.23456789, "n": 12000, "left": None, "ok": True, "more": ["a"]},
    {"setting": "tfjs-float16", "loss": "Infinity", "n": -3, "left": None, "ok": False, "more": []},
)


def a_table():
    """Text of the first row alone, and records of both; a column has no values."""
    columns = (
        Column("setting", lambda row: row["setting"], numeric=False),
        Column("loss, points [95 %]", lambda row: f"{row['loss']:.2f} ▊"),
        Column("left", lambda _: "–"),
        Column("Size KB", lambda _: "7.4"),
    )
    return table_of(columns, ROWS[:1], keys=tuple(ROWS[0]), records=ROWS)


@pytest.mark.parametrize(
    ("asked", "headings", "cells", "records"),
    [
        pytest.param(
            "Size KB,loss, points [95 %]",
            ("Size KB", "loss, points [95 %]"),
            (("7.4", "1.23 ▊"),),
            [{"Size KB": "7.4", "loss, points [95 %]": "1.23"}],
            id="headings, of which one holds a comma",
        ),
        pytest.param(
            "n, setting,loss",
            ("n", "setting", "loss"),
            (("12,000", "tfjs-uint8", "1.23457"), ("−3", "tfjs-float16", "∞")),
            [{"n": 12000, "setting": "tfjs-uint8", "loss": 1.23456789},
             {"n": -3, "setting": "tfjs-float16", "loss": "Infinity"}],
            id="keys have all rows",
        ),
        pytest.param(
            "setting",
            ("setting",),
            (("tfjs-uint8",),),
            [{"setting": "tfjs-uint8"}, {"setting": "tfjs-float16"}],
            id="a name that is both leaves the rows to the format",
        ),
        pytest.param(
            "SIZE kb , setting",
            ("Size KB", "setting"),
            (("7.4", "tfjs-uint8"),),
            [{"Size KB": "7.4", "setting": "tfjs-uint8"}],
            id="upper and lower case are the same",
        ),
        pytest.param(
            "ok,more,left",
            ("ok", "more", "left"),
            (("true", '["a"]', "–"), ("false", "[]", "–")),
            [{"ok": True, "more": ["a"], "left": None}, {"ok": False, "more": [], "left": None}],
            id="values that are no numbers",
        ),
        pytest.param(
            "Size KB,left,Size KB",
            ("Size KB", "left"),
            (("7.4", "–"),),
            [{"Size KB": "7.4", "left": "–"}],
            id="a column without a value, and one named twice",
        ),
    ],
)  # fmt: skip
def test_columns(asked, headings, cells, records):
    chosen = with_columns(a_table(), asked)
    assert (chosen.headings, chosen.cells, list(chosen.records)) == (headings, cells, records)
    assert chosen.keys == headings
    assert len(chosen.numeric) == len(headings)


def test_rows_of_programs_leave_none_out():
    table = replace(a_table(), below=("Not shown: node-wasm; --runtime '*' shows all", "n = 10"))
    assert with_columns(table, "n").below == ("n = 10",)
    assert with_columns(table, "Size KB").below == table.below


def test_figures_stay_at_the_right():
    assert with_columns(a_table(), "setting,Size KB").numeric == (False, True)
    assert with_columns(a_table(), "setting,loss,n,ok").numeric == (False, True, True, False)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param("settin", "there is no column 'settin'; did you mean 'setting'?", id="the nearest is named"),
        pytest.param(
            "setting,zeal",
            "there is no column 'zeal'; choose from setting, loss, points [95 %], Size KB, left, loss, n, ok, more",
            id="nothing is near",
        ),
        pytest.param(
            "Size KB,loss",
            "'Size KB' is a heading and 'loss' is a key of the JSON, whose rows may differ; name either headings or "
            "keys",
            id="headings and keys",
        ),
    ],
)
def test_columns_that_there_are_not(asked, message):
    with pytest.raises(UsageError) as refused:
        with_columns(a_table(), asked)
    assert str(refused.value) == message


@pytest.mark.parametrize("rendering", RENDERINGS)
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_in_every_format(view, rendering, folder, tmp_path):  # noqa: F811 (the fixture)
    whole = quantlab_in_process("show", view, folder, "--format", "csv", cwd=tmp_path)
    first, *_, last = whole.stdout.splitlines()[0].split(",")
    done = quantlab_in_process(
        "show", view, folder, "--format", rendering, "--columns", f"{last},{first}", cwd=tmp_path
    )
    assert (done.status, done.stderr) == (0, "")
    if rendering == "json":
        assert all(list(row) == [last, first] for row in json.loads(done.stdout))
    if rendering == "csv":
        assert next(csv.reader(io.StringIO(done.stdout))) == [last, first]
        assert len(done.stdout.splitlines()) == len(whole.stdout.splitlines())


def test_a_column_of_the_wide_table_makes_it_wide(folder, tmp_path):  # noqa: F811 (the fixture)
    done = quantlab_in_process("show", folder, "--columns", "setting,brotli KB", "--format", "csv", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "setting,brotli KB"


# LaTeX


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--caption", "Losses"],
            "--caption is for --format latex, and the format is terminal; leave it out",
            id="a caption of text",
        ),
        pytest.param(
            ["--json", "--caption", "Losses", "--label", "tab:a"],
            "--caption and --label are for --format latex, and the format is json; leave them out",
            id="both of JSON",
        ),
        pytest.param(
            ["--format", "latex", "--label", "tab {a}"],
            "--label is 'tab {a}', and a name in LaTeX has letters, digits and :._/+- only; write for example tab:loss",
            id="a label that is no name",
        ),
        pytest.param(
            ["--columns", "settin"], "there is no column 'settin'; did you mean 'setting'?", id="no such column"
        ),
    ],
)
def test_what_show_refuses(options, message, folder, tmp_path):  # noqa: F811 (the fixture)
    done = quantlab_in_process("show", folder, *options, cwd=tmp_path)
    assert (done.status, done.stdout, done.stderr) == (2, "", f"quantlab: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["table", "--top", "1"], "--top is for other views, and the view is table; leave it out", id="top"
        ),
        pytest.param(
            ["table", "--setting", "tfjs-uint8", "--runtime", "python", "--sort", "sqnr"],
            "--setting, --runtime and --sort are for other views, and the view is table; leave them out",
            id="several",
        ),
        pytest.param(
            ["outputs", "--wide"],
            "--wide is for the view table, and the view is outputs; leave it out",
            id="a wide view of outputs",
        ),
    ],
)
def test_options_of_other_views_are_refused(arguments, message, folder, tmp_path):  # noqa: F811 (the fixture)
    what, *options = arguments
    done = quantlab_in_process("show", what, folder, *options, cwd=tmp_path)
    assert (done.status, done.stdout, done.last) == (2, "", f"quantlab: {message}")


def test_a_caption_and_a_label():
    table = Table(("a",), (False,), (("x",),), ("a",), (), caption="50 % of $\\model_1 → ∞", label="tab:one")
    lines = RENDERINGS["latex"](table).splitlines()
    assert lines[:5] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{50 \% of \$\textbackslash{}model\_1 $\to$ $\infty$}",
        r"\label{tab:one}",
        r"\begin{tabular}{l}",
    ]
    assert lines[-2:] == [r"\end{tabular}", r"\end{table}"]


def test_without_either_there_is_no_float(folder, tmp_path):  # noqa: F811 (the fixture)
    done = quantlab_in_process("show", folder, "--format", "latex", cwd=tmp_path)
    assert r"\begin{table}" not in done.stdout
    assert r"\toprule" in done.stdout


HOSTILE = r"\input{/etc/passwd} 100 % & #1 $x$ _a^b ~{ <img> − ∞ ± × → ≠ · ‖ é"


def latex():
    """Command of a program that compiles LaTeX; skips the test where there is none."""
    for name, options in (
        ("tectonic", ["-X", "compile"]),
        ("pdflatex", ["-interaction=nonstopmode", "-halt-on-error"]),
    ):
        program = shutil.which(name)
        if program is not None:
            return [program, *options]
    sentence = "neither tectonic nor pdflatex is installed; install for example texlive-latex-base with booktabs"
    return pytest.skip(sentence)


def test_every_table_compiles(folder, tmp_path):  # noqa: F811 (the fixture)
    program = latex()
    tables = []
    for view in VIEWS:
        options = ("--format", "latex", "--caption", HOSTILE, "--label", f"tab:{view}")
        done = quantlab_in_process("show", view, folder, *options, cwd=tmp_path)
        assert done.status == 0, done.stderr
        tables.append(done.stdout)
    tables.append(RENDERINGS["latex"](trial_table(a_study(tmp_path), wide=True)))
    column = Column(HOSTILE, lambda _: HOSTILE, numeric=False)
    tables.append(RENDERINGS["latex"](table_of([column], [1], above=[HOSTILE])))
    body = "\n\\clearpage\n".join(tables)
    document = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(document, "utf-8")
    done = subprocess.run([*program, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tmp_path / "paper.pdf").is_file(), done.stdout[-3000:]
    assert done.returncode == 0, done.stdout[-3000:]
