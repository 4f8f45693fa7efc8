# SPDX-License-Identifier: Apache-2.0
"""What would fit, where a training step is too large."""

from __future__ import annotations

from dataclasses import replace

from acclimate.errors import AcclimateError
from acclimate.pipeline import Job
from acclimate.policy.policy import Policy
from acclimate.policy.select import BiasOnly, Head, Last
from acclimate.targets import find_target

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


def paged_bytes(job: Job) -> int:
    """What waits in l3 where the program fits with its activations there [B]; 0 where it does not,
    or there is no l3. As for the policies, no tiles are made."""
    target = find_target(job.target) if isinstance(job.target, str) else job.target
    if job.page != "never" or target.l3 is None:
        return 0
    try:
        return replace(job, page="auto", solver_seconds=0.0).quick_l3_bytes()
    except AcclimateError:
        return 0
