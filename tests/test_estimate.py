# SPDX-License-Identifier: Apache-2.0
"""Cycles before anything runs, against those of the simulators."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import acclimate as ac
from acclimate.estimate import call_cost, entry_cycles
from acclimate.estimate.rates import Rate, _tables, rate_of, write_text
from acclimate.kernels import OPS
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import Code, Label, size
from acclimate.kernels.pulp.timing import Timing, cycles
from acclimate.models import REGISTRY
from acclimate.report.bench import example_of
from acclimate.report.measure import step_cycles_both
from acclimate.targets import find_target

# Of what the simulator counts: benchmarks/estimates.py prints 0.87 to 1.17 for more networks.
BOUND = 0.2


def trained(name: str, target: str, **options: Any) -> tuple[int, int]:
    """Estimate of a training step, and its cycles on the simulator."""
    case = REGISTRY[name]
    model, x, y = example_of(case)
    options |= {"loss": case.loss, "target": target, "entries": ("train",)}
    return step_cycles_both(ac.compile(model, example=(x, y), **options), (x, y))


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("dscnn_xs", "gap9", {}),
        ("dscnn_xs", "gap9", {"budget": {"l1": "16 kB"}}),
        ("dscnn_xs", "pulp-cluster", {"cores": 4}),
        ("ae_tiny", "gap9", {}),
        ("dscnn_xs", "stm32l476", {}),
        ("ae_tiny", "stm32h743", {}),
        ("ae_tiny", "rp2040", {}),
    ],
)
def test_steps_take_what_the_simulator_counts(
    name: str, target: str, options: dict[str, Any]
) -> None:
    guess, counted = trained(name, target, **options)
    assert guess == pytest.approx(counted, rel=BOUND)


def test_cores_wait_for_an_fpu_that_they_share() -> None:
    """Between the time of one alone and that of all in a row; alone where each has its own."""
    code = Code()
    for number in range(8):
        code("lw", f"t{number}", "a0", 4 * number)
    for number in range(8):
        code("fmul.s", f"s{number}", "s8", "s9")
    found = [cycles(code.nodes, Core(cores_per_fpu=sharers)) for sharers in (1, 2, 4)]
    assert found[0] == 16 < found[1] < found[2]
    assert 16 <= found[1] <= 8 + 2 * 8 and 4 * 8 <= found[2] <= 8 + 4 * 8
    busy = Code([node for node in code.nodes if getattr(node, "name", "") == "fmul.s"])
    assert cycles(busy.nodes, Core(cores_per_fpu=2)) == pytest.approx(16)  # nothing else to do


def test_code_is_timed_once_for_any_number_of_rounds() -> None:
    """Loops in software inside each other, and one in hardware inside both."""
    code = Code()
    code.nodes.append(Label("outer"))
    code("addi", "a0", "a0", 1)
    code.nodes.append(Label("inner"))
    code("lw", "t1", "a0", 0)
    code("addi", "t2", "t1", 1)
    code.loop(0, "t0", 10, Code([*code.nodes[-2:], *code.nodes[-1:]]))
    code("bnez", "t3", "@inner")
    code("bnez", "t4", "@outer")
    timing = Timing.of(code.nodes, Core(), {"outer", "inner"})
    for outer, inner in ((0, 0), (1, 0), (1, 1), (3, 2)):
        own = 3 + 1 + 10 * 4 + 3  # a load that is waited for; the loop; a branch
        assert timing.cycles({"outer": outer, "inner": inner}) == outer * (1 + inner * own + 3)


@pytest.mark.parametrize("bodies", [20, 40])
def test_a_loop_larger_than_the_cache_is_fetched_in_every_round(bodies: int) -> None:
    """Loops in software and in hardware alike: 128 instructions fill 512 bytes."""
    core = Core(icache_bytes=512, icache_miss_cycles=8)
    body = Code()
    for _ in range(4 * bodies):
        body("addi", "a0", "a0", 1)
    hardware, software = Code(), Code()
    hardware.loop(0, "t0", 10, Code(list(body.nodes)))
    software.nodes.append(Label("again"))
    software.extend(body)
    software("bnez", "t0", "@again")
    assert size(body.nodes) * 4 == bodies * 16
    for code in (hardware, software):
        times = {"again": 10}
        more = cycles(code.nodes, core, times) - cycles(code.nodes, Core(), times)
        lines = bodies + (0.25 if code is software else 0.0)
        assert more == (10 * 8 * lines if bodies > 32 else 0)


def test_loops_pay_for_functions_and_for_being_small() -> None:
    """`exp` costs more than `+`; a loop of few elements is not shared by the cores."""
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(4, 512)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.fc(x)).view(1, 16, 32).sum(-1)

    firmware = ac.compile(
        Net(), example=(torch.zeros(1, 4), torch.zeros(1, 16)), loss="mse", target="pulp-cluster"
    )
    cost = call_cost(firmware.target)
    calls = firmware.program.entries["train"].calls
    spent = {call.attrs.label: cost(call) for call in calls if call.op.name == "map"}
    assert spent["tanh"] > 512 / 8 * 80
    one = {call.attrs.label: call_cost(firmware.target.with_cores(1))(call) for call in calls
           if call.op.name == "map"}  # fmt: skip
    assert one["tanh"] > 7 * spent["tanh"]
    small = [label for label in spent if "mse" in label]
    assert small and all(one[label] == spent[label] for label in small)


def test_rates_are_of_kernels_that_exist() -> None:
    symbols = {kernel.symbol for op in OPS for kernel in op.kernels}
    tables = _tables()
    assert set(tables) >= {"cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"}
    for table in tables.values():
        assert set(table) - {"mean"} <= symbols
        assert all(rate.mac >= 0 and rate.result >= 0 and rate.mac + rate.result for rate in
                   table.values())  # fmt: skip
    assert rate_of("cortex-m4", "ac_new_kernel") == tables["cortex-m4"]["mean"]
    assert rate_of("cv32e40p", "ac_linear_fwd_f32") is None
    assert "k = [1.5, 2]" in write_text({"cortex-m4": {"k": Rate(1.5, 2.0)}}, "me")


def test_software_floats_cost_more() -> None:
    """An RP2040 has no FPU: a step takes many times the cycles of an STM32L4."""
    costs = []
    for target in ("stm32l476", "rp2040"):
        case = REGISTRY["mlp"]
        firmware = ac.compile(
            case.build(), example=(torch.zeros(1, 64), torch.tensor([1])), target=target
        )
        entry = firmware.program.entries["train"]
        device = find_target(target)
        costs.append(entry_cycles(firmware.program, entry, firmware.plan, device))
    assert costs[1] > 10 * costs[0]
