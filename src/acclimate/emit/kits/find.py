# SPDX-License-Identifier: Apache-2.0
"""From the name of a kit to the kit."""

from __future__ import annotations

from acclimate.emit.kits.arduino import ARDUINO
from acclimate.emit.kits.cmake import CMAKE
from acclimate.emit.kits.kit import Kit
from acclimate.emit.kits.pulp_sdk import PULP_SDK
from acclimate.errors import BadOption, nearest

KITS = {kit.name: kit for kit in (CMAKE, PULP_SDK, ARDUINO)}


def find_kit(name: str) -> Kit:
    """The kit of that name.

    Raises:
        BadOption: there is none.
    """
    if name not in KITS:
        raise BadOption(f"unknown kit {name!r}", hint=nearest(name, KITS))
    return KITS[name]
