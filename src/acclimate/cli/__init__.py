# SPDX-License-Identifier: Apache-2.0
"""The command line: one file per verb, each of which parses, calls the API and prints.

Data go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check of `doctor` failed, 2 a
mistake that the user can mend, 70 a bug of acclimate, 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Runs `acclimate` with these arguments, by default those of the process, and exits."""
    try:
        from acclimate.cli.app import app

        app(args=None if args is None else list(args), prog_name="acclimate")
    except KeyboardInterrupt:
        sys.exit(130)
