# SPDX-License-Identifier: Apache-2.0
"""Between floats and eight-bit integers."""
