"""`side_by_side`: results are in order, and no thread runs after it has returned."""

import subprocess
import sys
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


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from quantlab.processes import Child
from quantlab.study.side_by_side import side_by_side

ready = threading.Event()

def interrupt():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    ready.wait()
    time.sleep(0.2)  # the main thread waits by now
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

# The system delivers the signal to the one thread that takes it, so the main thread's wait goes on.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
threading.Thread(target=interrupt, daemon=True).start()
stopped = threading.Event()

def threads():
    side_by_side(lambda item: ready.set() or stopped.wait(30), [1, 2, 3], stop=stopped.set)

def child():
    with Child(["sleep", "30"], log=Path("log"), environment={}) as sleeping:
        ready.set()
        sleeping.receive(30)

try:
    {"threads": threads, "child": child}[sys.argv[1]]()
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("waits_for", ["threads", "child"])
def test_an_interrupt_that_does_not_end_the_wait_itself_is_noticed(waits_for, tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, waits_for]
    program = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=25, check=False)
    assert (program.stdout, program.stderr) == ("stopped\n", "")
