# SPDX-License-Identifier: Apache-2.0
"""Optimizers: how a parameter follows its gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from acclimate.errors import BadOption, nearest
from acclimate.kernels.loop.expr import Expr, apply


class Optimizer(ABC):
    """How parameters change; `lr` is the default of a run-time argument, never baked into the C."""

    lr: float

    def describe(self) -> str:
        """Name and settings, without the learning rate, which is chosen at run time."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lr"}  # type: ignore[arg-type]
        changed = [f"{name}={value}" for name, value in shown.items() if value]
        return ", ".join([type(self).__name__, *changed])

    @property
    def additive(self) -> bool:
        """True for w - lr g: terms of g may be subtracted one after the other."""
        return False

    @abstractmethod
    def states(self) -> tuple[str, ...]:
        """Names of the per-parameter buffers."""

    def counters(self) -> Mapping[str, tuple[float, float]]:
        """Per-step scalars: name -> (decay, start): value <- (1 - decay) + decay * value."""
        return {}

    @abstractmethod
    def update(
        self, w: Expr, g: Expr, lr: Expr, states: Sequence[Expr], counters: Sequence[Expr]
    ) -> list[Expr]:
        """New values of w and of the states."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises BadOption for a setting outside its range."""
    if not low <= value <= high:
        raise BadOption(f"{name} = {value}", hint=f"{name} lies in [{low}, {high}]")


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: v <- momentum v + g, w <- w - lr v, with g = dw + weight_decay w.

    Nesterov: w <- w - lr (g + momentum v). As torch.optim.SGD without dampening.
    """

    lr: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, 0.0, 1.0)
        check_range("weight_decay", self.weight_decay, 0.0, 1.0)
        if self.nesterov and not self.momentum:
            raise BadOption("Nesterov needs a momentum", hint="SGD(momentum=0.9, nesterov=True)")

    @property
    def additive(self) -> bool:
        """See the base class."""
        return not self.momentum and not self.weight_decay

    def states(self) -> tuple[str, ...]:
        """The velocity, if there is a momentum."""
        return ("velocity",) if self.momentum else ()

    def update(
        self, w: Expr, g: Expr, lr: Expr, states: Sequence[Expr], counters: Sequence[Expr]
    ) -> list[Expr]:
        """See the class."""
        g = g + self.weight_decay * w if self.weight_decay else g
        if not self.momentum:
            return [w - lr * g]
        v = self.momentum * states[0] + g
        step = g + self.momentum * v if self.nesterov else v
        return [w - lr * step, v]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with bias correction, as torch.optim.Adam; weight decay is added to the gradient.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980.
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_range("beta1", self.beta1, 0.0, 1.0)
        check_range("beta2", self.beta2, 0.0, 1.0)
        check_range("weight_decay", self.weight_decay, 0.0, 1.0)

    def states(self) -> tuple[str, ...]:
        """First and second moment."""
        return ("moment1", "moment2")

    def counters(self) -> Mapping[str, tuple[float, float]]:
        """1 - beta^t, kept as such: computed from beta^t it would lose digits to cancellation."""
        return {"correction1": (self.beta1, 0.0), "correction2": (self.beta2, 0.0)}

    def _decayed(self, w: Expr, g: Expr, lr: Expr) -> tuple[Expr, Expr]:
        return w, (g + self.weight_decay * w if self.weight_decay else g)

    def update(
        self, w: Expr, g: Expr, lr: Expr, states: Sequence[Expr], counters: Sequence[Expr]
    ) -> list[Expr]:
        """See the class."""
        w, g = self._decayed(w, g, lr)
        m = self.beta1 * states[0] + (1.0 - self.beta1) * g
        v = self.beta2 * states[1] + (1.0 - self.beta2) * (g * g)
        root = apply("sqrt", v / counters[1])
        return [w - lr / counters[0] * m / (root + self.eps), m, v]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: w <- (1 - lr weight_decay) w first. As torch.optim.AdamW.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    weight_decay: float = 0.01

    def _decayed(self, w: Expr, g: Expr, lr: Expr) -> tuple[Expr, Expr]:
        return (w - lr * self.weight_decay * w if self.weight_decay else w), g


OPTIMIZERS: Mapping[str, Callable[[], Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def find_optimizer(optimizer: Optimizer | str) -> Optimizer:
    """Returns the optimizer of that name with its defaults, or the optimizer itself.

    Raises:
        BadOption: no optimizer has that name.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str) or optimizer.lower() not in OPTIMIZERS:
        raise BadOption(
            f"unknown optimizer {optimizer!r}",
            hint=f"{nearest(str(optimizer), OPTIMIZERS)}; or ac.SGD(lr=0.01)",
        )
    return OPTIMIZERS[optimizer.lower()]()
