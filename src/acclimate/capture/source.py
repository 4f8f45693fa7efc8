# SPDX-License-Identifier: Apache-2.0
"""Finds the line of the user's model that a graph node comes from."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch.fx import Node

from acclimate.program import Source

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in \S+\n\s*(.*)')
_LIBRARY = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def source_of(node: Node) -> Source:
    """Module path and innermost line outside PyTorch that made this node."""
    module = ""
    for path, _ in (node.meta.get("nn_module_stack") or {}).values():
        module = path or module
    module = re.sub(r"^model\.?", "", module)
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    for file, line, code in reversed(frames):
        if not file.startswith(_LIBRARY) and not file.startswith("<"):
            return Source(module, Path(file).name, int(line), code.strip())
    return Source(module)
