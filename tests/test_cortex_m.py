# SPDX-License-Identifier: Apache-2.0
"""Simulated Arm microcontrollers: the same numbers as on the host, exact counts, faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import capstone
import numpy as np
import pytest
import torch
import unicorn
from torch import nn

import acclimate as ac
from acclimate.errors import BadOption, CorruptFile, DoesNotFit, SimulationFault
from acclimate.lower import ENTRIES
from acclimate.simulate import HostDevice
from acclimate.simulate.cortex_m import PROCESSORS, CortexM, PlainMemory, build, call_costs

# The same C with another libm (2.6 units in the last place at most) and other contraction of a * b
# + c: single roundings of 6e-8 that sums, three steps and Adam's division by small numbers enlarge.
BOUND = 1e-5
CORES = tuple(PROCESSORS)


@dataclass(frozen=True)
class Case:
    """A compiled model with one batch."""

    firmware: ac.Firmware
    x: np.ndarray
    y: np.ndarray

    def files(self, **more: bytes) -> dict[str, bytes]:
        extra = {f"{name}.c": text for name, text in more.items()}
        return {**self.firmware.sources("binary"), **extra}

    def on(self, core: str, *, limit: int = 10**9, **more: bytes) -> CortexM:
        image = build(self.files(**more), core)
        return CortexM(self.firmware.program, image, core, (), self.firmware.lr, limit=limit)


def case(model: nn.Module, x: torch.Tensor, y: torch.Tensor, **options: object) -> Case:
    firmware = ac.compile(model, example=(x, y), target="portable", entries=ENTRIES, **options)
    return Case(firmware, x.numpy(), y.numpy())


def images() -> Case:
    """Convolution, pooling, GELU (erf), tanh, softmax; Adam (square root, division)."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 5),
    )  # fmt: skip
    x, y = torch.randn(2, 2, 8, 8), torch.tensor([1, 4])
    return case(model, x, y, optimizer=ac.Adam(lr=0.01))


def words() -> Case:
    """Attention: layer norm, batched matrix products, softmax; momentum."""
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(32, 3), nn.Softplus())
    x, y = torch.randn(1, 4, 8), torch.randn(1, 3)
    return case(model, x, y, loss="mse", optimizer=ac.SGD(lr=0.05, momentum=0.9))


@pytest.fixture(scope="module")
def compiled() -> Case:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    return case(model, torch.randn(1, 6), torch.tensor([2]), optimizer=ac.SGD(lr=0.1, momentum=0.9))


def assert_same(actual: np.ndarray | float, expected: np.ndarray | float, what: str) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    scale = np.abs(expected).max(initial=1e-3)
    assert np.abs(actual - expected).max(initial=0.0) <= BOUND * scale, what


@pytest.mark.parametrize("make", [images, words])
def test_every_core_computes_what_the_host_does(make: Callable[[], Case]) -> None:
    c = make()
    host = c.firmware.run("host")
    for core in CORES:
        device = c.on(core)
        host.reset()
        assert_same(device.predict(c.x), host.predict(c.x), f"{core}: outputs")
        assert_same(device.accumulate(c.x, c.y), host.accumulate(c.x, c.y), f"{core}: loss")
        largest = max(np.abs(v).max() for n, v in host.state.items() if n.endswith("_grad"))
        for name, value in host.state.items():
            if name.endswith("_grad"):
                # Gradients that vanish by mathematics are measured against the largest one.
                error = np.abs(device.state[name] - value).max()
                assert error <= BOUND * largest, f"{core}: {name}"
        device.reset()
        host.reset()
        for _ in range(3):
            assert_same(device.train(c.x, c.y), host.train(c.x, c.y), f"{core}: loss of a step")
        for name, weight in host.weights.items():
            assert_same(device.weights[name], weight, f"{core}: {name} after three steps")


def test_many_samples_and_learning_rate(compiled: Case) -> None:
    device = compiled.on("cortex-m4")
    samples = np.random.default_rng(0).standard_normal((300, 6), np.float32)
    expected = compiled.firmware.run("host").predict(samples)
    assert_same(device.predict(samples), expected, "300 samples")
    before = device.weights["0.weight"].copy()
    device.train(compiled.x, compiled.y, lr=0.0)
    assert np.array_equal(device.weights["0.weight"], before)


# ---- checkpoints


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m7"])
def test_checkpoints_move_between_devices(compiled: Case, core: str, tmp_path: Path) -> None:
    devices: list[HostDevice | CortexM] = [compiled.on(core), compiled.firmware.run("host")]
    for one, other in (devices, devices[::-1]):
        one.reset()
        for _ in range(3):
            one.train(compiled.x, compiled.y)
        one.save(tmp_path / "a.ckpt")
        other.reset()
        other.load(tmp_path / "a.ckpt")
        for name, value in one.state.items():
            if not name.endswith("_grad"):
                assert np.array_equal(other.state[name], value), name
        other.save(tmp_path / "b.ckpt")
        assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()


def test_damaged_checkpoint_changes_nothing(compiled: Case, tmp_path: Path) -> None:
    device = compiled.on("cortex-m4")
    device.save(tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    device.train(compiled.x, compiled.y)
    before = {name: value.copy() for name, value in device.state.items()}
    for bad, words in ((content[:-1], "truncated"), (content[:-1] + b"x", "damaged")):
        (tmp_path / "b.ckpt").write_bytes(bad)
        with pytest.raises(CorruptFile, match=words):
            device.load(tmp_path / "b.ckpt")
    assert all(np.array_equal(device.state[name], value) for name, value in before.items())


# ---- counts


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_counts_are_those_of_a_hook_per_instruction(compiled: Case, core: str) -> None:
    # A fresh device each time: software floats take longer or shorter with what a step left behind.
    counts, seen = [], dict[int, int]()
    for _ in range(2):
        device = compiled.on(core)
        device.train(compiled.x, compiled.y)
        counts.append((device.instructions, device.cycles, device.executions()))
    assert counts[0] == counts[1]

    def note(_: object, address: int, *__: object) -> None:
        seen[address] = seen.get(address, 0) + 1

    other = compiled.on(core)
    other._engine.hook_add(unicorn.UC_HOOK_CODE, note)
    other.train(compiled.x, compiled.y)
    instructions, _, executions = counts[0]
    assert sum(executions.values()) == instructions
    # Unicorn's hook does not see what an IT block skips; it still passes through the pipeline.
    conditional = conditional_instructions(device)
    assert core != "cortex-m0plus" or not conditional
    assert set(seen) <= set(executions)
    for address, count in executions.items():
        if address in conditional:
            assert seen.get(address, 0) <= count
        else:
            assert seen.get(address) == count, hex(address)


def conditional_instructions(device: CortexM) -> set[int]:
    """Those of IT blocks."""
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
    )
    engine.detail = True
    always = (capstone.arm.ARM_CC_AL, capstone.arm.ARM_CC_INVALID)
    return {
        insn.address
        for start, _, data in device.image.code_spans()
        for insn in engine.disasm(data, start)
        if insn.cc not in always and insn.insn_name() != "b"
    }


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m7"])
def test_profile_adds_up(compiled: Case, core: str) -> None:
    device = compiled.on(core)
    device.train(compiled.x, compiled.y)
    source = compiled.files()["net.c"].decode()
    calls = call_costs(device.line_costs, source)
    for costs in (device.line_costs, device.function_costs, calls):
        assert sum(cost.instructions for cost in costs) == device.instructions
        assert sum(cost.cycles for cost in costs) == device.cycles
    numbers = [int(cost.name.split()[0]) for cost in calls if cost.name != "rest"]
    assert numbers == list(range(len(compiled.firmware.program.entries["train"].calls)))
    names = [cost.name for cost in device.function_costs]
    assert "net_train" in names
    assert any(name.startswith("ac_linear_") for name in names)


SEQUENCE = b"""
void net_sequence(float *a);
__attribute__((naked)) void net_sequence(float *a __attribute__((unused))) {
    __asm__ volatile("movs r1, #0\\n"
                     "ldr r2, [r0]\\n"
                     "ldr r3, [r0, #4]\\n"
                     "adds r2, r2, r3\\n"
                     "str r2, [r0]\\n"
                     "1: adds r1, #1\\n"
                     "cmp r1, #3\\n"
                     "bne 1b\\n"
                     "bx lr\\n");
}
"""
FLOATS = b"""
void net_floats(float *a);
__attribute__((naked)) void net_floats(float *a __attribute__((unused))) {
    __asm__ volatile("vldr s0, [r0]\\n"
                     "vldr s1, [r0, #4]\\n"
                     "vmul.f32 s2, s0, s1\\n"
                     "vadd.f32 s3, s0, s1\\n"
                     "vadd.f32 s4, s3, s1\\n"
                     "vfma.f32 s4, s0, s1\\n"
                     "adds r0, #4\\n"
                     "vstr s2, [r0]\\n"
                     "bx lr\\n");
}
"""


@pytest.mark.parametrize(
    ("core", "cycles"),
    [
        # 1 + 2 + 2 + 1 + 2, three rounds of 1 + 1 + 1 with two branches taken, 1 + 1 to return
        ("cortex-m0plus", 8 + 9 + 2 + 2),
        # the second load overlaps the first, the store is buffered; refills of two cycles
        ("cortex-m3", 6 + 9 + 4 + 3),
        ("cortex-m4", 6 + 9 + 4 + 3),
        ("cortex-m33", 6 + 9 + 4 + 3),
    ],
)
def test_cycles_of_a_known_sequence(compiled: Case, core: str, cycles: int) -> None:
    device = compiled.on(core, sequence=SEQUENCE)
    device._invoke("net_sequence", [np.zeros(2, np.float32)], False)
    assert device.instructions == 5 + 9 + 1
    assert device.cycles == cycles


def test_cycles_of_floats(compiled: Case) -> None:
    device = compiled.on("cortex-m4", floats=FLOATS)
    device._invoke("net_floats", [np.zeros(2, np.float32)], False)
    # loads 2 + 1, product 1, sum 1, wait 1 for it, sum 1, wait 1, fused 3, add 1, wait 1 for the
    # address, store 2, return 3
    assert device.cycles == 3 + 1 + 1 + 1 + 1 + 1 + 3 + 1 + 1 + 2 + 3
    faster = compiled.on("cortex-m7", floats=FLOATS)
    faster._invoke("net_floats", [np.zeros(2, np.float32)], False)
    assert faster.instructions == device.instructions
    assert faster.cycles < device.cycles


def test_table_has_a_source(compiled: Case) -> None:
    for core in CORES:
        assert len(compiled.on(core).cycles_source) > 20


# ---- calls


def test_arguments_beyond_the_registers(compiled: Case) -> None:
    source = b"""
float net_many(float *a, float *b, float c, const float *d, float e, float *f, float *g, float h);
float net_many(float *a, float *b, float c, const float *d, float e, float *f, float *g, float h) {
    a[0] = 1.0f; b[0] = 2.0f; f[0] = d[0]; g[0] = 5.0f;
    return c * 100.0f + e * 10.0f + h;
}
"""
    for core in ("cortex-m3", "cortex-m33"):
        device = compiled.on(core, many=source)
        a, b, f, g = (np.zeros(3, np.float32) for _ in range(4))
        d = np.full(3, 4.0, np.float32)
        d.flags.writeable = False
        assert device._invoke("net_many", [a, b, 1.0, d, 2.0, f, g, 3.0], True) == 123.0
        assert [v[0] for v in (a, b, f, g)] == [1.0, 2.0, 4.0, 5.0]


SAMPLES = 1000
FUNCTIONS = {
    "expf": (np.exp, -104.0, 89.0), "expm1f": (np.expm1, -20.0, 89.0), "logf": (np.log, 0.0, 3.0),
    "log1pf": (np.log1p, -1.0, 3.0), "sinf": (np.sin, -100.0, 100.0), "cosf": (np.cos, -9.0, 9.0),
    "tanhf": (np.tanh, -10.0, 10.0), "erff": (np.vectorize(math.erf), -5.0, 5.0),
    "sqrtf": (np.sqrt, 0.0, 1e9), "floorf": (np.floor, -9.0, 9.0), "fabsf": (np.abs, -9.0, 9.0),
}  # fmt: skip


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_math_is_accurate(compiled: Case, core: str) -> None:
    """3 units in the last place, without and with an FPU, on normal and special numbers."""
    text = "#include <math.h>\n" + "".join(
        f"void net_{name}(float *y, const float *x);\nvoid net_{name}(float *y, const float *x) {{"
        f" for (int i = 0; i < {SAMPLES}; i++) y[i] = {name}(x[i]); }}\n"
        for name in FUNCTIONS
    )
    device = compiled.on(core, extra=text.encode())
    random = np.random.default_rng(7)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40, 1e-30, 3e38, 1e8, 0.7853982]
    for name, (meaning, low, high) in FUNCTIONS.items():
        x = random.uniform(low, high, SAMPLES).astype(np.float32)
        x[:500] = (x[:500] / 100).astype(np.float32)  # more of them near zero
        x[: len(special)] = special
        assert ulps(run(device, name, x), meaning, x) <= 3.0, name


def test_power_is_accurate(compiled: Case) -> None:
    text = f"""#include <math.h>
void net_powf(float *z, const float *x, const float *y);
void net_powf(float *z, const float *x, const float *y) {{
    for (int i = 0; i < {SAMPLES}; i++) z[i] = powf(x[i], y[i]);
}}
"""
    device = compiled.on("cortex-m4", extra=text.encode())
    random = np.random.default_rng(8)
    x = np.exp(random.uniform(-5, 5, SAMPLES)).astype(np.float32)
    y = random.uniform(-15, 15, SAMPLES).astype(np.float32)
    x[:200] *= -1.0
    y[:100] = np.rint(y[:100])
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, 0.5, 3.0], np.float32)
    x[-100:], y[-100:] = np.repeat(edges, 10), np.tile(edges, 10)
    assert ulps(run(device, "powf", x, y), np.power, x, y) <= 3.0


def run(device: CortexM, name: str, *inputs: np.ndarray) -> np.ndarray:
    result = np.empty(SAMPLES, np.float32)
    for value in inputs:
        value.flags.writeable = False
    device._invoke(f"net_{name}", [result, *inputs], False)
    return result


def ulps(actual: np.ndarray, meaning: Callable, *inputs: np.ndarray) -> float:
    """The largest error in units in the last place of the exact result."""
    with np.errstate(all="ignore"):
        exact = np.asarray(meaning(*(v.astype(np.float64) for v in inputs)), np.float64)
        rounded = exact.astype(np.float32)
        unit = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), 2.0**-149)
        error = np.abs(actual.astype(np.float64) - exact) / unit
    same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
    error[same] = 0.0
    return float(np.nan_to_num(error, nan=np.inf).max())


# ---- faults

FAULTS = b"""#include <stdint.h>
void net_wild(float *a);
void net_wild(float *a) {
    a[0] = *(volatile float *)(uintptr_t)0x3000000Cu;
}
void net_flash(float *a);
void net_flash(float *a) {
    *(volatile float *)(uintptr_t)0x08000000u = a[0];
}
void net_null(float *a);
void net_null(float *a) {
    void (*volatile f)(void) = (void (*)(void))(uintptr_t)0x1u;
    f();
    a[0] = 0.0f;
}
void net_ever(float *a);
void net_ever(float *a) {
    for (volatile int i = 1; i;) {
        a[0] = 1.0f;
    }
}
void net_undefined(float *a);
void net_undefined(float *a) {
    __asm__ volatile(".inst.n 0xde00");
    a[0] = 1.0f;
}
"""


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m7"])
@pytest.mark.parametrize(
    ("function", "what", "where"),
    [
        ("wild", "reads memory at 0x3000000c: there is none", "faults.c:4 in net_wild"),
        ("flash", "writes read-only memory at 0x08000000", "faults.c:8 in net_flash"),
        ("null", "jumps to memory at 0x00000000", "called from faults.c:13 in net_null"),
        ("ever", "did not end after 3 000 0", "faults.c:1"),
        ("undefined", "meets an undefined instruction", "faults.c:24 in net_undefined"),
    ],
)
def test_fault_names_the_line(
    compiled: Case, core: str, function: str, what: str, where: str
) -> None:
    device = compiled.on(core, limit=3_000_000, faults=FAULTS)
    with pytest.raises(SimulationFault) as caught:
        device._invoke(f"net_{function}", [np.zeros(1, np.float32)], False)
    assert core in caught.value.what
    assert what in caught.value.what
    assert where in (caught.value.where or "")
    assert math.isfinite(device.train(compiled.x, compiled.y))  # it goes on afterwards


def test_unknown_processor_and_memories(compiled: Case) -> None:
    with pytest.raises(BadOption, match="did you mean 'cortex-m4'"):
        build(compiled.files(), "cortex-m44")
    with pytest.raises(BadOption, match="no memory can be written"):
        build(compiled.files(), "cortex-m4", [PlainMemory("flash", 0, 65536, writable=False)])


def test_too_small_memories(compiled: Case) -> None:
    flash = PlainMemory("flash", 0, 65536, writable=False)
    with pytest.raises(DoesNotFit, match=r"does not fit ram of 256 B\n  found: \d+ B over"):
        build(compiled.files(), "cortex-m4", [flash, PlainMemory("ram", 0x2000_0000, 256)])
    with pytest.raises(DoesNotFit, match="less than 4096 B left for the stack"):
        build(compiled.files(), "cortex-m4", [flash, PlainMemory("ram", 0x2000_0000, 4096)])


def test_memories_of_a_device(compiled: Case) -> None:
    """Code in RAM where there is no flash, flash at 0, sizes that are no power of two."""
    ram, flash = PlainMemory("ram", 0x2000_0000, 50_000), PlainMemory("flash", 0, 65_536, False)
    expected = compiled.firmware.run("host").train(compiled.x, compiled.y)
    for memories in ([ram], [flash, ram], [PlainMemory("ccm", 0x1000_0000, 8192), ram, flash]):
        image = build(compiled.files(), "cortex-m4", memories)
        device = CortexM(compiled.firmware.program, image, "cortex-m4", memories, 0.1)
        assert_same(device.train(compiled.x, compiled.y), expected, "loss")
