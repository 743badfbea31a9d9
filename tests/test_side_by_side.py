"""`side_by_side`: results are in order, and no thread runs after it has returned."""

import threading

import pytest

from quantlab.study.side_by_side import side_by_side


def test_results_stand_in_the_order_of_the_items():
    second = threading.Event()

    def work(number):
        assert second.wait(10) if number == 1 else second.set() is None
        return 10 * number

    assert side_by_side(work, [1, 2, 3]) == [10, 20, 30]


def test_what_one_raises_ends_those_that_have_not_begun():
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise ValueError("the first")
        return number

    with pytest.raises(ValueError, match="the first"):
        side_by_side(work, list(range(1, 100)))
    assert len(begun) < 99


def test_an_interrupt_ends_what_is_waited_for_and_waits():
    stopped, over = threading.Event(), []

    def work(number):
        if number == 1:
            raise KeyboardInterrupt
        assert stopped.wait(10)
        over.append(number)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, [1, 2], stop=stopped.set)
    assert over in ([2], [])  # it was waited for, or had not begun
