# SPDX-License-Identifier: Apache-2.0
"""Work in several processes: the same results as in one, and errors that can be read."""

from __future__ import annotations

import os
import time

import pytest

from acclimate.report import processes
from acclimate.report.processes import spread


def _quiet(done: int, total: int, what: str) -> None:
    """No news."""


@pytest.fixture(params=[1, 2, 3])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(processes, "_processors", lambda: count)
    return count


def test_every_task_has_its_result(workers: int) -> None:
    told = []

    def work(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        tell(f"task {number}")
        return number * number, []

    found = spread(work, range(7), lambda *news: told.append(news))
    assert found == {n: n * n for n in range(7)}
    assert sorted(what for _, _, what in told) == [f"task {n}" for n in range(7)]
    assert all(done < total == 7 for done, total, _ in told)


def test_tasks_lead_to_more(workers: int) -> None:
    told = []

    def work(task: str, tell: processes.Tell) -> tuple[int, list[str]]:
        tell(task)
        more = [task + letter for letter in "ab"] if len(task) < 3 else []
        return len(task), more

    found = spread(work, ["x", "y"], lambda done, total, what: told.append((done, total)))
    expected = {first + rest for first in "xy" for rest in ("", *"ab", "aa", "ab", "ba", "bb")}
    assert found == {task: len(task) for task in expected}
    assert told == sorted(told) and told[-1][1] == 14


def test_other_processes_do_the_work(workers: int) -> None:
    def pid(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        time.sleep(0.05)
        return os.getpid(), [number + 1, number + 2] if number == 10 else []

    found = set(spread(pid, [1, 2, 3, 10], _quiet).values())
    assert (os.getpid() in found) == (workers == 1)
    assert len(found) == workers


def test_what_one_finds_others_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_processors", lambda: 2)

    def pid(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        time.sleep(0.2)
        return os.getpid(), [2, 3] if number == 1 else []

    found = spread(pid, [0, 1], _quiet)
    assert found[2] != found[3]


def test_an_error_is_raised_here(workers: int) -> None:
    def work(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        if number == 2:
            raise ZeroDivisionError(f"task {number}")
        return number, []

    with pytest.raises(ZeroDivisionError, match="task 2"):
        spread(work, range(4), _quiet)


@pytest.mark.parametrize("lost", [1, 7])
def test_what_a_lost_process_left_is_done_here(workers: int, lost: int) -> None:
    here = os.getpid()

    def work(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        if os.getpid() != here and number == lost:
            os._exit(9)
        return number + 10, [7, 8] if number == 2 else []

    assert spread(work, range(5), _quiet) == {n: n + 10 for n in (0, 1, 2, 3, 4, 7, 8)}


def test_nothing_is_lost_where_all_processes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_processors", lambda: 2)
    here = os.getpid()

    def work(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        if os.getpid() != here:
            os._exit(9)
        return number, []

    assert spread(work, range(5), _quiet) == {n: n for n in range(5)}


def test_an_interrupt_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_processors", lambda: 2)
    children = []

    def news(done: int, total: int, what: str) -> None:
        children.append(int(what))
        if len(children) == 2:
            raise KeyboardInterrupt

    def work(number: int, tell: processes.Tell) -> tuple[int, list[int]]:
        tell(str(os.getpid()))
        time.sleep(60)
        return number, []

    with pytest.raises(KeyboardInterrupt):
        spread(work, range(2), news)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_nothing_to_do(workers: int) -> None:
    assert spread(lambda n, tell: (n, []), [], _quiet) == {}
