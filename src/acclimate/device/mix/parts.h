/* SPDX-License-Identifier: Apache-2.0 */
/* What both kinds of samples share. A part of the module `mix`, not for others. */
#ifndef AC_MIX_PARTS_H
#define AC_MIX_PARTS_H

#include "mix.h"

/* Part [*from, *to) of the output that shifted speech reaches. */
void ac_mix_reach(int32_t T, int32_t shift, int32_t *from, int32_t *to);

int ac_mix_is_possible(const void *out, const void *speech, const void *noise, int32_t T, int32_t noise_T,
                       int32_t crop, float snr_db);

#endif
