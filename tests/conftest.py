# SPDX-License-Identifier: Apache-2.0
"""Options and settings of the whole test suite."""

from __future__ import annotations

import pytest
import torch

pytest_plugins = ["data_fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden from what is generated now"
    )


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tests run side by side; PyTorch's own threads would only get in each other's way."""
    torch.set_num_threads(1)
