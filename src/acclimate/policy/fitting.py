# SPDX-License-Identifier: Apache-2.0
"""What could learn instead, where a training step is too large."""

from __future__ import annotations

from dataclasses import replace

from acclimate.errors import AcclimateError
from acclimate.pipeline import Job
from acclimate.policy.policy import Policy
from acclimate.policy.select import BiasOnly, Head, Last

_TRIED: tuple[Policy, ...] = (Head(), Last(2), BiasOnly(head=True))


def fitting_policies(job: Job) -> tuple[tuple[Policy, int], ...]:
    """Policies with which a program fits that does not as it is, the one of least RAM first.

    Few are tried, and packed without the solver, which could only make them smaller, and without
    tiles, which take minutes: the refusal that this is a hint of shall come at once.

    Args:
        job: that does not fit.

    Returns:
        Policies with the RAM that they need [B].
    """
    if not set(job.entries) - {"predict"} or job.update == Head():
        return ()
    found: list[tuple[Policy, int]] = []
    for policy in _TRIED:
        if policy == job.update:
            continue
        try:
            # NOTE: a job does not ask for policies when it fails, so this ends.
            kept = replace(job, update=policy, recompute="never", page="never", solver_seconds=0.0)
            size = kept.quick_ram_bytes()
        except AcclimateError:  # too large as well, or the model has no biases or no second layer
            if isinstance(policy, Head):
                break  # nothing that is tried later needs less
            continue
        found.append((policy, size))
    return tuple(sorted(found, key=lambda pair: pair[1]))
