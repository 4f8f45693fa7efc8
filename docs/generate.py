# SPDX-License-Identifier: Apache-2.0
"""Writes operators.md and targets.md from the declarations: `python docs/generate.py`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from acclimate.capture import LOSSES
from acclimate.capture.decompose import BEFORE_AUTOGRAD
from acclimate.kernels import OPS
from acclimate.kernels.copy.op import COPY
from acclimate.kernels.op import Kernel, Op, Operand
from acclimate.lower import OPTIMIZERS, RULES
from acclimate.targets import FEATURES, PROCESSORS, Target, find_target, size_text, target_names

_HEAD = """\
# Supported operators

Written by `docs/generate.py` from the declarations; do not edit.

A model may use every PyTorch module and function that PyTorch breaks down into the ATen operators
of the first table; operators that PyTorch itself defines by others of the table work as well. Each
has forward and backward, any batch size, float32. The second table is what they are computed with;
those on `u8` and `s8` compute [frozen layers](quantization.md).

Written in others before autograd, which then differentiates those: {before}.
"""

_TARGETS_HEAD = """\
# Targets

Written by `docs/generate.py` from the files in `src/acclimate/targets`; do not edit.

A target says what a device is: processor, cores, clock, memories, and where each of these figures
comes from. `acclimate targets` lists them, `acclimate targets gap9` shows one in full, and
`--target gap9` compiles for it. Sizes in KiB are multiples of 1024 B.

Power is the mean of the running chip at that clock, as its source says. Energy is this power times
the time of the counted cycles: an estimate, since power depends on what is running. Where no
figure could be vouched for, power is left out, and no energy is given.
"""

_OWN_FILE = """\
## Your own device

Write a file that ends in `.toml` and give its path instead of a name, as in
`--target boards/my_board.toml`. The name of the file is the name of the target.

```toml
# my_board.toml
description = "my board: one Cortex-M4F at 120 MHz"
simulator = "cortex_m"
processor = "cortex-m4"
features = ["fpu"]
cores = { value = 1, source = "data sheet, page 1" }
clock_hz = { value = 120_000_000, source = "our clock tree, main.c" }
power_mw = { value = 55.0, source = "measured at 3.3 V while training" }

[[memory]]
name = "ram"
address = 0x2000_0000
size_bytes = { value = 262144, source = "data sheet, table 2" }
reserved_bytes = { value = 16384, source = "our linker script: stack and application" }
latency_cycles = { value = 1, source = "data sheet, section 3.4" }

[[memory]]
name = "flash"
address = 0x0800_0000
size_bytes = { value = 1048576, source = "data sheet, table 2" }
reserved_bytes = { value = 131072, source = "our linker script: program code" }
latency_cycles = { value = 5, source = "reference manual: 4 wait states" }
writable = false
```

Every figure is a value with its source; a figure without source is an error, and so is one that
cannot be. `clock_hz` and `power_mw` may be left out. Memories stand fastest first. Addresses are
those of the device. `reserved_bytes` is for stacks, code and the application, and never used for
the data of the model.

A device of the simulated cluster has two memories, `l1` at 0x10000000 and `l2` at 0x1C000000, where
the simulator has them, and one more table:

```toml
[cluster]
banks = { value = 16, source = "..." }              # of l1, a power of two
fpus = { value = 4, source = "..." }                # divides the cores: core i uses i modulo fpus
fpu_latency = { value = 1, source = "..." }         # pipeline registers; 0 and 1 can be simulated
dma_bytes_per_cycle = { value = 8, source = "..." } # a multiple of 4
dma_queue = { value = 16, source = "..." }          # commands that wait
icache_bytes = { value = 512, source = "..." }      # per core, a multiple of 64; 0: an ideal cache
icache_miss_cycles = { value = 8, source = "..." }  # 0 only for an ideal cache
```

A cluster may have a third memory behind both, such as a RAM on a serial bus. No core reads it;
activations wait there where `l2` is too small ([memories.md](memories.md)). Of the targets here
`gap9` has one, that of its evaluation kit. `vega` has none: its 4 MB of MRAM are for what stays,
such as weights and code. Any other cluster gets one with a further table:

```toml
[l3]
size_bytes = { value = 8388608, source = "..." }  # at most 64 MiB
reserved_bytes = { value = 0, source = "..." }
setup_cycles = { value = 500, source = "..." }    # of each copy before its first byte
bytes_per_cycle = { value = 0.9, source = "..." } # of a copy either way; one runs at a time
```
"""

_FEATURE_MEANINGS = {
    "fpu": "single-precision floating point",
    "simd": "vectors of floats",
    "xpulp": "hardware loops and loads with post-increment",
    "f16": "half-precision floating point",
    "float_registers": "floats in registers of their own, F instead of Zfinx",
}


def _before() -> str:
    """Operators that are written in others before autograd."""
    names = {str(op).removeprefix("aten.").partition(".")[0] for op in BEFORE_AUTOGRAD}
    return ", ".join(f"`{name}`" for name in sorted(names))


def operators() -> str:
    """The page of the operators as Markdown."""
    families: dict[str, set[str]] = defaultdict(set)
    for rule in RULES.values():
        families[rule.family].add(rule.aten.removeprefix("prims.").partition(".")[0])
    lines = [
        _HEAD.format(before=_before()),
        "## ATen operators\n",
        "| family | operators |",
        "|---|---|",
    ]
    for family, names in sorted(families.items()):
        lines.append(f"| {family} | {', '.join(f'`{name}`' for name in sorted(names))} |")
    lines += [
        "\n## Kernels\n",
        "| operator | meaning | signature | variants |",
        "|---|---|---|---|",
    ]
    for op in OPS:
        variants = "<br>".join(_variant(kernel) for kernel in op.kernels)
        lines.append(f"| `{op.name}` | {op.doc} | {_signature(op)} | {variants or _without(op)} |")
    lines += ["\n## Losses\n", ", ".join(f"`{name}`" for name in LOSSES)]
    lines += ["\nor any function of (outputs, target) that returns a scalar."]
    lines += ["\n## Optimizers\n", ", ".join(f"`{name}`" for name in OPTIMIZERS)]
    return "\n".join(lines) + "\n"


def _without(op: Op) -> str:
    """What computes an operator that has no kernel."""
    return "the DMA, by `ac_copy_in` and `ac_copy_out`" if op is COPY else "generated"


def _variant(kernel: Kernel) -> str:
    needs = ", ".join(sorted(kernel.needs))
    return f"`{kernel.symbol}`" + (f" (needs {needs})" if needs else "")


def _signature(op: Op) -> str:
    signature = op.signature
    if op is COPY:
        return "rows at any distance"
    if not signature.inputs:
        return "any strides, broadcasting"

    def text(operands: tuple[Operand, ...]) -> str:
        return ", ".join(
            f"{o.name}[{','.join(o.dims)}]"
            f"{'' if o.dtype == 'f32' else f':{o.dtype}'}{'?' if o.optional else ''}"
            for o in operands
        )

    return f"`{text(signature.inputs)} -> {text(signature.outputs)}`"


def targets() -> str:
    """The page of the targets as Markdown."""
    devices = [find_target(name) for name in target_names()]
    lines = [_TARGETS_HEAD]
    lines += [
        "| target | device | processor | clock [MHz] | memories | power [mW] | simulator |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_target_row(device) for device in devices]
    lines += [
        "",
        _OWN_FILE,
        "| simulator | processors and the features each may have |",
        "|---|---|",
    ]
    for simulator, processors in PROCESSORS.items():
        allowed = "<br>".join(
            f"`{name}`: {', '.join(f for f in FEATURES if f in features) or 'none'}"
            for name, features in processors.items()
        )
        lines.append(f"| `{simulator}` | {allowed} |")
    meanings = "; ".join(f"`{name}` is {_FEATURE_MEANINGS[name]}" for name in FEATURES)
    lines += [f"\n{meanings}.", "\n## Every figure with its source"]
    for device in devices:
        features = ", ".join(sorted(device.features)) or "none"
        lines += [f"\n### {device.name}\n", f"{device.description}. Features: {features}.\n"]
        lines += ["| figure | value | source |", "|---|---|---|"]
        lines += [f"| `{f.name}` | {f.text} | {_cell(f.source)} |" for f in device.figures()]
    return "\n".join(lines) + "\n"


def _target_row(target: Target) -> str:
    sizes = [(memory.name, memory.size_bytes) for memory in target.memories]
    sizes += [("l3", target.l3.size_bytes)] if target.l3 else []
    memories = "<br>".join(f"{name} {size_text(size)}" for name, size in sizes)
    cells = (
        f"[{target.name}](#{target.name})",
        _cell(target.description),
        f"{target.cores} x {target.processor}",
        f"{target.clock_hz / 1e6:g}" if target.clock_hz else "",
        memories,
        f"{target.power_mw:g}" if target.power_mw else "",
        target.simulator,
    )
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "operators.md").write_text(operators())
    (folder / "targets.md").write_text(targets())
