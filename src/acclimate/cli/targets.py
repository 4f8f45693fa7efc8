# SPDX-License-Identifier: Apache-2.0
"""acclimate targets: the devices that `--target` names."""

from __future__ import annotations

from acclimate.cli.console import show, show_json
from acclimate.cli.options import Json


def targets_verb(as_json: Json = False) -> None:
    """Lists the devices that acclimate compiles for."""
    from acclimate.targets import find_target, target_names

    targets = [find_target(name) for name in target_names()]
    if as_json:
        show_json(
            [
                {
                    "name": t.name,
                    "description": t.description,
                    "cores": t.cores,
                    "features": sorted(t.features),
                    "simulator": t.simulator,
                }
                for t in targets
            ]
        )
        return
    width = max(len(t.name) for t in targets)
    show(
        "\n".join(
            f"{t.name:<{width}}  {t.description}; {', '.join(sorted(t.features))};"
            f" runs on {t.simulator}"
            for t in targets
        )
    )
