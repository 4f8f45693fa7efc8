# SPDX-License-Identifier: Apache-2.0
"""What was measured, by workload and machine: in the user's cache, and shipped with the package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from acclimate.cache import cache_folder, cache_root, write_atomic
from acclimate.kernels.pulp.work import Choice
from acclimate.tune.workload import Candidate

_SHIPPED = Path(__file__).parent / "tuned"


@dataclass(frozen=True)
class Record:
    """The fastest candidate of a workload.

    Args:
        best: it.
        cycles: measured.
        untuned: cycles of what is taken without a measurement.
        measured: how many candidates were measured.
    """

    best: Candidate
    cycles: int
    untuned: int
    measured: int

    def document(self) -> dict[str, Any]:
        """The record as values that `json` can write."""
        choice = dict(self.best.choice.items) if self.best.choice else None
        return {
            "kernel": self.best.kernel,
            "choice": choice,
            "cycles": self.cycles,
            "untuned": self.untuned,
            "measured": self.measured,
        }

    @staticmethod
    def read(document: Mapping[str, Any]) -> Record:
        """The record of `document`.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        choice = document["choice"]
        return Record(
            Candidate(str(document["kernel"]), Choice.of(**choice) if choice else None),
            int(document["cycles"]),
            int(document["untuned"]),
            int(document["measured"]),
        )


def _path(machine: str, workload: str) -> Path:
    key = hashlib.sha256(f"{machine}\n{workload}".encode()).hexdigest()
    return Path("tuned", f"{key[:32]}.json")


_kept: list[str] = []  # workloads of which this process has kept a record


def records_state() -> tuple[Path, int]:
    """Equal as long as this process finds the same records."""
    return cache_root(), len(_kept)


def find_record(machine: str, workload: str) -> Record | None:
    """What was measured: by this user first, else what came with the package.

    A file that cannot be read counts as absent: it is measured again.
    """
    path = cache_root() / _path(machine, workload)
    try:
        document = json.loads(path.read_bytes())
        if (document["machine"], document["workload"]) == (machine, workload):
            return Record.read(document)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return shipped(machine).get(workload)


def keep_record(machine: str, workload: str, record: Record) -> None:
    """Keeps a record for this user."""
    _kept.append(workload)
    document = {"machine": machine, "workload": workload, **record.document()}
    path = cache_folder("tuned") / _path(machine, workload).name
    write_atomic(path, (json.dumps(document, indent=1) + "\n").encode())


@cache
def shipped(machine: str) -> Mapping[str, Record]:
    """Records of a machine that came with the package, by workload."""
    for path in sorted(_SHIPPED.glob("*.json")):
        document = json.loads(path.read_text())
        if document["machine"] == machine:
            return {name: Record.read(entry) for name, entry in document["records"].items()}
    return {}


def write_shipped(path: Path, machine: str, records: Iterable[tuple[str, Record]]) -> None:
    """Writes records as a file that can be shipped."""
    table = {name: record.document() for name, record in sorted(records)}
    document = {"machine": machine, "records": table}
    write_atomic(path, (json.dumps(document, indent=1) + "\n").encode())
