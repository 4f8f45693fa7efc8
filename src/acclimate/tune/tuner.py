# SPDX-License-Identifier: Apache-2.0
"""Measures the most promising ways to compute each call of a program, and keeps the best.

For every workload the generators rank their choices by issue slots; the first few are measured on
the simulator, together with what a compiler makes of the C. What is done is kept at once: a tuner
that was stopped goes on where it was.

Source: the AutoTuner of PULP-TrainLib (Nadalini et al., SAMOS 2022) measures all kernels of a layer
in turn; here a cost model leaves the few that can win, and `compile` reads the result.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from multiprocessing import get_context
from typing import Any

from acclimate.errors import BadOption, MissingTool
from acclimate.kernels.pulp.core import Core
from acclimate.program import Program
from acclimate.simulate.cluster import build_simulator, rtl_of
from acclimate.targets import Target
from acclimate.tune.cache import Record, find_record, keep_record
from acclimate.tune.measure import measure
from acclimate.tune.select import applicable, fitting, most_promising
from acclimate.tune.workload import Candidate, Workload, machine_name, request_of

_HOPELESS = 1.25  # times the cycles of the most promising choice
_SMALL_MACS = 20_000  # below, fixed costs may make C the fastest
_FORK_CYCLES = 60  # of a call alone: fork, join, and the way to the kernel

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tuned:
    """The result for one workload.

    Args:
        workload: it.
        times: how often a step of the program computes it.
        record: the fastest way, and what it is compared with.
        predicted: cycles that the cost model gave the fastest way; None for C.
        known: it was in the cache before.
    """

    workload: Workload
    times: int
    record: Record
    predicted: float | None
    known: bool


@dataclass
class _Job:
    """A workload while it is measured."""

    workload: Workload
    candidates: list[tuple[Candidate, float | None]]
    cycles: dict[int, int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return len(self.cycles) == len(self.candidates)

    def record(self) -> Record:
        """The fastest; candidate 0 is what is taken without a measurement."""
        best = min(self.cycles, key=lambda number: (self.cycles[number], number))
        candidate, _ = self.candidates[best]
        return Record(candidate, self.cycles[best], self.cycles[0], len(self.cycles))


def tune(
    program: Program,
    target: Target,
    *,
    candidates: int = 4,
    again: bool = False,
    scheduler: str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[Tuned]:
    """Measures the calls of a program that have more than one way to be computed.

    Args:
        program: with any kernels, or none.
        target: whose simulator measures.
        candidates: how many choices of each generator are measured.
        again: also what was measured before.
        scheduler: address of a Dask scheduler, `tcp://...`; processes of this machine by default.
        jobs: processes.
        progress: told (done, total, what).

    Returns:
        A result per workload, in the order of the program.

    Raises:
        BadOption: the target has no simulator that counts cycles.
        MissingTool: a compiler, a simulator or Dask is missing.
    """
    if target.simulator == "host":
        raise BadOption(
            f"{target.name} counts no cycles that could be compared",
            hint="--target pulp-cluster, or a Cortex-M of `acclimate targets`",
        )
    machine = machine_name(target)
    times = Counter(Workload.of(call) for call in program.calls() if call.op.kernels)
    known = {} if again else {w: find_record(machine, str(w)) for w in times}
    jobs_todo = [_job(w, target, candidates) for w in times if known.get(w) is None]
    jobs_todo = [job for job in jobs_todo if len(job.candidates) > 1]
    if jobs_todo:
        if target.simulator == "cluster":
            build_simulator(rtl_of(target))
        with _executor(scheduler, jobs) as executor:
            _run(jobs_todo, target, executor, progress or (lambda done, total, what: None))
    measured = {job.workload: job for job in jobs_todo}
    found = []
    for workload, count in times.items():
        record = measured[workload].record() if workload in measured else known.get(workload)
        if record is not None:
            predicted = _predicted(workload, record.best, target)
            found.append(Tuned(workload, count, record, predicted, workload not in measured))
    return found


def _job(workload: Workload, target: Target, most: int) -> _Job:
    """The candidates of a workload, the untuned one first."""
    (call,) = workload.program().entries["run"].calls
    kernels = applicable(call, target.features)
    request = request_of(call, Core.of(target))
    found: dict[Candidate, float | None] = {}
    for kernel in kernels:
        if kernel.generator is None:
            written = any(candidate.choice for candidate in found)
            if not written or call.macs < _SMALL_MACS:
                found.setdefault(Candidate(kernel.symbol), None)
            continue
        first = most_promising(kernel, request)
        if first is not None:
            found.setdefault(Candidate(kernel.symbol, first[0]), first[1].cycles)
        some = islice(fitting(kernel, request), 2 * most)
        for choice, work in sorted(some, key=lambda pair: pair[1].cycles)[:most]:
            found.setdefault(Candidate(kernel.symbol, choice), work.cycles)
    untuned, *others = found.items()
    if request.core.cores_per_fpu > 1 or request.core.icache_bytes:
        return _Job(workload, [untuned, *others])  # there the model only ranks
    # Elsewhere it is within a few percent: what it gives a quarter more cannot win.
    best = min((cycles for cycles in found.values() if cycles is not None), default=0.0)
    hopeful = [item for item in others if item[1] is None or item[1] <= _HOPELESS * best]
    return _Job(workload, [untuned, *hopeful])


def _predicted(workload: Workload, best: Candidate, target: Target) -> float | None:
    (call,) = workload.program().entries["run"].calls
    kernel = next(k for k in call.op.kernels if k.symbol == best.kernel)
    if kernel.generator is None or best.choice is None:
        return None
    work = kernel.generator.write(request_of(call, Core.of(target)), best.choice)
    return work.cycles + (_FORK_CYCLES if target.cores > 1 else 0)


def _run(jobs: Sequence[_Job], target: Target, executor: Executor, tell: Progress) -> None:
    """Measures all candidates; a workload is kept as soon as its last one is done."""
    total = sum(len(job.candidates) for job in jobs)
    waiting: dict[Future[Any], tuple[_Job, int]] = {}
    # Long ones first, so that no processor waits at the end.
    for job in sorted(jobs, key=lambda job: -max(c or 0.0 for _, c in job.candidates)):
        for number, (candidate, _) in enumerate(job.candidates):
            task = executor.submit(measure, job.workload, candidate, target)
            waiting[task] = (job, number)
    tell(0, total, "measuring")
    best = gain = 0
    try:
        for done, task in enumerate(as_completed(waiting), 1):
            job, number = waiting[task]
            job.cycles[number] = task.result()
            if job.done:
                record = job.record()
                keep_record(machine_name(target), str(job.workload), record)
                best += record.cycles
                gain += record.untuned - record.cycles
            saved = f", {gain:,} cycles saved of {best + gain:,}" if best else ""
            tell(done, total, f"{job.workload.op}: {job.cycles[number]:,} cycles{saved}")
    except BaseException:
        for task in waiting:
            task.cancel()
        raise


@contextmanager
def _executor(scheduler: str | None, jobs: int | None) -> Iterator[Executor]:
    """Processes of this machine, or the workers of a Dask scheduler."""
    if scheduler is None:
        context = get_context("spawn")
        pool = ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=context)
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return
    try:
        distributed = import_module("distributed")
    except ModuleNotFoundError as error:
        raise MissingTool(
            "measuring on other machines needs Dask",
            found="missing: distributed",
            hint="pip install 'acclimate[dask]'",
        ) from error
    try:
        client = distributed.Client(scheduler, timeout="10s")
    except OSError as error:
        raise BadOption(
            f"no Dask scheduler answers at {scheduler}",
            found=str(error).splitlines()[0],
            hint="start one with `dask scheduler`, then --scheduler tcp://HOST:8786",
        ) from error
    with client:
        yield client.get_executor()
