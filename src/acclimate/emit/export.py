# SPDX-License-Identifier: Apache-2.0
"""Writes a set of files into a folder: all of them or none."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from acclimate.errors import BadOutput


def export_files(files: Mapping[str, bytes], folder: Path, *, force: bool = False) -> Path:
    """Replaces a folder by one with these files.

    The files are written beside it first and take its place at the end, so an error, a full disk or
    Ctrl-C leaves the folder as it was.

    Raises:
        BadOutput: the folder holds files that acclimate did not write, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise BadOutput(f"{folder.name} is a file", hint="choose a folder that does not exist yet")
    strangers = _strangers(folder)
    if strangers and not force:
        raise BadOutput(
            f"the folder {folder.name} holds other things",
            found=", ".join(strangers[:5]),
            hint=f"--out {folder.name}/c, or --force to replace the folder",
        )
    staging: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        for name, content in files.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        staging.chmod(0o755)
        _swap(staging, folder)
    except OSError as error:
        raise BadOutput(
            f"cannot write {folder.name}", found=str(error), hint="check space and rights"
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def _swap(staging: Path, folder: Path) -> None:
    """Moves the new folder into place; the old one goes last."""
    if not folder.exists():
        staging.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    folder.rename(old / folder.name)
    try:
        staging.rename(folder)
    except BaseException:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _strangers(folder: Path) -> list[str]:
    """Files in the folder that its manifest does not list."""
    if not folder.is_dir():
        return []
    try:
        known = set(json.loads((folder / "manifest.json").read_text())["files"]) | {"manifest.json"}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return sorted(present - known)
