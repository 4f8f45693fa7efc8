# SPDX-License-Identifier: Apache-2.0
"""Checks of the options of `compile` that need no look at the model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from acclimate.errors import BadOption, nearest
from acclimate.lower import ENTRIES, Regularizer

_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main arena ac"
)
_RESERVED = frozenset(_WORDS.split())


def check_names(name: str, entries: Sequence[str]) -> None:
    """Checks the prefix of the C symbols and the entry points.

    Raises:
        BadOption: no C identifier in lower case, or no such entry point.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name in _RESERVED:
        raise BadOption(
            f"the prefix {name!r} is not a C identifier in lower case",
            hint=f"name={_identifier(name)!r}",
        )
    for entry in entries:
        if entry not in ENTRIES:
            raise BadOption(f"unknown entry point {entry!r}", hint=nearest(entry, ENTRIES))
    if ("accumulate" in entries) != ("apply" in entries):
        raise BadOption(
            "accumulate and apply need each other",
            found=", ".join(entries),
            hint="entries=('predict', 'accumulate', 'apply')",
        )


def check_regularizer(regularizer: object, entries: Sequence[str]) -> None:
    """Checks that something learns that can be held.

    Raises:
        BadOption: no regularizer, or nothing learns.
    """
    if regularizer is None:
        return
    if not isinstance(regularizer, Regularizer):
        raise BadOption(
            "that is no regularizer",
            found=repr(regularizer),
            hint="regularizer=ac.EWC(strength=100)",
        )
    if "train" not in entries and "apply" not in entries:
        raise BadOption(
            "a regularizer needs an entry point that learns",
            found=", ".join(entries),
            hint="entries=('predict', 'train')",
        )


def _identifier(name: str) -> str:
    text = re.sub(r"\W+", "_", name.lower()).strip("_")
    return f"net_{text}".rstrip("_") if not text or text[0].isdigit() or text in _RESERVED else text
