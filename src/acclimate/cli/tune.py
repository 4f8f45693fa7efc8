# SPDX-License-Identifier: Apache-2.0
"""acclimate tune: measures kernels for the calls of a model, so that compile takes the fastest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli import options
from acclimate.cli.console import say, show, show_json, working

if TYPE_CHECKING:
    from acclimate.tune.tuner import Tuned

_LONGEST = 48  # characters of a workload in the table


def tune_verb(
    spec: options.Spec,
    target: options.Target = "pulp-cluster",
    cores: Annotated[
        int | None, typer.Option(help="Cores that run a step together; all by default.")
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="Choices of each generator that are measured.")
    ] = 4,
    again: Annotated[
        bool, typer.Option("--again", help="Measure also what was measured before.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler: tcp://HOST:8786.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per processor by default.")
    ] = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    entries: options.Entries = None,
    as_json: options.Json = False,
) -> None:
    """Measures kernels on the simulator of a target; compile takes the fastest from then on.

    What is measured is kept at once: stop it and start it again as you like.
    """
    from acclimate.tune.tuner import tune

    chosen = options.Choices(target, loss, optimizer, None, None, entries, None)
    task = options.load_with(spec, chosen)
    if cores is not None:
        task = replace(task, options={**task.options, "cores": cores})
    firmware = options.compile_task(task)
    with working("ranking choices") as advance:
        found = tune(
            firmware.program,
            firmware.target,
            candidates=candidates,
            again=again,
            scheduler=scheduler,
            jobs=jobs,
            progress=advance,
        )
    if as_json:
        show_json([_document(row) for row in found])
        return
    show(_table(found))


def _document(row: Tuned) -> dict[str, Any]:
    return {
        "workload": str(row.workload),
        "times": row.times,
        "predicted": row.predicted,
        "known": row.known,
        **row.record.document(),
    }


def _table(found: list[Tuned]) -> str:
    if not found:
        return "no call of this model has more than one way to be computed on this target"
    lines = [f"{'untuned':>10} {'tuned':>10} {'predicted':>10}  times  workload and choice"]
    before = after = 0
    for row in found:
        record = row.record
        before += record.untuned * row.times
        after += record.cycles * row.times
        predicted = f"{row.predicted:10,.0f}" if row.predicted else " " * 10
        name = str(row.workload)
        short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        lines.append(
            f"{record.untuned:10,} {record.cycles:10,} {predicted} {row.times:6}  {short}"
            f"  {record.best.choice or record.best.kernel}"
        )
    gain = 100.0 * (before - after) / before
    measured = sum(not row.known for row in found)
    lines.append(f"{before:10,} {after:10,}  all calls: {gain:.1f} % fewer cycles than untuned")
    say(f"measured {measured} workloads, {len(found) - measured} were known")
    return "\n".join(lines)
