# SPDX-License-Identifier: Apache-2.0
"""Lowering rules, one file per family of ATen operators."""

from acclimate.lower.rules import (  # noqa: F401
    convolution,
    fake_quantize,
    indexing,
    linear,
    lookup,
    losses,
    norms,
    pointwise,
    pooling,
    primitives,
    random,
    reductions,
    shape,
    upsampling,
)
