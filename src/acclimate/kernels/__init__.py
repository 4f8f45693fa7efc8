# SPDX-License-Identifier: Apache-2.0
"""The operators: one folder each, one declaration each."""

from acclimate.kernels.add_int8.op import OPS as ADD_INT8
from acclimate.kernels.avg_pool2d.op import OPS as AVG_POOL2D
from acclimate.kernels.conv2d.op import OPS as CONV2D
from acclimate.kernels.conv2d_int8.op import OPS as CONV2D_INT8
from acclimate.kernels.copy.op import OPS as COPY
from acclimate.kernels.linear.op import OPS as LINEAR
from acclimate.kernels.log_mel.op import OPS as LOG_MEL
from acclimate.kernels.loop.op import OPS as LOOP
from acclimate.kernels.matmul.op import OPS as MATMUL
from acclimate.kernels.max_pool2d.op import OPS as MAX_POOL2D
from acclimate.kernels.op import Op
from acclimate.kernels.quantize.op import OPS as QUANTIZE

OPS: tuple[Op, ...] = (
    *LINEAR,
    *MATMUL,
    *CONV2D,
    *MAX_POOL2D,
    *AVG_POOL2D,
    *LOG_MEL,
    *LOOP,
    *COPY,
    *CONV2D_INT8,
    *QUANTIZE,
    *ADD_INT8,
)

__all__ = ["OPS", "Op"]
