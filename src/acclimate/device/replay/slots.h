/* SPDX-License-Identifier: Apache-2.0 */
/* Where latents lie, and how: bits in RAM or flash. For replay.c alone. */
#ifndef AC_REPLAY_INTERNAL_SLOTS_H
#define AC_REPLAY_INTERNAL_SLOTS_H

#include "replay.h"

/* Quantises x[n] into a slot. OK or FLASH_FAILED. */
int ac_replay_slots_write(ac_replay *replay, uint32_t slot, const float *x);

/* The values of a slot, into x[n]. */
int ac_replay_slots_read(ac_replay *replay, uint32_t slot, float *x);

#endif
