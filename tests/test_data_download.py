# SPDX-License-Identifier: Apache-2.0
"""The download survives whatever a network does, and never leaves a half or wrong data set."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from acclimate.data.download import SPEECH_COMMANDS_TEST, Archive, get_speech_commands, unpack
from acclimate.errors import CorruptFile, DataError

SILENT = Console(file=io.StringIO())


def tar_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


CONTENT = tar_of({"./yes/0c540988_nohash_0.wav": bytes(range(256)) * 40, "./README.md": b"hello"})


@dataclass
class Behaviour:
    """What the server does next."""

    sends_bytes: int | None = None  # stops after this many
    knows_range: bool = True
    status: int = 200
    ranges: tuple[str | None, ...] = ()  # header of each request so far


class Server:
    """A web server on this machine with one file."""

    def __init__(self) -> None:
        self.behaviour = behaviour = Behaviour()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers["Range"]
                behaviour.ranges += (asked,)
                if behaviour.status >= 400:
                    self.send_error(behaviour.status)
                    return
                resumes = asked is not None and behaviour.knows_range
                start = int(asked.removeprefix("bytes=").rstrip("-")) if resumes else 0
                body = CONTENT[start:]
                self.send_response(206 if resumes else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: behaviour.sends_bytes])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def archive(self) -> Archive:
        url = f"http://127.0.0.1:{self.server.server_port}/test.tar.gz"
        return Archive(url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.server.shutdown()
    running.server.server_close()
    running.thread.join()


def test_download_unpacks_the_archive_and_leaves_nothing_else(
    server: Server, tmp_path: Path
) -> None:
    folder = get_speech_commands(server.archive, tmp_path, SILENT)
    assert (folder / "yes" / "0c540988_nohash_0.wav").stat().st_size == 10_240
    assert [p.name for p in tmp_path.iterdir()] == ["speech_commands_test_set_v0.02"]


def test_download_is_done_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        get_speech_commands(server.archive, tmp_path, SILENT)
    assert len(server.behaviour.ranges) == 1


def test_truncated_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.behaviour.sends_bytes = 100
    with pytest.raises(DataError, match=f"100 of {len(CONTENT)} B"):
        get_speech_commands(server.archive, tmp_path, SILENT)
    server.behaviour.sends_bytes = None
    assert get_speech_commands(server.archive, tmp_path, SILENT).is_dir()
    assert server.behaviour.ranges == (None, "bytes=100-")


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.behaviour.sends_bytes = 100
    with pytest.raises(DataError):
        get_speech_commands(server.archive, tmp_path, SILENT)
    server.behaviour.sends_bytes, server.behaviour.knows_range = None, False
    assert get_speech_commands(server.archive, tmp_path, SILENT).is_dir()


def test_wrong_checksum_removes_the_file_and_says_so(server: Server, tmp_path: Path) -> None:
    wrong = replace(server.archive, sha256="0" * 64)
    with pytest.raises(CorruptFile, match="wrong checksum"):
        get_speech_commands(wrong, tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []


def test_refused_connection_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        archive = Archive(f"http://127.0.0.1:{unused.getsockname()[1]}/x", "0" * 64, 10)
        with pytest.raises(DataError, match=r"cannot be downloaded(.|\n)*hint: .*ACCLIMATE_DATA"):
            get_speech_commands(archive, tmp_path, SILENT)


def test_missing_page_names_the_status(server: Server, tmp_path: Path) -> None:
    server.behaviour.status = 404
    with pytest.raises(DataError, match="HTTP 404"):
        get_speech_commands(server.archive, tmp_path, SILENT)


def test_unwritable_cache_is_a_data_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be stored"):
        get_speech_commands(server.archive, tmp_path / "file" / "cache", SILENT)


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt"])
def test_archive_cannot_write_outside_its_folder(name: str, tmp_path: Path) -> None:
    packed, cache = tmp_path / "bad.tar.gz", tmp_path / "a" / "cache"
    cache.mkdir(parents=True)
    packed.write_bytes(tar_of({name: b"x"}))
    try:
        unpack(packed, cache / "set")
    except CorruptFile:
        assert list(cache.iterdir()) == []
    outside = [p for p in tmp_path.rglob("outside.txt") if cache / "set" not in p.parents]
    assert outside == [] and not Path("/outside.txt").exists()


def test_damaged_archive_leaves_no_folder(tmp_path: Path) -> None:
    packed = tmp_path / "bad.tar.gz"
    packed.write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(CorruptFile, match="damaged"):
        unpack(packed, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_official_archive_is_the_published_one() -> None:
    assert SPEECH_COMMANDS_TEST.size_bytes == 112_563_277
    assert SPEECH_COMMANDS_TEST.sha256.startswith("cc2a00c1147c2254")
