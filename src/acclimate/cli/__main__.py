# SPDX-License-Identifier: Apache-2.0
"""python -m acclimate.cli: the same as `acclimate`."""

from acclimate.cli import main

if __name__ == "__main__":
    main()
