# SPDX-License-Identifier: Apache-2.0
"""Log-mel energies of sound."""
