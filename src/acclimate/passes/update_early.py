# SPDX-License-Identifier: Apache-2.0
"""Updates a parameter as soon as its gradient is final."""

from __future__ import annotations

from dataclasses import replace

from acclimate.plan.order import dependencies
from acclimate.program import Phase, Program


def update_early(program: Program) -> tuple[Program, list[str]]:
    """Moves every update to the first place that its inputs and the readers of the old value allow.

    Before: all gradients, then all updates. After: a gradient lives until the next call.
    """
    entries = {}
    moved: list[str] = []
    for entry in program.entries.values():
        needs = dependencies(entry.calls)
        order: list[int] = []
        waiting = [n for n, call in enumerate(entry.calls) if call.phase is Phase.UPDATE]
        done: set[int] = set()

        def release(
            done: set[int] = done,
            waiting: list[int] = waiting,
            order: list[int] = order,
            needs: list[set[int]] = needs,
        ) -> None:
            for number in [n for n in waiting if needs[n] <= done]:
                waiting.remove(number)
                order.append(number)
                done.add(number)

        for number, call in enumerate(entry.calls):
            if call.phase is not Phase.UPDATE:
                order.append(number)
                done.add(number)
                release()
        while waiting:
            release()
        if order != sorted(order):
            moved.append(
                f"{entry.name}: {sum(1 for i, n in enumerate(order) if i != n)} calls moved"
            )
        entries[entry.name] = replace(entry, calls=tuple(entry.calls[n] for n in order))
    return replace(program, entries=entries), moved
