# SPDX-License-Identifier: Apache-2.0
"""Optimizers: the update of one parameter as one loop over its elements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from acclimate.errors import BadOption, nearest
from acclimate.kernels.loop.expr import Arg, Expr, apply
from acclimate.kernels.loop.op import MAP, Map
from acclimate.kernels.op import Array
from acclimate.lower.context import Lowering
from acclimate.program import Buffer, Role, View


class Optimizer(ABC):
    """How parameters change; `lr` is the default of a run-time argument, never baked into the C."""

    lr: float

    def describe(self) -> str:
        """Name and settings, without the learning rate, which is chosen at run time."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lr"}  # type: ignore[arg-type]
        changed = [f"{name}={value}" for name, value in shown.items() if value]
        return ", ".join([type(self).__name__, *changed])

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


def _check(name: str, value: float, low: float, high: float) -> None:
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
        _check("momentum", self.momentum, 0.0, 1.0)
        _check("weight_decay", self.weight_decay, 0.0, 1.0)
        if self.nesterov and not self.momentum:
            raise BadOption("Nesterov needs a momentum", hint="SGD(momentum=0.9, nesterov=True)")

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
        _check("beta1", self.beta1, 0.0, 1.0)
        _check("beta2", self.beta2, 0.0, 1.0)
        _check("weight_decay", self.weight_decay, 0.0, 1.0)

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


def _state(
    ctx: Lowering, values: dict[str, Array], name: str, shape: Sequence[int], start: float = 0.0
) -> View:
    if name not in ctx.buffers:
        ctx.buffers[name] = Buffer(name, tuple(shape), "f32", Role.STATE)
        values[name] = np.full(shape, start, np.float32)
    return View.whole(ctx.buffers[name])


def add_counters(ctx: Lowering, values: dict[str, Array], optimizer: Optimizer) -> list[View]:
    """One call that advances all per-step scalars."""
    views = [
        _state(ctx, values, name, (), start) for name, (_, start) in optimizer.counters().items()
    ]
    if views:
        exprs = tuple(
            (1.0 - decay) + decay * Arg(i)
            for i, (decay, _) in enumerate(optimizer.counters().values())
        )
        ctx.call(MAP, views, views, Map(exprs, (), "correction"))
    return views


def add_update(
    ctx: Lowering, values: dict[str, Array], optimizer: Optimizer, name: str, grad: View,
    counters: Sequence[View], gradient: Callable[..., Expr] = lambda g: g,
    extra: Sequence[View] = (),
) -> None:  # fmt: skip
    """One call that updates a parameter and its states in place.

    Args:
        name: buffer of the parameter.
        grad: its gradient, of the same shape.
        counters: scalars from `add_counters`.
        gradient: what the optimizer sees as the gradient.
        extra: views that `gradient` reads after its first argument.
    """
    weight = View.whole(ctx.buffers[name])
    states = [_state(ctx, values, f"{name}_{state}", weight.shape) for state in optimizer.states()]
    rate = View.whole(ctx.buffers["lr"])
    operands = [weight, grad, rate, *states, *counters, *extra]
    args = [Arg(i) for i in range(len(operands))]
    first, second = 3 + len(states), 3 + len(states) + len(counters)
    exprs = optimizer.update(
        args[0], gradient(*args[1:2], *args[second:]), args[2], args[3:first], args[first:second]
    )
    label = type(optimizer).__name__.lower()
    views = [view.expand(weight.shape) for view in operands]
    ctx.call(MAP, [weight, *states], views, Map(tuple(exprs), weight.shape, label))
