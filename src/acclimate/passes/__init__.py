# SPDX-License-Identifier: Apache-2.0
"""Program -> program, one file each. The order is a list with reasons."""

from __future__ import annotations

from collections.abc import Callable

from acclimate.passes.absorb_pad import absorb_pad, crop_input_gradient
from acclimate.passes.accumulate_in_place import accumulate_in_place
from acclimate.passes.drop_dead import drop_dead
from acclimate.passes.forward_copies import forward_copies
from acclimate.passes.fuse_bias_gradient import fuse_bias_gradient
from acclimate.passes.fuse_clamp import fuse_clamp
from acclimate.passes.fuse_linear_backward import fuse_linear_backward
from acclimate.passes.fuse_maps import fuse_maps
from acclimate.passes.fuse_update import fuse_update
from acclimate.passes.mask_activations import mask_activations
from acclimate.passes.reuse_in_place import reuse_in_place
from acclimate.passes.update_early import update_early
from acclimate.passes.update_slices import update_slices
from acclimate.program import Program

Pass = Callable[[Program], tuple[Program, list[str]]]

PASSES: tuple[Pass, ...] = (
    drop_dead,  # first: what nobody needs must not keep anything from fusing
    absorb_pad,
    crop_input_gradient,
    fuse_clamp,  # before fuse_maps, which would hide the clamp in a longer expression
    update_slices,  # while a gradient still has one writer and the update for its only reader
    accumulate_in_place,  # before the gradients change hands
    fuse_bias_gradient,
    fuse_update,  # needs dw and db in one call
    fuse_linear_backward,  # before fuse_maps, which then sees where the layer's input dies
    fuse_maps,
    forward_copies,
    mask_activations,  # when it is known which loops and which buffers are left
    update_early,
)
# After the kernels are chosen and the calls are ordered.
LATE_PASSES: tuple[Pass, ...] = (reuse_in_place,)
