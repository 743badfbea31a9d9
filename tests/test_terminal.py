"""Tables fit the width of a terminal, and are as wide as needed elsewhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from study_fixtures import a_failure, a_study, a_trial

from quantlab.glossary import HINT
from quantlab_reports import trial_table
from quantlab_reports.model import Table
from quantlab_reports.renderings.fitting import parts_of, wrapped
from quantlab_reports.renderings.terminal import render

HERE = Path("/study")
STUDY = a_study(HERE, trials=(a_trial(HERE), a_failure(HERE, "the op Einsum is missing; use --fallback " * 4)))


def table(*columns: tuple[str, bool, list[str]]) -> Table:
    """Of headings, whether a column is of figures, and cells."""
    return Table(
        headings=tuple(heading for heading, _, _ in columns),
        numeric=tuple(numeric for _, numeric, _ in columns),
        cells=tuple(zip(*(cells for _, _, cells in columns), strict=True)),
        keys=(),
        records=(),
    )


SETTINGS = ("setting", False, ["tflite-float32", "tfjs-uint8"])
LONG = ("layer", False, ["block_1/expand/conv2d", "head"])
NOTED = ("notes", False, ["added automatically as the baseline", ""])
FIGURES = ("mean abs error", True, ["0.00012", "0.5"])


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width, wide):
    lines = render(trial_table(STUDY, wide=wide), width=width).split("\n")
    assert max(map(len, lines)) <= width
    assert lines[-1] == HINT


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
def test_nothing_is_lost_where_it_is_narrow(wide):
    words = set(re.findall(r"[\w.%−]+", render(trial_table(STUDY, wide=wide))))
    assert words <= set(re.findall(r"[\w.%−]+", render(trial_table(STUDY, wide=wide), width=80)))


def test_the_narrow_table_needs_no_more_than_120_columns():
    shown = trial_table(a_study(HERE, trials=(a_trial(HERE), a_trial(HERE, runtime="node-wasm"))), wide=False)
    grid = render(shown).split("\n\n")[1]
    assert max(map(len, grid.split("\n"))) <= 120


@pytest.mark.parametrize(
    ("columns", "width", "widths"),
    [
        pytest.param([SETTINGS, LONG, FIGURES], None, [[14, 21, 16]], id="no terminal"),
        pytest.param([SETTINGS, LONG, FIGURES], 80, [[14, 21, 16]], id="wide enough"),
        pytest.param([SETTINGS, NOTED, FIGURES], 60, [[14, 26, 16]], id="the widest column gives way"),
        pytest.param([SETTINGS, NOTED, FIGURES], 44, [[14, 13, 13]], id="then headings are folded, figures never"),
        pytest.param([SETTINGS, NOTED, FIGURES], 36, [[14, 20], [14, 16]], id="then the table is divided"),
        pytest.param([SETTINGS], 10, [[14]], id="names stay whole"),
    ],
)
def test_widths(columns, width, widths):
    assert [list(part.widths) for part in parts_of(table(*columns), width)] == widths


def test_a_divided_table_repeats_the_names_of_its_rows():
    assert render(table(SETTINGS, NOTED, FIGURES), width=36) == (
        "setting         notes\n"
        "--------------  -------------------\n"
        "tflite-float32  added automatically\n"
        "                as the baseline\n"
        "tfjs-uint8\n"
        "\n"
        "setting           mean abs error\n"
        "--------------  ----------------\n"
        "tflite-float32           0.00012\n"
        "tfjs-uint8                   0.5\n"
        "\n"
        f"{HINT}"
    )


def test_a_figure_stays_with_its_unit():
    assert wrapped("an interval of 95 % and 0.5 pt", 18) == ["an interval of", "  95 % and 0.5 pt"]


# The program


def in_terminal(*arguments: str, columns: int, **env: str) -> str:
    """What quantlab prints in a terminal."""
    main, second = pty.openpty()
    surroundings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": f"{columns}", **env}
    with os.fdopen(second, "wb") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "quantlab", *arguments], stdout=terminal, stderr=terminal, env=surroundings
        )
    printed = b""
    try:
        while chunk := os.read(main, 4096):
            printed += chunk
    except OSError:  # as Linux says that the other end is closed
        pass
    os.close(main)
    assert process.wait() == 0
    return printed.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 100])
def test_the_program_fits_its_terminal(columns):
    lines = in_terminal("settings", columns=columns).split("\n")
    assert max(map(len, lines)) <= columns
    assert f"{HINT}" in lines
    assert not any("\x1b" in line for line in lines)  # tables have no colours, also in a terminal


def test_elsewhere_it_prints_as_wide_as_needed():
    done = subprocess.run(
        [sys.executable, "-m", "quantlab", "settings"],
        env={**os.environ, "COLUMNS": "60"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert max(map(len, done.stdout.splitlines())) > 120


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_a_short_name(option):
    assert "-h, --help" in in_terminal("show", option, columns=100)
