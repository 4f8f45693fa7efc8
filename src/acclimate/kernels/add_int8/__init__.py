# SPDX-License-Identifier: Apache-2.0
"""Sums of two activations of eight-bit integers."""
