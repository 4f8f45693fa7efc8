# SPDX-License-Identifier: Apache-2.0
"""The options that `compile`, `run` and `report` share, and the way from them to a firmware."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli.console import working
from acclimate.cli.user_file import Task, load_task
from acclimate.errors import BadOption

if TYPE_CHECKING:
    from acclimate.firmware import Firmware

EXAMPLE = """\
**FILE.py:FUNCTION** names a function without arguments that returns the model and one batch:

    def make():                                   # kws.py
        model = KeywordNet()
        model.requires_grad_(False)
        model.fc1.requires_grad_(True)            # what requires grad learns
        x, y = torch.zeros(1, 1, 49, 10), torch.zeros(1, dtype=torch.long)
        return model.eval(), (x, y)

It may also return `(model, (x, y), {"loss": "mse"})`, or a dict with the keys model, example and
any keyword of `acclimate.compile`; `plans` adds update policies by name to those that
`acclimate plan` tries. Options of the command line win.
"""

Spec = Annotated[
    str, typer.Argument(metavar="FILE.py:FUNCTION", help="Function that makes model and example.")
]
Target = Annotated[str | None, typer.Option(help="A device of `acclimate targets`.")]
Loss = Annotated[
    str | None,
    typer.Option(help="cross_entropy, mse, l1, huber, smooth_l1, berhu, bce_with_logits."),
]
Optimizer = Annotated[str | None, typer.Option(help="sgd, adam or adamw.")]
Rate = Annotated[
    float | None, typer.Option(help="Default learning rate; the C takes it as an argument.")
]
Name = Annotated[
    str | None, typer.Option(help="Prefix of every C symbol; by default that of FILE.")
]
Entries = Annotated[
    str | None, typer.Option(help="Functions to write: predict,train,accumulate,apply.")
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="ram=48kB, or a size per memory, l1=32kB,l2=1MB; ms=20 and mj=0.5 limit a step by"
        " estimate. An error if it needs more."
    ),
]
Recompute = Annotated[
    str | None,
    typer.Option(
        help="auto: compute activations again if the RAM budget needs it; 75%: until the arena is"
        " that much of what it was; or names of modules, conv1,conv2, whose activations are"
        " dropped."
    ),
]
Page = Annotated[
    str | None,
    typer.Option(
        help="auto: activations wait in another memory of the device if the arena needs it; 75%:"
        " until it is that much of what it was. With --recompute, the cheaper of both."
    ),
]
Point = Annotated[
    str | None,
    typer.Option(help="A point of `acclimate plan`: what learns, e.g. last-2, all+page-75."),
]
Kit = Annotated[str, typer.Option(help="Kind of project: cmake, pulp-sdk or arduino.")]
Modules = Annotated[
    str | None,
    typer.Option(
        help="Modules of the learning loop whose C goes with the model, store,guard; adapt,listen"
        " add a whole firmware where the model has features of sound."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHORT_NAMES = ("ac", "arena", "main")  # taken in C


@dataclass(frozen=True)
class Choices:
    """Options of the command line; None where the user's file or the default decides."""

    target: str | None = None
    loss: str | None = None
    optimizer: str | None = None
    lr: float | None = None
    name: str | None = None
    entries: str | None = None
    budget: str | None = None
    recompute: str | None = None
    point: str | None = None
    page: str | None = None


def load_with(spec: str, choices: Choices) -> Task:
    """The user's model with the options of the command line.

    Raises:
        AcclimateError: the file, its function or an option is not what it should be.
    """
    with working(f"loading {spec}"):
        task = load_task(spec)
        return replace(task, options=_options(task, choices))


def compile_task(task: Task) -> Firmware:
    """Compiles a task."""
    import acclimate

    with working(f"compiling {task.options['name']}"):
        return acclimate.compile(task.model, example=task.example, **task.options)


def _options(task: Task, choices: Choices) -> dict[str, Any]:
    from acclimate.lower import find_optimizer

    options = dict(task.options)
    stem = task.file.stem.lower()
    usable = re.fullmatch(r"[a-z_][a-z0-9_]*", stem) and stem not in _SHORT_NAMES
    options.setdefault("name", stem if usable else "net")
    for key in ("target", "loss", "name"):
        if (value := getattr(choices, key)) is not None:
            options[key] = value
    if choices.optimizer is not None or choices.lr is not None:
        rule: Any = find_optimizer(choices.optimizer or options.get("optimizer", "sgd"))
        options["optimizer"] = rule if choices.lr is None else replace(rule, lr=choices.lr)
    if choices.entries is not None:
        options["entries"] = tuple(part.strip() for part in choices.entries.split(","))
    if choices.budget is not None:
        options["budget"] = _budget(choices.budget)
    if choices.recompute is not None:
        options["recompute"] = _recompute(choices.recompute)
    if choices.page is not None:
        options["page"] = choices.page
    if choices.point is not None:
        options |= _point(task, choices)
    return options


def _point(task: Task, choices: Choices) -> dict[str, Any]:
    """What learns and what is computed again, by the name of both."""
    from acclimate.report.choices import find_choice

    base = str(choices.point).partition("+")[0]
    for way, asked in (("recompute", choices.recompute), ("page", choices.page)):
        if asked is not None:
            raise BadOption(
                "a point says what is computed again or paged",
                found=f"--point {choices.point} --{way} {asked}",
                hint=f"--point {base}+{way}-75",
            )
    found = find_choice(str(choices.point), task.plans, task.options.get("update"))
    return {"update": found.update, "recompute": found.recompute, "page": found.page}


def _recompute(text: str) -> str | list[str]:
    """`auto`, `never`, `75%`, or `conv1,conv2` -> ["conv1", "conv2"]."""
    if text in ("auto", "never") or text.endswith("%"):
        return text
    return [part.strip() for part in text.split(",")]


def _budget(text: str) -> dict[str, str]:
    """`ram=48kB,ms=20` -> {"ram": "48kB", "ms": "20"}."""
    found = {}
    for part in text.split(","):
        name, equals, size = part.partition("=")
        if not equals or not size:
            raise BadOption(f"the budget {part!r} names no size", hint="--budget ram=48kB")
        found[name.strip()] = size.strip()
    return found
