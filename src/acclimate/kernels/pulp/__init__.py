# SPDX-License-Identifier: Apache-2.0
"""Kernels in assembly for the cores of a PULP cluster, written for each call by generators."""
