# SPDX-License-Identifier: Apache-2.0
"""A training step of the generated C against the same step in PyTorch, on this machine.

Both sides do forward, loss, backward and an SGD update without momentum, in float32, on the same
batch of one, from the same weights, on one thread. PyTorch gets its best case: BatchNorm is folded
into the layer before it, and of its SGD implementations and memory formats the fastest is taken.
The sides alternate block by block, so that a change of clock or load meets both.
"""

from __future__ import annotations

import copy
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import acclimate
from acclimate.capture import find_loss
from acclimate.errors import BadOption, nearest
from acclimate.lower import SGD
from acclimate.models import REGISTRY, ModelCase
from acclimate.report.measure import time_ms
from acclimate.simulate.compiler import FAST, zig_version

NETWORKS = ("deep_autoencoder", "dscnn_s", "resnet8", "mobilenet_v1_025")
_LR = 1e-4
_SEED = 0
_SAME_LOSS = 1e-4  # float32 sums in another order
_BLOCK_MS = 10.0
_WARM_UP_BLOCKS = 5
_TRIAL_STEPS = 15

Progress = Callable[[int, int, str], None]
Step = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one training step: median and least of the means over blocks of steps."""

    median_ms: float
    min_ms: float
    steps_per_block: int


@dataclass(frozen=True)
class BenchRow:
    """One network on both sides, and under which conditions."""

    name: str
    acclimate: Timing
    torch: Timing
    conditions: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        """Median of PyTorch / median of acclimate: above 1 the C is faster."""
        return self.torch.median_ms / self.acclimate.median_ms

    @property
    def min_ratio(self) -> float:
        """The same of the least times, which load on the machine disturbs less."""
        return self.torch.min_ms / self.acclimate.min_ms

    def document(self) -> dict[str, Any]:
        """The row as values that `json` can write."""
        return {
            "name": self.name,
            "acclimate_ms": self.acclimate.median_ms,
            "acclimate_min_ms": self.acclimate.min_ms,
            "torch_ms": self.torch.median_ms,
            "torch_min_ms": self.torch.min_ms,
            "ratio": self.ratio,
            "min_ratio": self.min_ratio,
            "conditions": dict(self.conditions),
        }


def bench_names(only: str | None = None) -> tuple[str, ...]:
    """The networks to measure: all, or one of them.

    Raises:
        BadOption: `only` is none of them.
    """
    if only is not None and only not in NETWORKS:
        raise BadOption(f"there is no benchmark {only!r}", hint=nearest(only, NETWORKS))
    return NETWORKS if only is None else (only,)


def bench_host(
    names: Sequence[str] = NETWORKS, *, repetitions: int = 60, progress: Progress | None = None
) -> list[BenchRow]:
    """Measures networks on both sides.

    Args:
        names: of `NETWORKS`.
        repetitions: blocks of each side.
        progress: told (done, total, what).

    Raises:
        RuntimeError: the two sides do not compute the same loss: a bug.
    """
    rows = []
    with one_thread():
        for number, name in enumerate(names):
            if progress is not None:
                progress(number, len(names), f"measuring {name}")
            rows.append(_bench(REGISTRY[name], repetitions))
    return rows


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch uses one thread inside this context."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bench(case: ModelCase, repetitions: int) -> BenchRow:
    model, x, y = example_of(case)
    firmware = acclimate.compile(
        model, example=(x, y), loss=case.loss, optimizer=SGD(lr=_LR), name=case.name
    )
    device = firmware.run("host")
    torch_step, variant = _fastest(model, case, x, y)
    expected = float(find_loss(case.loss)(fold_norms(model)(x), y).detach())
    found = device.train(x, y)
    if not math.isclose(found, expected, rel_tol=_SAME_LOSS):
        raise RuntimeError(f"{case.name}: the loss of the C is {found}, in PyTorch {expected}")
    data = (x.numpy(), y.numpy())
    ours, theirs = _interleave(lambda: device.train(*data), torch_step, repetitions)
    conditions = {
        "step": "forward, loss, backward, SGD without momentum",
        "dtype": "float32",
        "batch": 1,
        "threads": 1,
        "repetitions": repetitions,
        "acclimate_steps_per_repetition": ours.steps_per_block,
        "torch_steps_per_repetition": theirs.steps_per_block,
        "order": "repetitions of the two sides alternate",
        "torch_variant": f"eager, eval mode, BatchNorm folded, {variant}",
        "torch": torch.__version__,
        "acclimate": acclimate.__version__,
        "compiler": f"zig cc {zig_version()} {' '.join(FAST)}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    return BenchRow(case.name, ours, theirs, conditions)


def example_of(case: ModelCase) -> tuple[nn.Module, Tensor, Tensor]:
    """The network in eval mode with statistics that folding must not ignore, and one sample."""
    torch.manual_seed(_SEED)
    model = case.build().eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                assert tensor is not None
                tensor.uniform_(low, high)
    x = torch.randn(1, *case.input_shape)
    kind, size = case.target
    if kind == "class":
        assert isinstance(size, int)
        return model, x, torch.randint(size, (1,))
    assert isinstance(size, tuple)
    return model, x, torch.randn(1, *size)


def fold_norms(model: nn.Module) -> fx.GraphModule:
    """A copy with every BatchNorm folded into the convolution or linear layer before it."""
    traced = fx.symbolic_trace(copy.deepcopy(model))
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            continue
        before = node.args[0]
        layer = modules[str(before.target)]
        fuse: Any = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
        traced.set_submodule(str(before.target), fuse(layer, norm))
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _fastest(model: nn.Module, case: ModelCase, x: Tensor, y: Tensor) -> tuple[Step, str]:
    """PyTorch's step in the variant that is the fastest here."""
    formats = [torch.contiguous_format] + [torch.channels_last] * (x.ndim == 4)
    optimizers: dict[str, dict[str, bool]] = {
        "fused SGD": {"fused": True},
        "foreach SGD": {"foreach": True},
        "SGD": {"foreach": False},
    }
    best: tuple[float, Step, str] | None = None
    for memory_format, (label, options) in product(formats, optimizers.items()):
        folded: Any = fold_norms(model)
        net = folded.to(memory_format=memory_format)
        inputs = x.contiguous(memory_format=memory_format)
        step = _torch_step(net, case, inputs, y, options)
        times = [time_ms(step) for _ in range(_TRIAL_STEPS)]
        variant = f"{label}, {str(memory_format).removeprefix('torch.')}"
        if best is None or statistics.median(times) < best[0]:
            best = (statistics.median(times), step, variant)
    assert best is not None
    return best[1], best[2]


def _torch_step(
    net: nn.Module, case: ModelCase, x: Tensor, y: Tensor, options: Mapping[str, bool]
) -> Step:
    criterion = find_loss(case.loss)
    optimizer = torch.optim.SGD(net.parameters(), lr=_LR, **options)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(net(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _interleave(a: Step, b: Step, repetitions: int) -> tuple[Timing, Timing]:
    """Times blocks of both in turn: ABAB... Blocks last equally long, so load meets both alike."""
    sides = tuple((step, _steps_of_a_block(step)) for step in (a, b))
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_WARM_UP_BLOCKS + repetitions):
        for (step, count), found in zip(sides, times, strict=True):
            spent = time_ms(partial(_repeat, step, count)) / count
            if number >= _WARM_UP_BLOCKS:
                found.append(spent)
    ours, theirs = (
        Timing(statistics.median(found), min(found), count)
        for found, (_, count) in zip(times, sides, strict=True)
    )
    return ours, theirs


def _steps_of_a_block(step: Step) -> int:
    return max(1, math.ceil(_BLOCK_MS / min(time_ms(step) for _ in range(_TRIAL_STEPS))))


def _repeat(step: Step, count: int) -> None:
    for _ in range(count):
        step()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
