# SPDX-License-Identifier: Apache-2.0
"""What a kit is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from acclimate.emit.ports import cores_of, needs_port
from acclimate.errors import BadOption, nearest
from acclimate.kernels.pulp.isa import Dialect
from acclimate.plan import Plan
from acclimate.program import Program
from acclimate.targets import Target

_WEIGHTS = ("c", "binary")


@dataclass(frozen=True)
class Tree:
    """The C of a model, to which a kit adds its project files.

    Args:
        program: what the C computes.
        plan: places of its buffers.
        target: the device.
        variables: of all templates.
        library: contents of the C files by relative path.
        sources: those of them that are compiled.
    """

    program: Program
    plan: Plan
    target: Target
    variables: Mapping[str, Any]
    library: Mapping[str, bytes]
    sources: tuple[str, ...]

    @property
    def cores(self) -> int:
        """How many cores run a step together."""
        return cores_of(self.plan)

    @property
    def ported(self) -> bool:
        """True if the C includes port.h."""
        return needs_port(self.plan)


@dataclass(frozen=True)
class Kit:
    """A kind of project.

    Args:
        name: that the user gives.
        files: all files of the project by relative path.
        check: raises BadOption for programs that it cannot hold.
        weights: forms of weights that its example can load.
        constants: frozen weights are `const`.
        dialect: of kernels in assembly for PULP cores; None where other cores may run it too.
    """

    name: str
    files: Callable[[Tree], dict[str, bytes]]
    check: Callable[[Program, Plan, Target], None]
    weights: tuple[str, ...] = _WEIGHTS
    constants: bool = True
    dialect: Dialect | None = None

    def accept(self, program: Program, plan: Plan, target: Target, weights: str) -> None:
        """Raises BadOption if this kit cannot hold a program."""
        if weights not in _WEIGHTS:
            hint = nearest(weights, _WEIGHTS)
            raise BadOption(f"unknown form of weights {weights!r}", hint=hint)
        if weights not in self.weights:
            raise BadOption(
                f"the kit {self.name} has no file system to read weights from",
                found=f"weights={weights!r}",
                hint=f"weights={self.weights[0]!r}",
            )
        self.check(program, plan, target)
