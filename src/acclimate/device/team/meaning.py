# SPDX-License-Identifier: Apache-2.0
"""How team.c cuts work into parts."""

from __future__ import annotations

MOST = 16


def begin(count: int, part: int, parts: int) -> int:
    """Where a part of `count` things begins: the first `count % parts` have one more."""
    return part * (count // parts) + min(part, count % parts)
