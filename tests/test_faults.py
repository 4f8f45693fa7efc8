# SPDX-License-Identifier: Apache-2.0
"""Twenty faults that other systems have shown: each is a test here.

Some faults concern simulated devices, tiles or 16-bit numbers; their part that this version can
show is tested, and the test says which.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import acclimate as ac
from acclimate.kernels import OPS
from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X
from acclimate.passes import LATE_PASSES, PASSES
from acclimate.program import operator_program
from acclimate.report.bench_cluster import layer_calls
from acclimate.targets import find_target
from acclimate.tune import select_kernels
from ladder import climb

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "src" / "acclimate" / "kernels"


def example_for(model: nn.Module, *shape: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(*shape)
    with torch.no_grad():
        return x, torch.randn_like(model(x))


def test_fault_01_every_kernel_shares_its_work_among_the_cores() -> None:
    """Depthwise gradients computed in full by every core.

    That three cores together give the result of one, each writing its own part only, is what
    tests/kernels runs for every case.
    """
    for op in OPS:
        for kernel in op.kernels:
            if kernel.generator is not None:
                continue  # written for each call: the next test
            text = (op.folder / kernel.source).read_text()
            # Either it splits, or it hands core and cores to the block that does.
            assert re.search(r"ac_split\(|\bcore, cores\)", text), kernel.source


@pytest.mark.parametrize("name", ["dw3_64_25x5", "pw_64_64_125", "conv1_10x4", "fc_640_128"])
@pytest.mark.parametrize("kind", ["fwd", "bwd_x", "bwd_w", "step"])
def test_fault_01_generated_kernels_too(name: str, kind: str) -> None:
    target = find_target("pulp-cluster")
    for case in layer_calls(name, kind):
        (call,) = operator_program("x", {"run": [case]}).entries["run"].calls
        cycles = {}
        for cores in (1, 8):
            machine = target.with_cores(cores)
            program = operator_program("x", {"run": [case]})
            (chosen,) = select_kernels(program, machine).entries["run"].calls
            assert chosen.work is not None, call.op.name
            cycles[cores] = chosen.work.cycles
        assert cycles[1] > 5 * cycles[8], call.op.name


@pytest.mark.parametrize(("stride", "pad"), list(itertools.product((1, 2, 3), (0, 1, 2))))
def test_fault_02_backward_honours_stride_and_padding(stride: int, pad: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 3, stride, pad))
    climb(model, example_for(model, 1, 2, 9, 8), every_pass=False)


def test_fault_03_rows_that_no_window_reaches() -> None:
    """32x32, kernel 3, stride 2, padding 1: the last row is in no window."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 3, 2, 1))
    climb(model, example_for(model, 1, 3, 32, 32), every_pass=False)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6])
def test_fault_04_input_gradient_of_every_kernel_size(kernel: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, kernel))
    climb(model, example_for(model, 1, 2, 8, 7), every_pass=False)


def test_fault_05_gradients_accumulate_and_the_mean_is_the_mean() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 3)
    x, y = example_for(model, 4, 2, 5, 5)
    options = {"loss": "mse", "optimizer": ac.SGD(lr=0.5)}
    batch = ac.compile(model, example=(x, y), **options).run()
    single = ac.compile(
        model, example=(x[:1], y[:1]), entries=("predict", "accumulate", "apply"), **options
    ).run()
    batch.train(x, y)
    for i in range(4):
        single.accumulate(x[i : i + 1], y[i : i + 1])
    single.apply()
    for name, value in batch.weights.items():
        np.testing.assert_allclose(single.weights[name], value, rtol=2e-5, atol=1e-6)


def test_fault_06_sums_are_kept_in_float32_or_wider() -> None:
    """16-bit kernels that accumulate in 16 bits.

    There is no 16-bit kernel in this version; a sum of 4096 small terms onto a large one keeps its
    digits.
    """
    x = torch.full((1, 4096), 1e-4)
    x[0, 0] = 1000.0
    model = nn.Linear(4096, 1, bias=False)
    nn.init.ones_(model.weight)
    device = ac.compile(model, example=(x, torch.zeros(1, 1)), loss="mse").run()
    assert device.predict(x)[0, 0] == pytest.approx(1000.4095, abs=0.05)


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm((4, 5, 5)), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)]
)
def test_fault_07_norms_have_a_backward(norm: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), norm)
    climb(model, example_for(model, 1, 2, 5, 5), every_pass=False)


def test_fault_08_the_choice_of_kernels_is_used() -> None:
    """A tuner whose result nobody reads: the kernel in the manifest is the one the C calls."""
    torch.manual_seed(0)
    model = nn.Conv2d(8, 8, 1)
    firmware = ac.compile(model, example=example_for(model, 1, 8, 6, 6), loss="mse")
    text = firmware.sources()["net.c"].decode()
    for call in firmware.program.calls():
        if call.kernel is not None:
            assert f" {call.kernel.symbol}(" in text


def test_fault_09_too_little_memory_is_an_error() -> None:
    model = nn.Linear(64, 64)
    with pytest.raises(ac.AcclimateError, match=r"needs .* B of RAM"):
        ac.compile(
            model,
            example=(torch.zeros(1, 64), torch.zeros(1, 64)),
            loss="mse",
            budget={"ram": "1 kB"},
        )


def test_fault_10_kernels_and_scratch_are_chosen_in_one_place() -> None:
    """Nothing but the declarations names a kernel: not the stages, not the templates."""
    symbols = {kernel.symbol for op in OPS for kernel in op.kernels}
    for path in (ROOT / "src" / "acclimate").rglob("*"):
        if path.suffix in (".py", ".jinja") and "kernels" not in path.parts:
            text = path.read_text()
            assert not [symbol for symbol in symbols if re.search(rf"\b{symbol}\b", text)], (
                path.name
            )


def test_fault_11_a_linear_layer_of_batch_1_is_shared_among_the_cores() -> None:
    for name in ("linear_fwd", "linear_bwd_x", "linear_bwd_w", "linear_step", "linear_bwd_step"):
        (op,) = (op for op in OPS if op.name == name)
        for kernel in (kernel for kernel in op.kernels if kernel.generator is None):
            text = (op.folder / kernel.source).read_text()
            assert not re.search(r"ac_split\(N,", text), f"{kernel.source} splits the batch only"


def test_fault_12_ties_in_max_pooling_go_to_the_first() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.MaxPool2d(2, 1))
    nn.init.ones_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    x = torch.tensor([[[[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]]])
    climb(model, (x, torch.zeros(1, 1, 2, 2)), lr=0.1)


def test_fault_13_broadcast_over_channels_stays_inside() -> None:
    class Bias(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.randn(1, 5, 1, 1))
            self.shift = nn.Parameter(torch.randn(5, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale + self.shift

    torch.manual_seed(0)
    climb(Bias(), example_for(Bias(), 2, 5, 3, 4))


def test_fault_14_two_runs_give_the_same_bytes() -> None:
    """Generated code that changes from run to run. (Cycle counters come with simulated devices.)"""

    def sources() -> dict[str, bytes]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(64, 3))
        return ac.compile(model, example=(torch.zeros(1, 1, 6, 6), torch.tensor([0]))).sources()

    assert sources() == sources()


def test_fault_15_every_optimisation_reports_what_it_did() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    firmware = ac.compile(model, example=(torch.zeros(1, 1, 5, 5), torch.tensor([0])))
    ran = {stage.name: stage.changes for stage in firmware.stages}
    for apply in (*PASSES, *LATE_PASSES):
        assert apply.__name__ in ran
    for name in ("fuse_clamp", "fuse_update", "forward_copies"):
        assert ran[name], f"{name} changed nothing"


def test_fault_16_transposed_operands_are_not_copied() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5))
    program = ac.compile(model, example=example_for(model, 3, 6), loss="mse").program
    labels = [getattr(call.attrs, "label", "") for call in program.calls()]
    assert "copy" not in labels


def test_fault_17_the_learning_rate_is_an_argument() -> None:
    model = nn.Linear(3, 2)
    example = (torch.zeros(1, 3), torch.tensor([0]))
    one = ac.compile(model, example=example, optimizer=ac.SGD(lr=0.1)).sources()
    two = ac.compile(model, example=example, optimizer=ac.SGD(lr=0.7)).sources()
    assert one == two
    assert "float lr)" in one["net.h"].decode()


def test_fault_18_nothing_depends_on_abandoned_packages() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for name in ("onnx", "torchvision", "tensorflow", "onnxruntime"):
        assert name not in text


def test_fault_19_a_model_that_nobody_thought_of() -> None:
    class Odd(nn.Module):
        """Two inputs' worth of features, gates, a skip and a learned mixture."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv1d(3, 5, 3, dilation=2), nn.Conv1d(3, 5, 5, stride=1)
            self.mix = nn.Parameter(torch.tensor(0.3))
            self.gate = nn.Linear(5, 5)
            self.out = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            a, b = torch.tanh(self.left(x)), F.silu(self.right(x))
            mixed = self.mix * a + (1 - self.mix) * b.flip(2)
            weights = torch.softmax(mixed.mean(1, keepdim=True), dim=2)
            pooled = (mixed * weights).sum(2)
            return self.out(pooled * torch.sigmoid(self.gate(pooled)))

    torch.manual_seed(0)
    climb(Odd(), (torch.randn(2, 3, 12), torch.tensor([0, 1])), "cross_entropy", lr=0.05)


def test_fault_20_one_package_index_is_enough() -> None:
    """Two containers and a private SDK: set-up is a venv and pip, the compiler included."""
    makefile = (ROOT / "Makefile").read_text()
    assert not re.search(r"apt|docker|sudo|curl|wget", makefile)
    assert "ziglang" in (ROOT / "pyproject.toml").read_text()


def test_gradients_are_declared_for_every_stride_and_group() -> None:
    """The cases of the declarations cover what the faults are about."""
    for op in (CONV2D_BWD_X, CONV2D_BWD_W):
        strides = {(case["stride_h"], case["stride_w"]) for case in op.cases}
        assert len(strides) >= 4
        assert any(case["groups"] > 1 for case in op.cases)
        assert any(case["N"] > 1 for case in op.cases)
