# SPDX-License-Identifier: Apache-2.0
"""Targets: what a device is, one TOML file each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from acclimate.errors import BadOption, nearest

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """A device.

    Args:
        name: of its file.
        description: one line.
        cores: that run a step together.
        features: what kernels may need, e.g. `simd`.
        simulator: what answers for it.
    """

    name: str
    description: str
    cores: int
    features: frozenset[str]
    simulator: str


def target_names() -> list[str]:
    """Names of all targets."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def find_target(name: str) -> Target:
    """Loads a target.

    Raises:
        BadOption: no target has that name.
    """
    if name not in target_names():
        raise BadOption(f"unknown target {name!r}", hint=nearest(name, target_names()))
    table = tomllib.loads((_FOLDER / f"{name}.toml").read_text())
    return Target(
        name=table["name"],
        description=table["description"],
        cores=table["cores"],
        features=frozenset(table["features"]),
        simulator=table["simulator"],
    )
