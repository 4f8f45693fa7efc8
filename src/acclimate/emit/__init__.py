# SPDX-License-Identifier: Apache-2.0
"""Program + plan -> C, weights, manifest. Nothing else writes C, except the loops' generator."""

from acclimate.emit.export import export_files
from acclimate.emit.files import emit, weights_blob
from acclimate.emit.kits import KITS, find_kit
from acclimate.emit.manifest import manifest
from acclimate.emit.ports import port_file, port_sources

__all__ = [
    "KITS",
    "emit",
    "export_files",
    "find_kit",
    "manifest",
    "port_file",
    "port_sources",
    "weights_blob",
]
