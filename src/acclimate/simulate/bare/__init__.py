# SPDX-License-Identifier: Apache-2.0
"""What every simulated microcontroller shares: compiler, runtime, image, device."""

from acclimate.simulate.bare.device import BareDevice, FloatBits
from acclimate.simulate.bare.image import Image, Segment
from acclimate.simulate.bare.toolchain import Toolchain, build_image

__all__ = ["BareDevice", "FloatBits", "Image", "Segment", "Toolchain", "build_image"]
