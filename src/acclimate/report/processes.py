# SPDX-License-Identifier: Apache-2.0
"""Work shared out to the processors of this machine."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

T = TypeVar("T")
Tell = Callable[[str], None]
News = Callable[[int, str], None]
_OBJECTS = 100_000


def spread(work: Callable[[int, Tell], T], count: int, news: News) -> list[T]:
    """Results of work(0) to work(count - 1), from as many processes as there are processors.

    Processes are forks, so that a model needs no file to come from; where forks are not safe, and
    for whatever a process did not finish, the work is done here. So an error is raised here too.

    Args:
        work: told the number of the task, and whom to tell what it is doing.
        count: number of tasks; those that have most in common are neighbours.
        news: told how many tasks are done, and what one of them is doing.
    """
    found: dict[int, T] = {}
    workers = min(_processors(), count)
    if workers > 1 and sys.platform == "linux":
        _in_forks(work, count, workers, news, found)
    for number in range(count):
        if number not in found:
            found[number] = work(number, lambda what: news(len(found), what))
    return [found[number] for number in range(count)]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _in_forks(
    work: Callable[[int, Tell], T],
    count: int,
    workers: int,
    news: News,
    found: dict[int, T],
) -> None:
    """Fills in what processes find; each asks for a task when it has none.

    Neighbours are alike, and a process remembers what it worked out: so some take tasks from the
    front, the others from the back.
    """
    context = get_context("fork")
    todo = deque(range(count))
    running: dict[Connection[Any, Any], Any] = {}
    takes = {}
    try:
        for worker in range(workers):
            here, there = context.Pipe()
            others = [*running, here]
            process = context.Process(target=_work, args=(work, there, others), daemon=True)
            with warnings.catch_warnings():
                # Threads of torch are idle, and a child starts none: see `_work`.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            running[here] = process
            takes[here] = todo.pop if worker % 2 else todo.popleft
            here.send(takes[here]())
        while running:
            for here in [pipe for pipe in wait([*running]) if isinstance(pipe, Connection)]:
                try:
                    kind, number, value = here.recv()
                except (EOFError, OSError):
                    running.pop(here).join()  # its task is done again by the caller
                    continue
                if kind == "news":
                    news(len(found), value)
                    continue
                if kind == "done":
                    found[number] = value
                here.send(takes[here]() if todo else None)
    finally:
        for process in running.values():
            process.terminate()
            process.join()


def _work(
    work: Callable[[int, Tell], T],
    pipe: Connection[Any, Any],
    others: Sequence[Connection[Any, Any]],
) -> None:
    """A process: does tasks until there are none, or nobody is there to ask."""
    for other in others:
        other.close()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 100)  # a search makes millions, and few of them in cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that forked ends it
    torch.set_num_threads(1)  # the threads of the parent's pool did not come along
    while (number := _asked(pipe)) is not None:
        try:
            value = work(number, lambda what: pipe.send(("news", None, what)))
        except Exception:  # NOTE: it is done again, and raised, where somebody can see it
            pipe.send(("failed", number, None))
        else:
            pipe.send(("done", number, value))


def _asked(pipe: Connection[Any, Any]) -> int | None:
    try:
        number: int | None = pipe.recv()
    except EOFError:
        return None
    return number
