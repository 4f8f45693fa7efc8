# SPDX-License-Identifier: Apache-2.0
"""acclimate: PyTorch models that keep learning on a microcontroller.

The names below are loaded when they are first used: PyTorch takes seconds to import, and
`acclimate --help` must not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "EWC",
    "SGD",
    "SI",
    "AcclimateError",
    "Adam",
    "AdamW",
    "All",
    "Auto",
    "BiasOnly",
    "Combine",
    "Firmware",
    "Head",
    "Int8",
    "Last",
    "Layers",
    "LiteResidual",
    "Lora",
    "LwF",
    "SparseChannels",
    "__version__",
    "berhu",
    "compile",
    "retarget",
    "survey",
]

_HOMES = {
    "SGD": "acclimate.lower",
    "AcclimateError": "acclimate.errors",
    "Adam": "acclimate.lower",
    "AdamW": "acclimate.lower",
    "All": "acclimate.policy",
    "Auto": "acclimate.policy",
    "BiasOnly": "acclimate.policy",
    "Combine": "acclimate.policy",
    "EWC": "acclimate.lower",
    "Firmware": "acclimate.firmware",
    "Head": "acclimate.policy",
    "Int8": "acclimate.quantize",
    "Last": "acclimate.policy",
    "Layers": "acclimate.policy",
    "LiteResidual": "acclimate.policy",
    "Lora": "acclimate.policy",
    "LwF": "acclimate.capture",
    "SI": "acclimate.lower",
    "SparseChannels": "acclimate.policy",
    "berhu": "acclimate.capture",
    "compile": "acclimate.pipeline",
    "retarget": "acclimate.pipeline",
    "survey": "acclimate.report.survey",
}


if TYPE_CHECKING:
    from acclimate.capture import LwF, berhu
    from acclimate.errors import AcclimateError
    from acclimate.firmware import Firmware
    from acclimate.lower import EWC, SGD, SI, Adam, AdamW
    from acclimate.pipeline import compile, retarget
    from acclimate.policy import (
        All,
        Auto,
        BiasOnly,
        Combine,
        Head,
        Last,
        Layers,
        LiteResidual,
        Lora,
        SparseChannels,
    )
    from acclimate.quantize import Int8
    from acclimate.report.survey import survey
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'acclimate' has no attribute {name!r}")
        return globals().setdefault(name, getattr(import_module(_HOMES[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
