# SPDX-License-Identifier: Apache-2.0
"""From a name on the command line to a target: a built-in one, or the user's own file."""

from __future__ import annotations

from pathlib import Path

from acclimate.errors import BadOption, nearest
from acclimate.targets.load import load_target
from acclimate.targets.targets import Target

_FOLDER = Path(__file__).parent
_FIRST = ("host", "portable")  # before the devices


def target_names() -> list[str]:
    """Names of the built-in targets: this machine first, then the devices by name."""
    names = {path.stem for path in _FOLDER.glob("*.toml")}
    return [*_FIRST, *sorted(names - set(_FIRST))]


def find_target(name_or_path: str | Path) -> Target:
    """Loads a target.

    Args:
        name_or_path: a built-in target, or a file that ends in .toml.

    Raises:
        BadOption: no built-in target has that name.
        BadTarget: something in the file is missing, unknown or impossible.
    """
    if str(name_or_path).endswith(".toml"):
        return load_target(Path(name_or_path))
    name = str(name_or_path)
    if name not in target_names():
        hint = f"{nearest(name, target_names())}; or a file that ends in .toml"
        raise BadOption(f"unknown target {name!r}", hint=hint)
    return load_target(_FOLDER / f"{name}.toml")
