# SPDX-License-Identifier: Apache-2.0
"""Element-wise loops and reductions."""
