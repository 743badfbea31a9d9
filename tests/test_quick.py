"""The order in which test files run."""

from pathlib import Path

from quick import LONGEST


def test_files_that_take_longest_are_there_and_named_once():
    assert [name for name in LONGEST if not Path(__file__).with_name(name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
