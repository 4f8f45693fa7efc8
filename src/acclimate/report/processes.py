# SPDX-License-Identifier: Apache-2.0
"""Work shared out to the processors of this machine."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import torch

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Tell = Callable[[str], None]
Work = Callable[[K, Tell], tuple[T, Sequence[K]]]
News = Callable[[int, int, str], None]
_OBJECTS = 100_000


def spread(work: Work[K, T], tasks: Sequence[K], news: News) -> dict[K, T]:
    """Results of tasks, from as many processes as there are processors.

    Processes are forks, so that a model needs no file to come from; where forks are not safe, and
    for whatever a process did not finish, the work is done here. So an error is raised here too.

    Args:
        work: told the task, and whom to tell what it is doing; returns the result, and tasks that
            are known only then. It may be told a task that another process came across.
        tasks: those that have most in common are neighbours.
        news: told how many tasks are done, how many there are as far as is known, and what one of
            them is doing.

    Returns:
        Results by task.
    """
    queue = _Queue[K, T](deque(tasks))
    workers = min(_processors(), len(tasks))
    if workers > 1 and sys.platform == "linux":
        _in_forks(work, queue, workers, news)
    while queue.waiting:
        task = queue.waiting.popleft()

        def tell(what: str) -> None:
            done, total = queue.counts
            news(done, total + 1, what)

        queue.done(task, *work(task, tell))
    return queue.found


@dataclass
class _Queue(Generic[K, T]):
    """Tasks that wait, and results of others."""

    waiting: deque[K]
    found: dict[K, T] = field(default_factory=dict)
    taken: dict[Connection[Any, Any], K] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int]:
        """Tasks that are done, and all that are known."""
        done = len(self.found)
        return done, len(self.waiting) + len(self.taken) + done

    def done(self, task: K, result: T, more: Sequence[K]) -> None:
        """Keeps a result; what follows from it is next."""
        self.found[task] = result
        self.waiting.extendleft(reversed(more))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _in_forks(work: Work[K, T], queue: _Queue[K, T], workers: int, news: News) -> None:
    """Fills in what processes find; each asks for a task when it has none.

    Neighbours are alike, and a process remembers what it worked out: so some take tasks from the
    front, the others from the back. What a process did not do is left in the queue.
    """
    context = get_context("fork")
    running: dict[Connection[Any, Any], Any] = {}
    busy = queue.taken
    left: list[K] = []
    try:
        for _ in range(workers):
            here, there = context.Pipe()
            others = [*running, here]
            process = context.Process(target=_work, args=(work, there, others), daemon=True)
            with warnings.catch_warnings():
                # Threads of torch are idle, and a child starts none: see `_work`.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            running[here] = process
        front = dict.fromkeys([*running][::2])
        while running:
            idle = [pipe for pipe in running if pipe not in busy]
            for pipe in idle[: len(queue.waiting)]:
                take = queue.waiting.popleft if pipe in front else queue.waiting.pop
                busy[pipe] = take()
                with suppress(OSError):  # nobody is there: that is seen below
                    pipe.send(busy[pipe])
            if not busy:
                break
            for pipe in [pipe for pipe in wait([*busy]) if isinstance(pipe, Connection)]:
                try:
                    kind, value = pipe.recv()
                except (EOFError, OSError):
                    running.pop(pipe).join()
                    kind, value = "failed", None
                if kind == "news":
                    news(*queue.counts, value)
                    continue
                task = busy.pop(pipe)
                if kind == "done":
                    queue.done(task, *value)
                else:
                    left.append(task)  # the caller does it again
    finally:
        queue.waiting.extendleft(reversed([*left, *busy.values()]))
        busy.clear()
        for process in running.values():
            process.terminate()
            process.join()


def _work(
    work: Work[K, T],
    pipe: Connection[Any, Any],
    others: Sequence[Connection[Any, Any]],
) -> None:
    """A process: does tasks until nobody is there to ask."""
    for other in others:
        other.close()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 100)  # a search makes millions, and few of them in cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that forked ends it
    torch.set_num_threads(1)  # the threads of the parent's pool did not come along
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            value = work(task, lambda what: pipe.send(("news", what)))
        except Exception:  # NOTE: it is done again, and raised, where somebody can see it
            pipe.send(("failed", None))
        else:
            pipe.send(("done", value))
