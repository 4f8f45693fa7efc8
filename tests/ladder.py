# SPDX-License-Identifier: Apache-2.0
"""The ladder: torch eager = joint graph = every pass in NumPy = C on host = C on devices.

At every rung the outputs, the loss and every gradient are compared, and the parameters after ten
steps. The bounds are relative to the largest value of a tensor: float32 keeps 6e-8, sums of a few
thousand terms in another order lose about a digit, ten steps another one. A gradient that is zero
by mathematics (a weight before a norm) is a difference of terms as large as the model's other
gradients, so one percent of the largest of them is added to its scale.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import acclimate as ac
from acclimate.capture import find_loss
from acclimate.firmware import Firmware
from acclimate.lower import ENTRIES, c_name
from acclimate.program import Interpreter, Program
from acclimate.simulate import Device
from acclimate.targets import Target, find_target

FORWARD_BOUND = 2e-5
GRADIENT_BOUND = 1e-4
STEPS_BOUND = 5e-4
STEPS = 10
DEVICE_STEPS = 2  # on simulated devices, whose second loss tells whether the update was right


class Scaled(nn.Module):
    """A function behind one trained scale, so that a gradient passes through it."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.3]))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x * self.scale)


@dataclass
class Reference:
    """What PyTorch computes: outputs in eval mode, loss, gradients, parameters after ten steps."""

    outputs: list[np.ndarray]
    loss: float
    gradients: dict[str, np.ndarray]
    losses: list[float] = field(default_factory=list)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)


def gradient_floor(ref: Reference) -> float:
    """What a gradient is at least measured against, see the head of this file."""
    return 1e-3 + 1e-2 * max(np.abs(g).max(initial=0.0) for g in ref.gradients.values())


def assert_close(actual: Any, expected: Any, bound: float, what: str, floor: float = 1e-3) -> None:
    """The largest difference is at most `bound` times the largest expected value plus `floor`."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.size == expected.size, f"{what}: {actual.shape} is not {expected.shape}"
    actual = actual.reshape(expected.shape)
    assert np.isfinite(actual).all(), f"{what}: not finite"
    scale = np.abs(expected).max(initial=0.0) + floor
    error = np.abs(actual - expected).max(initial=0.0)
    assert error <= bound * scale, f"{what}: error {error:.2e} of {scale:.2e}, bound {bound:.0e}"


def folded(model: nn.Module, changes: tuple[str, ...]) -> nn.Module:
    """The model with BatchNorm folded by PyTorch's own function."""
    model = copy.deepcopy(model)
    for change in changes:
        layer_path, norm_path = change.split(" <- ")
        layer, norm = model.get_submodule(layer_path), model.get_submodule(norm_path)
        trained = layer.weight.requires_grad
        bias = any(p is not None and p.requires_grad for p in (layer.bias, norm.bias))
        if isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            fused = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
        fused.weight.requires_grad_(trained)
        fused.bias.requires_grad_(bias)
        model.set_submodule(layer_path, fused)
        model.set_submodule(norm_path, nn.Identity())
    return model


def reference(
    model: nn.Module,
    loss: Callable[..., torch.Tensor],
    inputs: tuple,
    target: Any,
    optimizer: Any,
    lr: float,
) -> Reference:
    """Runs PyTorch eagerly."""
    training = {name: module.training for name, module in model.named_modules()}
    with torch.no_grad():
        probe = copy.deepcopy(model).eval()
        result = probe(*inputs)
    outputs = [o.numpy() for o in (result if isinstance(result, (tuple, list)) else [result])]
    model = copy.deepcopy(model)
    assert training == {name: module.training for name, module in model.named_modules()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    value = loss(model(*inputs), target)
    value.backward()
    gradients = {name: p.grad.numpy().copy() for name, p in trained.items() if p.grad is not None}
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = None
    ref = Reference(outputs, value.item(), gradients)
    step = torch_optimizer(optimizer, [p for p in model.parameters() if p.requires_grad], lr)
    for _ in range(STEPS):
        step.zero_grad()
        value = loss(model(*inputs), target)
        value.backward()
        step.step()
        ref.losses.append(value.item())
    ref.parameters = {name: p.detach().numpy() for name, p in model.named_parameters()}
    return ref


def torch_optimizer(optimizer: Any, parameters: list, lr: float) -> torch.optim.Optimizer:
    """The optimizer of torch.optim with the same settings."""
    if isinstance(optimizer, ac.SGD):
        return torch.optim.SGD(
            parameters,
            lr=lr,
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            weight_decay=optimizer.weight_decay,
        )
    kind = torch.optim.AdamW if isinstance(optimizer, ac.AdamW) else torch.optim.Adam
    return kind(
        parameters,
        lr=lr,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
    )


def data_of(inputs: tuple, target: Any) -> dict[str, np.ndarray]:
    """Example tensors by their names in the program."""
    targets = target if isinstance(target, tuple) else (target,)
    names = ["x"] if len(inputs) == 1 else [f"x{i}" for i in range(len(inputs))]
    names += ["y"] if len(targets) == 1 else [f"y{i}" for i in range(len(targets))]
    return {name: tensor.numpy() for name, tensor in zip(names, (*inputs, *targets), strict=True)}


def check_numpy(
    program: Program, ref: Reference, data: dict, lr: float, stage: str, **options: Any
) -> None:
    """Outputs, loss, every gradient and one step of a program in NumPy."""
    machine = Interpreter(program, **options)
    outputs = machine.run("predict", **data)
    for expected, (name, value) in zip(ref.outputs, sorted(outputs.items()), strict=True):
        assert_close(value, expected, FORWARD_BOUND, f"{stage}: {name}")
    result = machine.run("accumulate", **data)
    assert_close(result["loss"], ref.loss, FORWARD_BOUND, f"{stage}: loss")
    for name, gradient in ref.gradients.items():
        found = machine.value(f"{c_name(name)}_grad")
        assert_close(
            found, gradient, GRADIENT_BOUND, f"{stage}: gradient of {name}", gradient_floor(ref)
        )
    machine.run("apply", lr=lr)
    other = Interpreter(program, **options)
    other.run("train", **data, lr=lr)
    for name in ref.gradients:
        one, two = machine.value(c_name(name)), other.value(c_name(name))
        assert_close(two, one, FORWARD_BOUND, f"{stage}: {name} by train and by accumulate + apply")


def check_c(
    device: Device, ref: Reference, data: dict, lr: float, what: str = "C", steps: int = STEPS
) -> None:
    """Outputs, loss, every gradient, and the losses and parameters of steps of the generated C."""
    values = list(data.values())
    inputs = [value for name, value in data.items() if name.startswith("x")]
    outputs = device.predict(*inputs)
    for expected, value in zip(
        ref.outputs, outputs if isinstance(outputs, tuple) else [outputs], strict=True
    ):
        assert_close(value, expected, FORWARD_BOUND, f"{what}: outputs")
    loss = device.accumulate(*values)
    assert_close(loss, ref.loss, FORWARD_BOUND, f"{what}: loss")
    for name, gradient in ref.gradients.items():
        assert_close(
            device.state[f"{c_name(name)}_grad"],
            gradient,
            GRADIENT_BOUND,
            f"{what}: gradient of {name}",
            gradient_floor(ref),
        )
    device.reset()
    losses = [device.train(*values, lr=lr) for _ in range(steps)]
    assert_close(losses, ref.losses[:steps], STEPS_BOUND, f"{what}: losses of {steps} steps")
    for name, parameter in ref.parameters.items():
        if name in device.weights and steps == STEPS:
            assert_close(
                device.weights[name], parameter, STEPS_BOUND, f"{what}: {name} after {STEPS} steps"
            )
    device.reset()


def check_device(firmware: Firmware, climber: Climber) -> None:
    """C on a simulated device = PyTorch: outputs, loss, every gradient, and two steps.

    The bounds are those of the host: other sums of the same terms, and other roundings of expf.
    """
    target = climber.target
    options = {"check_races": True} if target.simulator == "cluster" else {}
    device = ac.retarget(firmware, target).run(climber.device, **options)
    check_c(device, climber.ref, climber.data, climber.lr, f"C on {target.machine}", DEVICE_STEPS)


@dataclass(frozen=True)
class Climber:
    """What the last rungs compare a device with."""

    target: Target
    device: str
    ref: Reference
    data: dict[str, np.ndarray]
    lr: float


def devices(number: int) -> list[tuple[Target, str]]:
    """A cluster with 1, 2, 4 or 8 cores and a Cortex-M, in turn."""
    cluster = find_target("pulp-cluster").with_cores((8, 4, 2, 1)[number % 4])
    names = ("cortex-m4", "cortex-m0plus", "cortex-m7", "cortex-m3", "cortex-m33")
    return [
        (cluster.with_memory("l1", 2 * 1024 * 1024), "cluster"),
        (find_target("portable"), names[number % 5]),
    ]


def climb(
    model: nn.Module,
    example: tuple,
    loss: Any = "mse",
    *,
    optimizer: Any = None,
    lr: float = 0.01,
    every_pass: bool = True,
    simulated: bool = True,
) -> Firmware:
    """Climbs all rungs and returns the firmware."""
    optimizer = optimizer or ac.SGD(lr=lr)
    firmware = ac.compile(model, example=example, loss=loss, optimizer=optimizer, entries=ENTRIES)
    inputs, target = example
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    data = data_of(inputs, target)
    eager = folded(model, firmware.stages[0].changes)
    ref = reference(eager, find_loss(loss), inputs, target, optimizer, lr)
    stages = [s for i, s in enumerate(firmware.stages) if i == 0 or s.changes] if every_pass else []
    for stage in stages:
        check_numpy(stage.program, ref, data, lr, stage.name)
    check_numpy(firmware.program, ref, data, lr, "planned memory", offsets=firmware.plan.offsets())
    check_c(firmware.run("host"), ref, data, lr)
    # Spread evenly over the tests, and the same in every run.
    number = zlib.crc32(repr((model, tuple(data))).encode())
    for target, device in devices(number) if simulated else ():
        check_device(firmware, Climber(target, device, ref, data, lr))
    for entry in firmware.plan.entries.values():
        assert entry.gap == 0.0, f"the arena is {entry.gap:.2%} over its lower bound"
    return firmware
