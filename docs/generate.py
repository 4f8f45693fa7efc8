# SPDX-License-Identifier: Apache-2.0
"""Writes docs/operators.md from the declarations: `python docs/generate.py`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from acclimate.capture import LOSSES
from acclimate.kernels import OPS
from acclimate.kernels.op import Kernel, Op, Operand
from acclimate.lower import OPTIMIZERS, RULES

_HEAD = """\
# Supported operators

Written by `docs/generate.py` from the declarations; do not edit.

A model may use every PyTorch module and function that PyTorch breaks down into the ATen operators
of the first table; operators that PyTorch itself defines by others of the table work as well. Each
has forward and backward, any batch size, float32. The second table is what they are computed with.
"""


def operators() -> str:
    """The page as Markdown."""
    families: dict[str, set[str]] = defaultdict(set)
    for rule in RULES.values():
        families[rule.family].add(rule.aten.removeprefix("prims.").partition(".")[0])
    lines = [_HEAD, "## ATen operators\n", "| family | operators |", "|---|---|"]
    for family, names in sorted(families.items()):
        lines.append(f"| {family} | {', '.join(f'`{name}`' for name in sorted(names))} |")
    lines += [
        "\n## Kernels\n",
        "| operator | meaning | signature | variants |",
        "|---|---|---|---|",
    ]
    for op in OPS:
        variants = "<br>".join(_variant(kernel) for kernel in op.kernels)
        lines.append(f"| `{op.name}` | {op.doc} | {_signature(op)} | {variants or 'generated'} |")
    lines += ["\n## Losses\n", ", ".join(f"`{name}`" for name in LOSSES)]
    lines += ["\nor any function of (outputs, target) that returns a scalar."]
    lines += ["\n## Optimizers\n", ", ".join(f"`{name}`" for name in OPTIMIZERS)]
    return "\n".join(lines) + "\n"


def _variant(kernel: Kernel) -> str:
    needs = ", ".join(sorted(kernel.needs))
    return f"`{kernel.symbol}`" + (f" (needs {needs})" if needs else "")


def _signature(op: Op) -> str:
    signature = op.signature
    if not signature.inputs:
        return "any strides, broadcasting"

    def text(operands: tuple[Operand, ...]) -> str:
        return ", ".join(
            f"{o.name}[{','.join(o.dims)}]{'?' if o.optional else ''}" for o in operands
        )

    return f"`{text(signature.inputs)} -> {text(signature.outputs)}`"


if __name__ == "__main__":
    (Path(__file__).parent / "operators.md").write_text(operators())
