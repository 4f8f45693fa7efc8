# SPDX-License-Identifier: Apache-2.0
"""Program -> program, one file each. The order is a list with reasons."""

from __future__ import annotations

from collections.abc import Callable

from acclimate.program import Program

Pass = Callable[[Program], tuple[Program, list[str]]]

PASSES: tuple[Pass, ...] = ()
