# SPDX-License-Identifier: Apache-2.0
"""acclimate: PyTorch models that keep learning on a microcontroller."""

__version__ = "0.1.0"

from acclimate.capture import berhu
from acclimate.compile import compile
from acclimate.errors import AcclimateError
from acclimate.firmware import Firmware
from acclimate.lower import SGD, Adam, AdamW

__all__ = ["SGD", "AcclimateError", "Adam", "AdamW", "Firmware", "__version__", "berhu", "compile"]
