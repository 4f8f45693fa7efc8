# SPDX-License-Identifier: Apache-2.0
"""Convolution of eight-bit integers."""
