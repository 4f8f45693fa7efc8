# SPDX-License-Identifier: Apache-2.0
"""Fetches the Speech Commands test set into the cache: `acclimate data get speech-commands`.

A stopped download goes on where it stopped; a file is used only after its SHA-256 is right; the
folder appears in one step, complete, so that another process never sees a part of it.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TransferSpeedColumn

from acclimate.cache import cache_root
from acclimate.data.speech_commands import ARCHIVE_NAME
from acclimate.errors import CorruptFile, DataError

_BLOCK_BYTES = 1 << 18
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Archive:
    """A file on the network that never changes."""

    url: str
    sha256: str
    size_bytes: int


# Size and checksum: tensorflow/datasets, tensorflow_datasets/url_checksums/speech_commands.txt.
SPEECH_COMMANDS_TEST = Archive(
    url="http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
    sha256="cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
    size_bytes=112_563_277,
)


def get_speech_commands(
    archive: Archive = SPEECH_COMMANDS_TEST,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Downloads, checks and unpacks the test set, unless it is there already.

    Args:
        archive: what to fetch.
        cache: folder to put it in; by default `cache_root()`.
        console: shows the progress; by default stderr.

    Returns:
        The folder with one folder of WAV files per class.

    Raises:
        DataError: the network fails, or the disk is not writable.
        CorruptFile: the checksum is wrong, or the archive is damaged; the file is removed.
    """
    cache = cache if cache is not None else cache_root()
    folder = cache / ARCHIVE_NAME
    if folder.is_dir():
        return folder
    part = cache / f"{ARCHIVE_NAME}.tar.gz.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        fetch(archive, part, console or Console(stderr=True))
        check_sha256(part, archive.sha256)
        unpack(part, folder)
        part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            "the download cannot be stored",
            found=str(error),
            where=str(cache),
            hint="ACCLIMATE_CACHE=/a/folder/with/250/MB acclimate data get speech-commands",
        ) from error
    return folder


def fetch(archive: Archive, part: Path, console: Console) -> None:
    """Downloads to `part`; continues a file that is there already.

    Raises:
        DataError: no connection, an answer that is not the file, or one that stops early. What has
            arrived is kept for the next try.
    """
    have_bytes = part.stat().st_size if part.exists() else 0
    if have_bytes == archive.size_bytes:
        return
    request = urllib.request.Request(archive.url)
    if 0 < have_bytes < archive.size_bytes:
        request.add_header("Range", f"bytes={have_bytes}-")
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with (
            urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer,
            Progress(*columns, console=console) as progress,
        ):
            resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            task = progress.add_task("speech commands", total=archive.size_bytes)
            progress.update(task, completed=have_bytes if resumed else 0)
            with part.open("ab" if resumed else "wb") as file:
                _copy(answer, file, progress, task)
    except urllib.error.HTTPError as error:
        error.close()
        raise _no_network(archive, f"HTTP {error.code} {error.reason}") from error
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise _no_network(archive, str(getattr(error, "reason", error))) from error
    if (size := part.stat().st_size) < archive.size_bytes:
        raise _no_network(archive, f"the connection ended after {size} of {archive.size_bytes} B")


def _copy(answer: IO[bytes], file: IO[bytes], progress: Progress, task: TaskID) -> None:
    while block := answer.read(_BLOCK_BYTES):
        file.write(block)
        progress.advance(task, len(block))


def _no_network(archive: Archive, found: str) -> DataError:
    return DataError(
        "Speech Commands cannot be downloaded",
        found=found,
        where=archive.url,
        hint="run the command again where there is a network, it goes on where it stopped; or set "
        "ACCLIMATE_DATA; without either, speech is synthesized (pip install 'acclimate[speech]')",
    )


def check_sha256(path: Path, expected: str) -> None:
    """Removes the file and raises CorruptFile if its SHA-256 is another one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        path.unlink()
        raise CorruptFile(
            f"the download has the wrong checksum, not sha256 {expected}",
            found=f"sha256 {found}",
            where=str(path),
            hint="acclimate data get speech-commands",
        )


def unpack(archive: Path, folder: Path) -> None:
    """Extracts a .tar.gz beside `folder`, then renames it to that in one step.

    Raises:
        CorruptFile: damaged, or it wants to write outside its folder.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        fresh = Path(temporary) / "unpacked"
        try:
            with tarfile.open(archive, "r:gz") as tar:
                tar.extractall(fresh, filter="data")
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            archive.unlink()
            raise CorruptFile(
                "the archive is damaged",
                found=str(error),
                where=str(archive),
                hint="acclimate data get speech-commands",
            ) from error
        try:
            fresh.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same files
                raise
