# SPDX-License-Identifier: Apache-2.0
"""Calls that change parameters: one loop over the elements of each, with the buffers it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.kernels.loop.expr import Arg, Expr
from acclimate.kernels.loop.op import MAP, Map
from acclimate.kernels.op import Array
from acclimate.lower.context import Lowering
from acclimate.lower.optimizers import Optimizer
from acclimate.lower.regularizers import Regularizer, States
from acclimate.program import Buffer, Role, View

SHARE = "share"


@dataclass(frozen=True)
class Updates:
    """How the parameters of a program change.

    Args:
        ctx: where the calls go.
        values: first values of the buffers, which may be added to.
        optimizer: what follows the gradient.
        regularizer: what holds parameters back.
    """

    ctx: Lowering
    values: dict[str, Array]
    optimizer: Optimizer
    regularizer: Regularizer | None = None

    def counters(self) -> list[View]:
        """One call that advances all per-step scalars of the optimizer."""
        table = self.optimizer.counters()
        views = [self._state(name, np.float32(start)) for name, (_, start) in table.items()]
        if views:
            exprs = tuple(
                (1.0 - decay) + decay * Arg(i) for i, (decay, _) in enumerate(table.values())
            )
            self.ctx.call(MAP, views, views, Map(exprs, (), "correction"))
        return views

    def update(
        self, name: str, grad: View, counters: Sequence[View],
        gradient: Callable[..., Expr] = lambda g: g, extra: Sequence[View] = (),
    ) -> None:  # fmt: skip
        """Updates a parameter and what is kept of it, in place.

        Args:
            name: buffer of the parameter.
            grad: its gradient, of the same shape.
            counters: of this step.
            gradient: what the optimizer sees as the gradient.
            extra: views that `gradient` reads after its first argument.
        """
        weight = View.whole(self.ctx.buffers[name])
        rate = View.whole(self.ctx.buffers["lr"])
        held, kept = self.regularizer, self._kept(name)
        if held is not None and self.optimizer.additive and not held.follows:
            # A call of its own leaves the gradient to a kernel that needs no buffer for it.
            self._pull(held, weight, rate, kept)
            held, kept = None, {}
        states = [
            self._state(f"{name}_{state}", np.zeros(weight.shape, np.float32))
            for state in self.optimizer.states()
        ]
        counts = (len(states), len(counters), len(extra))
        written = [kept[state] for state in held.follows] if held else []

        def changed(w: Expr, g: Expr, lr: Expr, *rest: Expr) -> list[Expr]:
            at = np.cumsum(counts)
            moments, scalars, others = rest[: at[0]], rest[at[0] : at[1]], rest[at[1] : at[2]]
            slope = gradient(g, *others)
            if held is None:
                return self.optimizer.update(w, slope, lr, moments, scalars)
            known = dict(zip(kept, rest[at[2] :], strict=True))
            exprs = self.optimizer.update(w, slope + held.pull(w, known), lr, moments, scalars)
            followed = held.follow(w, exprs[0], slope, known)
            return [*exprs, *(followed[state] for state in held.follows)]

        operands = [weight, grad, rate, *states, *counters, *extra, *kept.values()]
        label = type(self.optimizer).__name__.lower()
        self._loop(label, [weight, *states, *written], operands, changed)

    def _pull(self, held: Regularizer, weight: View, rate: View, kept: Mapping[str, View]) -> None:
        """w <- w - lr * gradient of the penalty."""

        def pulled(w: Expr, lr: Expr, *states: Expr) -> list[Expr]:
            return [w - lr * held.pull(w, dict(zip(kept, states, strict=True)))]

        label = type(held).__name__.lower()
        self._loop(label, [weight], [weight, rate, *kept.values()], pulled)

    def importance(self, name: str, grad: View) -> None:
        """Counts the gradient of one batch of a finished task."""
        assert self.regularizer is not None
        self.ctx.buffers.setdefault(SHARE, Buffer(SHARE, (), "f32", Role.SCALAR))
        share = View.whole(self.ctx.buffers[SHARE])
        rule = self.regularizer.importance
        self._remember("importance", name, [grad, share], lambda w, s, g, n: rule(w, g, n, s))

    def consolidate(self, name: str) -> None:
        """Ends a task."""
        assert self.regularizer is not None
        self._remember("consolidate", name, [], self.regularizer.consolidate)

    def _remember(
        self, label: str, name: str, extra: Sequence[View], rule: Callable[..., States]
    ) -> None:
        """Changes what the regularizer keeps of a parameter by `rule(w, states, *extra)`."""
        weight, kept = View.whole(self.ctx.buffers[name]), self._kept(name)
        operands = [weight, *extra, *kept.values()]
        args = [Arg(i) for i in range(len(operands))]
        first = 1 + len(extra)
        new = rule(args[0], dict(zip(kept, args[first:], strict=True)), *args[1:first])

        def changed(*_: Expr) -> list[Expr]:
            return list(new.values())

        self._loop(label, [kept[state] for state in new], operands, changed)

    def _loop(
        self,
        label: str,
        outputs: Sequence[View],
        operands: Sequence[View],
        function: Callable[..., list[Expr]],
    ) -> None:
        shape = outputs[0].shape
        exprs = function(*(Arg(i) for i in range(len(operands))))
        views = [view.expand(shape) for view in operands]
        self.ctx.call(MAP, outputs, views, Map(tuple(exprs), shape, label))

    def _kept(self, name: str) -> Mapping[str, View]:
        """What the regularizer keeps of a parameter, by name of the state."""
        if self.regularizer is None:
            return {}
        first = self.regularizer.starts_as_weight
        value = self.values[name]
        return {
            state: self._state(f"{name}_{state}", value if state in first else 0.0 * value)
            for state in self.regularizer.states
        }

    def _state(self, name: str, start: Array | np.float32) -> View:
        if name not in self.ctx.buffers:
            self.ctx.buffers[name] = Buffer(name, np.shape(start), "f32", Role.STATE)
            self.values[name] = np.array(start, np.float32)
        return View.whole(self.ctx.buffers[name])
