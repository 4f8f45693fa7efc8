# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers."""
