# SPDX-License-Identifier: Apache-2.0
"""acclimate targets: the devices that `--target` names."""

from __future__ import annotations

from dataclasses import asdict

from acclimate.cli.console import show, show_json
from acclimate.cli.options import Json


def targets_verb(as_json: Json = False) -> None:
    """Lists the devices that acclimate compiles for."""
    from acclimate.targets import find_target, target_names

    targets = [find_target(name) for name in target_names()]
    if as_json:
        listed = [{**asdict(target), "features": sorted(target.features)} for target in targets]
        show_json({"targets": listed})
        return
    width = max(len(t.name) for t in targets)
    show(
        "\n".join(
            f"{t.name:<{width}}  {t.description}; {', '.join(sorted(t.features))};"
            f" runs on {t.simulator}"
            for t in targets
        )
    )
