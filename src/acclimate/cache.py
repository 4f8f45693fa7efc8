# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, and the user's cache folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The user's cache of acclimate; ACCLIMATE_CACHE names another place for it."""
    named = os.environ.get("ACCLIMATE_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("acclimate"))


def cache_folder(*parts: str) -> Path:
    """A folder in the cache, made if it is not there."""
    folder = cache_root().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file such that a reader sees the old bytes or the new ones, never a part."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a new file beside `path` which takes its place at the end, or is gone on an error."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
