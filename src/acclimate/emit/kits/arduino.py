# SPDX-License-Identifier: Apache-2.0
"""The kit `arduino`: a library with an example sketch.

Source: Arduino library specification, format 1.5 revision 2.2.
"""

from __future__ import annotations

from acclimate.emit import example
from acclimate.emit.kits.kit import Kit, Tree
from acclimate.emit.ports import cores_of
from acclimate.emit.render import render
from acclimate.errors import BadOption
from acclimate.plan import Plan
from acclimate.program import Program
from acclimate.targets import Target

_SKETCH = "examples/Learn/Learn.ino"  # a sketch has the name of its folder
_NAME_LENGTH = 63
_STATUSES = ("OK", "NOT_A_CHECKPOINT", "OTHER_MODEL", "DAMAGED")


def _files(tree: Tree) -> dict[str, bytes]:
    items = example.items(tree.program)
    name = tree.program.name
    guard = name.upper()
    more = {
        "items": items,
        "calls": example.calls(tree.program, {item.name: f"data.{item.name}" for item in items}),
        "library": name.strip("_")[:_NAME_LENGTH] or "model",  # begins with a letter or digit
        "types": (f"{name}_read_fn", f"{name}_write_fn"),
        "functions": (
            *(f"{name}_{entry}" for entry in ("init", *tree.program.entries, "save", "load")),
        ),
        "constants": (
            *(f"{guard}_{part}" for part in ("ARENA_BYTES", "CHECKPOINT_BYTES")),
            *(f"{guard}_{item.name.upper()}_SIZE" for item in items),
            *(f"{guard}_{status}" for status in _STATUSES),
        ),
    }
    files = {f"src/{path}": content for path, content in tree.library.items()}
    for path in ("library.properties", "keywords.txt", "README.md"):
        files[path] = render(f"arduino/{path}.jinja", tree.variables, **more)
    files[_SKETCH] = render("arduino/Learn.ino.jinja", tree.variables, **more)
    return files


def _check(program: Program, plan: Plan, target: Target) -> None:
    cores = cores_of(plan)
    if cores > 1:
        raise BadOption(
            f"the kit arduino is for one core; {program.name} was compiled for {cores}",
            found=f"target {target.machine}",
            hint=f"ac.compile(..., target={target.name!r}, cores=1)",
        )


ARDUINO = Kit("arduino", _files, _check, weights=("c",))
