# SPDX-License-Identifier: Apache-2.0
"""Vibration of bearings with faults at several loads: Case Western Reserve University.

Nine faults (inner race, ball, outer race; 7, 14 and 21 thousandths of an inch) at 0, 1 and 2 hp,
drive end, 12 kHz. CWRU publishes the recordings openly without a formal licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acclimate.data.motion import Windows, cut, find_set, joined

BEARING_ATTRIBUTION = "Case Western Reserve University Bearing Data Center, drive end, 12 kHz"
FAULTS = tuple(f"{place}_{mil}" for place in ("IR", "B", "ORat6") for mil in (7, 14, 21))
SPEED_RPM = {0: 1797, 1: 1772, 2: 1750}
FRAME = 200  # samples: 16.7 ms
_PARTS = 8  # a recording is cut in time, so that parts are learned from and others tested


def read_bearings(load_hp: int, hop: int = FRAME, folder: Path | None = None) -> Windows:
    """Frames x[N,1,200] of the nine faults at one load; `recordings` count eighths of the time.

    Args:
        load_hp: 0, 1 or 2; becomes the subject.
        hop: samples from frame to frame; no frame lies in two eighths.
        folder: of the files; by default that below `ACCLIMATE_DATA`.

    Raises:
        DataError: the files are not there.
    """
    folder = find_set("cwru_bearing") if folder is None else folder
    parts = []
    for label, fault in enumerate(FAULTS):
        for path in folder.glob(f"{SPEED_RPM[load_hp]}_{fault}_DE12.npz"):
            with np.load(path, allow_pickle=False) as data:
                signal = data["DE"].reshape(-1, 1).astype(np.float32)
            for number, part in enumerate(np.array_split(signal, _PARTS)):
                named = np.full(len(part), label, np.int64)
                x, labels = cut(part, named, hop, FRAME)
                same = np.ones(len(labels), np.int64)
                parts.append(Windows(x, labels, load_hp * same, number * same, FAULTS))
    return joined(parts)
