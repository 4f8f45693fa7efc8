# SPDX-License-Identifier: Apache-2.0
"""Fails, with the list, if a C file under src is not formatted as .clang-format says."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Prints the files that clang-format would change; 0 if there are none."""
    tool = Path(sysconfig.get_path("scripts")) / "clang-format"
    files = sorted(path for ending in ("c", "h") for path in (ROOT / "src").rglob(f"*.{ending}"))
    bad = []
    for path in files:
        run = subprocess.run([tool, "--dry-run", "-Werror", path], capture_output=True, check=False)
        if run.returncode:
            bad.append(path.relative_to(ROOT))
    for path in bad:
        print(path)
    if bad:
        print(f"hint: clang-format -i {' '.join(map(str, bad))}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
