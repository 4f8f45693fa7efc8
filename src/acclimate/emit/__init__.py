# SPDX-License-Identifier: Apache-2.0
"""Program + plan -> C, weights, manifest. Nothing else writes C, except the loops' generator."""

from acclimate.emit.export import export_files
from acclimate.emit.files import emit, port_file, weights_blob
from acclimate.emit.manifest import manifest

__all__ = ["emit", "export_files", "manifest", "port_file", "weights_blob"]
