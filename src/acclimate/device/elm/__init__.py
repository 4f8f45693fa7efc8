# SPDX-License-Identifier: Apache-2.0
"""Device module `elm`."""
