# SPDX-License-Identifier: Apache-2.0
"""The program after each pass, for reports and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acclimate.passes import Pass
from acclimate.program import Program, verify

ORDERED = "order_calls"  # the first stage that depends on the target


@dataclass(frozen=True)
class Stage:
    """A program between two passes.

    Args:
        name: of the pass.
        changes: what it did, one line each; empty if it found nothing to do.
        program: after the pass.
    """

    name: str
    changes: tuple[str, ...]
    program: Program


def run_passes(passes: Sequence[Pass], program: Program) -> list[Stage]:
    """Runs passes one after the other; every program in between is checked and kept."""
    stages = []
    for apply in passes:
        program, changes = apply(program)
        stages.append(Stage(apply.__name__, tuple(changes), verify(program)))
    return stages
