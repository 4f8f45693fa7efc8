# SPDX-License-Identifier: Apache-2.0
"""The small IR: buffers, calls, programs; its verifier, printer and NumPy interpreter."""

from acclimate.program.interpret import Interpreter
from acclimate.program.ir import (
    Buffer,
    Call,
    Entry,
    Phase,
    Program,
    Role,
    Source,
)
from acclimate.program.printer import describe, print_call, print_program
from acclimate.program.prune import prune
from acclimate.program.single import OpCase, operator_program
from acclimate.program.verify import verify
from acclimate.program.view import View, contiguous_strides

__all__ = [
    "Buffer",
    "Call",
    "Entry",
    "Interpreter",
    "OpCase",
    "Phase",
    "Program",
    "Role",
    "Source",
    "View",
    "contiguous_strides",
    "describe",
    "operator_program",
    "print_call",
    "print_program",
    "prune",
    "verify",
]
