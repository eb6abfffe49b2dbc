"""Calls in a thread of their own."""

from __future__ import annotations

import threading

import pytest

from pipelines.machine.behind import Behind


def test_calls_come_in_order_and_are_done_at_the_end():
    done: list[int] = []
    with Behind(done.append) as call:
        for number in range(100):
            call(number)
    assert done == list(range(100))


def test_what_a_call_raises_comes_out_and_no_thread_is_left():
    before, done = threading.active_count(), []

    def refuse(number):
        if number == 3:
            raise OSError(28, "No space left on device")
        done.append(number)

    def work(most):
        with Behind(refuse) as call:
            for number in range(most):
                call(number)

    for most in (4, 1000):
        with pytest.raises(OSError, match="No space left"):
            work(most)
    assert done[:3] == [0, 1, 2]
    assert len(done) < 100
    assert threading.active_count() == before


def test_an_exception_of_the_block_is_the_one_that_is_raised():
    started, go_on = threading.Event(), threading.Event()

    def wait():
        started.set()
        go_on.wait()
        raise ValueError

    def work():
        with Behind(wait) as call:
            call()
            call()
            started.wait()
            threading.Timer(0.05, go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
