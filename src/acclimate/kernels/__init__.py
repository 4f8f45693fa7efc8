# SPDX-License-Identifier: Apache-2.0
"""The operators: one folder each, one declaration each."""
