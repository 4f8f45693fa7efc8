# SPDX-License-Identifier: Apache-2.0
"""A network as a device that learns: what learns by name, batches from single samples, a cut.

What learns is compiled from the same module whatever it is for: the C on this machine, cycles on a
simulated device, or a project to be flashed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.data.clips import F32, I64
from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.lower import SGD
from acclimate.pipeline import compile
from acclimate.quantize import Int8
from acclimate.simulate import Device
from acclimate.targets import Target


def let_learn(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """Freezes a model in eval mode but for some modules or parameters.

    Args:
        model: changes in place.
        names: such as "fc1", "blocks.3" or "fc1.bias".

    Raises:
        BadOption: there is nothing of that name.
    """
    model.eval().requires_grad_(False)
    known = dict(model.named_parameters())
    for name in names:
        chosen = [p for path, p in known.items() if path == name or path.startswith(f"{name}.")]
        if not chosen:
            raise BadOption(f"the model has no parameters of {name!r}", hint=nearest(name, known))
        for parameter in chosen:
            parameter.requires_grad_(True)
    return model


def learning_step(
    model: nn.Module,
    learns: Sequence[str],
    x: Tensor,
    *,
    target: str | Target = "host",
    accumulates: bool = False,
    lr: float = 0.01,
    scheme: Int8 | None = None,
) -> Firmware:
    """Compiles prediction and a step of plain SGD on the cross entropy.

    Args:
        model: a classifier; what learns of it is set.
        learns: names for `let_learn`.
        x: an example x[N,...]: N samples in a step.
        target: the device.
        accumulates: gradients of several steps are added up and applied together.
        lr: learning rate unless a step is given another one.
        scheme: numbers of the frozen layers in front; None for floats.
    """
    return compile(
        let_learn(model, learns),
        example=(x, torch.zeros(len(x), dtype=torch.long)),
        optimizer=SGD(lr=lr),
        target=target,
        name="kws",
        entries=("predict", "accumulate", "apply") if accumulates else ("predict", "train"),
        quantize=scheme,
    )


class OneByOne:
    """A device of batch 1 as one of batch N: gradients are added up, the mean is applied."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.times_ms: list[float] = []
        self._accumulates = "accumulate" in device.program.entries

    def train(self, x: F32, y: I64, lr: float) -> float:
        """One step on x[N,...], y[N]; returns the mean loss before it."""
        start = perf_counter()
        if not self._accumulates:
            losses = [self.device.train(x[i : i + 1], y[i : i + 1], lr=lr) for i in range(len(y))]
        else:
            losses = [self.device.accumulate(x[i : i + 1], y[i : i + 1]) for i in range(len(y))]
            self.device.apply(lr)
        self.times_ms.append(1e3 * (perf_counter() - start) / len(y))
        return float(np.mean(losses))

    def predict(self, x: F32) -> F32:
        """Scores of x[N,...]: s[N,classes]."""
        return np.asarray(self.device.predict(x))


class FrozenPrefix:
    """All layers of a classifier before its last one, as C that only predicts.

    Where only the last layer learns, what the others compute of a sound never changes. A device
    that hears sounds once gains nothing by that; experiments that try many settings on the same
    sounds do. The cut network computes what the whole one does.

    Args:
        model: a network whose last layer is a module of its own.
        last: its name.
        x: an example x[1,...].
    """

    def __init__(self, model: nn.Module, last: str, x: Tensor) -> None:
        front = copy.deepcopy(model).eval().requires_grad_(False)
        parent, _, name = last.rpartition(".")
        setattr(front.get_submodule(parent), name, nn.Identity())
        example = (x, torch.zeros(1, dtype=torch.long))
        self._device = compile(front, example=example, entries=("predict",), name="front").run()
        self._tail, self._last = copy.deepcopy(model.get_submodule(last)), last

    def __call__(self, x: F32) -> F32:
        """Latents l[N,C] of x[N,...]."""
        return np.asarray(self._device.predict(x))

    def tail(self, learns: Sequence[str]) -> OneByOne:
        """The last layer as a device of its own, which takes latents; names as in the network."""
        own = ["weight", "bias"] if self._last in learns else []
        own += [name.removeprefix(f"{self._last}.") for name in learns if name != self._last]
        (width,) = {p.shape[1] for p in self._tail.parameters() if p.ndim == 2}
        step = learning_step(copy.deepcopy(self._tail), own, torch.zeros(1, width))
        return OneByOne(step.run())
