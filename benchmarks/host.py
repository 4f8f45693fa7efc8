# SPDX-License-Identifier: Apache-2.0
"""A training step of the generated C against PyTorch on this machine.

    python benchmarks/host.py --json build/bench.json

The same as `acclimate bench host`; the method stands in `acclimate/report/bench.py`.
"""

import sys

from acclimate.cli import main

if __name__ == "__main__":
    main(["bench", "host", *sys.argv[1:]])
