# SPDX-License-Identifier: Apache-2.0
"""Work in several processes: the same results as in one, and errors that can be read."""

from __future__ import annotations

import os
import time

import pytest

from acclimate.report import processes
from acclimate.report.processes import spread


def _quiet(done: int, what: str) -> None:
    """No news."""


@pytest.fixture(params=[1, 2, 3])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(processes, "_processors", lambda: count)
    return count


def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    told = []
    found = spread(
        lambda n, tell: (tell(f"task {n}"), n * n)[1], 7, lambda done, what: told.append(what)
    )
    assert found == [n * n for n in range(7)]
    assert sorted(told) == [f"task {n}" for n in range(7)]


def test_other_processes_do_the_work(workers: int) -> None:
    def pid(number: int, tell: processes.Tell) -> int:
        time.sleep(0.05)
        return os.getpid()

    found = set(spread(pid, 6, _quiet))
    assert (os.getpid() in found) == (workers == 1)
    assert len(found) == workers


def test_an_error_is_raised_here(workers: int) -> None:
    def work(number: int, tell: processes.Tell) -> int:
        if number == 2:
            raise ZeroDivisionError(f"task {number}")
        return number

    with pytest.raises(ZeroDivisionError, match="task 2"):
        spread(work, 4, _quiet)


def test_what_a_lost_process_left_is_done_here(workers: int) -> None:
    here = os.getpid()

    def work(number: int, tell: processes.Tell) -> int:
        if os.getpid() != here and number == 1:
            os._exit(9)
        return number + 10

    assert spread(work, 5, _quiet) == [10, 11, 12, 13, 14]


def test_an_interrupt_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_processors", lambda: 2)
    children = []

    def news(done: int, what: str) -> None:
        children.append(int(what))
        if len(children) == 2:
            raise KeyboardInterrupt

    def work(number: int, tell: processes.Tell) -> int:
        tell(str(os.getpid()))
        time.sleep(60)
        return number

    with pytest.raises(KeyboardInterrupt):
        spread(work, 2, news)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_nothing_to_do(workers: int) -> None:
    assert spread(lambda n, tell: n, 0, _quiet) == []
