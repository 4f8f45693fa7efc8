# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution on a PULP core: no im2col, no copies, any kernel, stride and padding.

Cores share channels. Where there are too few of them, cores share a channel too: by ranges of
outputs, or, for the gradient of the weights, by ranges of dy whose sums are added in the end.
Kernels with more taps than registers take several passes, each with some of the taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import Any

import numpy as np

from acclimate.kernels.pulp.depthwise import Pair, Planes, Run, call_cycles
from acclimate.kernels.pulp.depthwise_axis import Axis
from acclimate.kernels.pulp.depthwise_strips import Split, estimate, runs_of, widest
from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.partition import bounds, even
from acclimate.kernels.pulp.recipe import BARRIER_CYCLES
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Elements, Micro, Request, Start, Work, print_starts
