# SPDX-License-Identifier: Apache-2.0
"""Checks all kernels of a library on memory that ends, and again begins, at a page without access.

`fenced.py kernels.so`: a wrong access, or a trap of the sanitizer, kills the process; the last line
of stderr names the kernel and the sizes.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import partial

import fuzz
import harness
import numpy as np
from hypothesis import HealthCheck, given, settings


class FencedHeap(harness.Heap):
    """Memory that ends, or begins, at a page without access."""

    def __init__(self, at_end: bool) -> None:
        super().__init__()
        self.at_end = at_end
        self._maps: list[mmap.mmap] = []

    def copy(self, array: harness.Array) -> harness.Array:
        """A copy of `array` that touches the fence."""
        page = mmap.PAGESIZE
        room = -(-max(array.nbytes, 1) // page) * page
        pages = mmap.mmap(-1, room + 2 * page)
        self._maps.append(pages)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        protect = ctypes.CDLL(None).mprotect
        for fence in (start, start + page + room):
            assert protect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
        offset = page + (room - array.nbytes if self.at_end else 0)
        inner: harness.Array = np.frombuffer(pages, array.dtype, array.size, offset)
        inner = inner.reshape(array.shape)
        inner[...] = array
        return inner


def main() -> None:
    """Checks every case and some random sizes."""
    library = ctypes.CDLL(sys.argv[1])

    def check(ex: harness.Example) -> None:
        for at_end in (True, False):
            harness.check(library, ex, partial(FencedHeap, at_end), trace=True)

    for op, number in harness.case_ids():
        for optional in (True, False):
            check(harness.example(op, op.cases[number], number, optional))
    quick = settings(
        deadline=None,
        max_examples=30,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    families = (
        fuzz.linear, fuzz.matmul, fuzz.conv2d, fuzz.max_pool2d, fuzz.avg_pool2d, fuzz.log_mel,
    )  # fmt: skip
    for sizes in families:

        @quick
        @given(sizes())
        def run(examples: list[harness.Example]) -> None:
            for ex in examples:
                check(ex)

        run()


if __name__ == "__main__":
    main()
