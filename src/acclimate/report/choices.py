# SPDX-License-Identifier: Apache-2.0
"""Names of training steps: `last-2`, `head`, `all+page-75`, and what each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from acclimate.capture import UpdatePolicy
from acclimate.errors import BadOption, nearest
from acclimate.policy import All, BiasOnly, Head, Last
from acclimate.policy.draft import Draft

OWN = "own"  # what learns without any point: the policy of the user, or what requires grad
LEVELS = (75, 50)  # percent of the arena that may be left
# What happens to activations that are not kept: `either` is the cheaper of the two for each.
WAYS = ("recompute", "page", "either")
_FIXED: Mapping[str, UpdatePolicy] = {
    "all": All(),
    "bias": BiasOnly(),
    "bias-head": BiasOnly(head=True),
    "head": Head(),
}
_LAST = re.compile(r"last-([1-9]\d*)")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_LESS = re.compile(rf"(?P<base>.+)\+(?P<way>{'|'.join(WAYS)})(?:-(?P<percent>[1-9]\d?))?")


@dataclass(frozen=True)
class Choice:
    """What learns, and what happens to activations that are not kept.

    Args:
        name: that can be typed.
        update: what learns; None for what requires grad.
        recompute: as for `compile`: `never`, `auto`, or a share of the arena such as `75%`.
        page: as for `compile`, alike.
    """

    name: str
    update: UpdatePolicy | None
    recompute: str = "never"
    page: str = "never"

    def less(self, way: str, percent: int | None = None) -> Choice:
        """The same with less RAM.

        Args:
            way: of `WAYS`.
            percent: of the arena that is left; None for as much as the device has.
        """
        name = f"{self.name}+{way}" + ("" if percent is None else f"-{percent}")
        much = "auto" if percent is None else f"{percent}%"
        return Choice(
            name,
            self.update,
            recompute="never" if way == "page" else much,
            page="never" if way == "recompute" else much,
        )


def find_choice(
    name: str, plans: Mapping[str, UpdatePolicy], own: UpdatePolicy | None = None
) -> Choice:
    """What a name stands for.

    Args:
        name: `all`, `last-2`, `head`, `bias`, `bias-head`, `own` or a key of `plans`; with
            `+recompute-75` behind it activations are computed again, with `+page-75` they wait in
            another memory, with `+either-75` the cheaper of both; without a number as far as the
            device needs it.
        plans: further policies by name.
        own: policy of the name `own`.

    Raises:
        BadOption: there is no such name; suggests the nearest one.
    """
    less = _LESS.fullmatch(name)
    base = less["base"] if less else name
    last = _LAST.fullmatch(base)
    known = {OWN: own, **_FIXED, **plans}
    if base not in known and not last:
        bases = [*known, "last-2"]
        ends = [f"{way}-{level}" for way in WAYS for level in LEVELS]
        names = [*bases, *(f"{base}+{end}" for base in bases for end in ends)]
        raise BadOption(f"there is no point {name!r}", hint=nearest(name, names))
    choice = Choice(base, Last(int(last[1])) if last else known[base])
    if not less:
        return choice
    return choice.less(less["way"], int(less["percent"]) if less["percent"] else None)


def check_plans(plans: Mapping[str, UpdatePolicy]) -> None:
    """Policies of the user need names of their own.

    Raises:
        BadOption: a name is taken or cannot be typed, or a value is no policy.
    """
    for name, policy in plans.items():
        text = str(name)
        if text in (OWN, *_FIXED) or _LAST.fullmatch(text):
            raise BadOption(f"plans: {text!r} has a meaning already", hint=f"'my-{text}'")
        if not _NAME.fullmatch(text):
            raise BadOption(f"plans: {text!r} is not a name", hint="letters, digits, - _ and .")
        if not hasattr(policy, "choose"):
            raise BadOption(
                f"plans: {text!r} is not an update policy",
                found=repr(policy),
                hint=f"plans={{{text!r}: ac.Layers('fc1')}}",
            )


def list_choices(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    plans: Mapping[str, UpdatePolicy],
    own: UpdatePolicy | None = None,
) -> list[Choice]:
    """Everything that may learn, from most to least, then the user's: without recomputing.

    Args:
        model: of the user.
        inputs: of one example.
        plans: further policies by name.
        own: what learns without a point.
    """
    names = ["all", *(f"last-{k}" for k in _depths(model, inputs)), "head", "bias-head", "bias"]
    return [find_choice(name, plans, own) for name in [*names, *plans, OWN]]


def _depths(model: nn.Module, inputs: tuple[Tensor, ...]) -> Iterator[int]:
    """2, 4, 8, ... of the layers with weights, the deepest first; one is the head, all is all."""
    layers = sum(layer.weighted for layer in Draft(model, inputs).layers)
    depths = [2**power for power in range(1, layers.bit_length()) if 2**power < layers]
    yield from reversed(depths)
