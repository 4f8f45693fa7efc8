# SPDX-License-Identifier: Apache-2.0
"""Every exception that a user of acclimate can meet.

A message has four parts: what failed with its numbers, what was found, where in the user's file,
and one hint that works when it is pasted. Anything that is not an `AcclimateError` is a bug of
acclimate.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AcclimateError(Exception):
    """A mistake that the user can mend; the message says how.

    Args:
        what: what failed, with its numbers.
        found: what was there instead.
        where: source line of the user's model, or the file.
        hint: one line that works when pasted.
    """

    def __init__(
        self,
        what: str,
        *,
        found: str | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.found = found
        self.where = where
        self.hint = hint
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [self.what]
        lines += [f"  found: {self.found}"] if self.found else []
        lines += [f"  where: {self.where}"] if self.where else []
        lines += ["", f"hint: {self.hint}"] if self.hint else []
        return "\n".join(lines)


class UnsupportedModel(AcclimateError):
    """The model cannot be captured: dynamic shapes, control flow by data, an op without kernel."""


class NothingToTrain(AcclimateError):
    """No parameter requires grad, or none of those that do reaches the loss."""


class BadExample(AcclimateError):
    """The example input or target has a wrong shape, dtype or value."""


class BadOption(AcclimateError):
    """A value of an option is not allowed: loss, optimizer, target, prefix, entry point, budget."""


class BadTarget(AcclimateError):
    """The file of a target misses a figure or its source, or has one that cannot be."""


class DoesNotFit(AcclimateError):
    """A memory of the target is smaller than what the program needs."""


class NoSchedule(DoesNotFit):
    """No order of computing activations again is within the limits of memory, time and energy."""


class BadOutput(AcclimateError):
    """The output folder cannot be written, or holds other things."""


class CorruptFile(AcclimateError):
    """A weights file, checkpoint or archive is truncated, damaged or made for another program."""


class MissingTool(AcclimateError):
    """A compiler, simulator or data set that this step needs is not installed."""


class DataError(AcclimateError):
    """A data set or recording is missing, unreadable or not what its name says."""


class SimulationFault(AcclimateError):
    """The program did something on a simulated device that stops a real one, or never ends."""


class OutOfCycles(SimulationFault):
    """A call on a simulated device took more cycles than it was given."""


class InvalidProgram(Exception):
    """A stage produced a program that breaks a rule of the IR: a bug, not a user's mistake."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Returns a hint that lists the allowed names and suggests the nearest one to `name`."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}allowed: {', '.join(names)}"
