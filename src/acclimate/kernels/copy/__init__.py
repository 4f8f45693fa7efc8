# SPDX-License-Identifier: Apache-2.0
"""Copies between memories."""
