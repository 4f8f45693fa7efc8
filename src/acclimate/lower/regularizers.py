# SPDX-License-Identifier: Apache-2.0
"""Regularizers: parameters that earlier tasks need are held near the values that they had.

All add `strength * sum_i F_i (w_i - a_i)^2` to the loss, with an importance F and an anchor a of
every parameter that learns, and differ in how they find F. Their buffers and loops are part of the
program, so reports and plans count them. The loss that `train` returns is that of the task alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields

from acclimate.errors import BadOption
from acclimate.kernels.loop.expr import Const, Expr, apply
from acclimate.lower.optimizers import check_range

# Expressions by name of the state.
States = Mapping[str, Expr]

_TINY = 1e-37  # above the least normal float32


class Regularizer(ABC):
    """A penalty on leaving old values.

    `states` are buffers of the size of the parameter, zero at first, or its first value for those
    in `starts_as_weight`. Methods get them as expressions, by name.
    """

    strength: float

    def describe(self) -> str:
        """Name and settings."""
        shown = ", ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({shown})"

    @property
    @abstractmethod
    def states(self) -> tuple[str, ...]:
        """Names of the buffers of each parameter."""

    @property
    def starts_as_weight(self) -> tuple[str, ...]:
        """States that begin with the value of the parameter."""
        return ()

    @property
    @abstractmethod
    def entries(self) -> tuple[str, ...]:
        """Entry points that it adds to the program, of `importance` and `consolidate`."""

    @abstractmethod
    def pull(self, w: Expr, states: States) -> Expr:
        """Gradient of the penalty."""

    @property
    def follows(self) -> tuple[str, ...]:
        """States that every step of training changes."""
        return ()

    def follow(self, old: Expr, new: Expr, g: Expr, states: States) -> States:
        """Their new values, from the parameter before and after, and the gradient of the task."""
        return {}

    def importance(self, w: Expr, g: Expr, share: Expr, states: States) -> States:
        """What one batch of a finished task changes; its gradients count by `share`."""
        return {}

    def consolidate(self, w: Expr, states: States) -> States:
        """What the end of a task changes."""
        return {}


@dataclass(frozen=True)
class EWC(Regularizer):
    """Elastic weight consolidation: F is the mean of squared gradients (diagonal Fisher).

    After a task call `consolidate()` (online only), then `importance(x, y, share=1 / N)` for N
    batches of it. With batches of one sample F is the exact diagonal of the empirical Fisher
    matrix; with larger ones its usual approximation from the gradients of batches.

    Separate mode sums the penalties of all tasks: sum_k F_k (w - a_k)^2 has the gradient
    2 F (w - a) with F = sum_k F_k and a = sum_k F_k a_k / F, so two floats per parameter are
    enough for any number of tasks. Online: F <- decay F + F_new, a is that of the last task.

    Source: Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017;
    online: Schwarz et al., "Progress & compress", ICML 2018. The penalty has no factor 1/2.

    Args:
        strength: factor of the penalty.
        online: one decaying importance in place of one per task.
        decay: of the importance of earlier tasks, online.
    """

    strength: float = 100.0
    online: bool = False
    decay: float = 0.9

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0.0, 1e12)
        check_range("decay", self.decay, 0.0, 1.0)

    @property
    def states(self) -> tuple[str, ...]:
        """F and a."""
        return ("importance", "anchor")

    @property
    def entries(self) -> tuple[str, ...]:
        """Nothing ends a task in separate mode."""
        return ("importance", "consolidate") if self.online else ("importance",)

    def pull(self, w: Expr, states: States) -> Expr:
        """See the class."""
        return 2.0 * self.strength * (states["importance"] * (w - states["anchor"]))

    def importance(self, w: Expr, g: Expr, share: Expr, states: States) -> States:
        """F <- F + share g^2, and a is the mean of the anchors, weighted by their F."""
        F, a = states["importance"], states["anchor"]
        new = F + share * g * g
        # In this form a is exactly w where w is the only anchor.
        return {"importance": new, "anchor": w - F / apply("max", new, _TINY) * (w - a)}

    def consolidate(self, w: Expr, states: States) -> States:
        """F <- decay F, a <- w."""
        return {"importance": self.decay * states["importance"], "anchor": w}


@dataclass(frozen=True)
class SI(Regularizer):
    """Synaptic intelligence: F is what a parameter's moves gained, per squared distance.

    While a task is learned `path` sums -g dw, the fall of the loss that a parameter's steps
    account for. At its end, `consolidate()`: F <- clip(F + path / ((w - a)^2 + damping)), path <-
    0, a <- w. It needs no pass over the data; it keeps three floats per parameter, and the gradient
    of a parameter until it is updated.

    Source: Zenke et al., "Continual learning through synaptic intelligence", ICML 2017; clipping as
    in AR1 (Maltoni and Lomonaco, 2019; vlomonaco/ar1-pytorch), which clips at 0.001.

    Args:
        strength: factor of the penalty.
        damping: keeps F finite for parameters that did not move.
        limit: largest F; none by default.
    """

    strength: float = 1.0
    damping: float = 0.1
    limit: float | None = None

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0.0, 1e12)
        check_range("damping", self.damping, 1e-12, 1e12)
        if self.limit is not None and not self.limit > 0:
            raise BadOption(f"limit = {self.limit}", hint="a positive number, or None")

    @property
    def states(self) -> tuple[str, ...]:
        """F, a, and the path integral."""
        return ("importance", "anchor", "path")

    @property
    def starts_as_weight(self) -> tuple[str, ...]:
        """The first task begins where the parameter is."""
        return ("anchor",)

    @property
    def entries(self) -> tuple[str, ...]:
        """F comes from the steps themselves."""
        return ("consolidate",)

    def pull(self, w: Expr, states: States) -> Expr:
        """See the class."""
        return 2.0 * self.strength * (states["importance"] * (w - states["anchor"]))

    @property
    def follows(self) -> tuple[str, ...]:
        """The path integral."""
        return ("path",)

    def follow(self, old: Expr, new: Expr, g: Expr, states: States) -> States:
        """path <- path - g dw."""
        return {"path": states["path"] - g * (new - old)}

    def consolidate(self, w: Expr, states: States) -> States:
        """See the class."""
        moved = w - states["anchor"]
        F = states["importance"] + states["path"] / (moved * moved + self.damping)
        F = apply("max", F, 0.0)
        F = F if self.limit is None else apply("min", F, self.limit)
        return {"importance": F, "anchor": w, "path": Const(0.0)}


__all__ = ["EWC", "SI", "Regularizer", "States"]
