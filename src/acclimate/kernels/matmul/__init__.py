# SPDX-License-Identifier: Apache-2.0
"""Batched matrix products."""
