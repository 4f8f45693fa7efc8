# SPDX-License-Identifier: Apache-2.0
"""Templates -> bytes of a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("acclimate.emit"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, variables: Mapping[str, Any], **more: Any) -> bytes:
    """Fills a template; the file ends with one newline.

    Args:
        template: its path in the folder of templates.
        variables: of all templates.
        more: of this one.
    """
    text = _templates().get_template(template).render(**variables, **more)
    return (text.rstrip("\n") + "\n").encode()
