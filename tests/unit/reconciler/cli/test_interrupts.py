"""Ctrl-C during a pass, wherever Python happens to be."""

import os
import signal

import pytest

from reconciler.cli.reconcile import _interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # Python calls the handler between two steps
        pass


class Interrupting:
    def __del__(self):
        interrupt()


def run(work):
    with _interrupts():
        work()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_finalizer_is_not_lost():
    went_on = []

    def work():
        Interrupting()
        went_on.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(work)
    assert went_on, "the finalizer's exception went further: nothing is shown here"


def test_an_interrupt_ends_the_pass_at_once():
    before = signal.getsignal(signal.SIGINT)
    went_on = []

    def work():
        interrupt()
        went_on.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(work)
    assert not went_on
    assert signal.getsignal(signal.SIGINT) is before
