/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of port.h from and to l3 for a machine that has one memory: they are done when they begin. */
#include "port.h"

#include <stddef.h>
#include <string.h>

void ac_l3_in(int32_t channel, void *outer, ac_l3_place place, int32_t bytes) {
    (void)channel;
    memcpy(outer, place, (size_t)bytes);
}

void ac_l3_out(int32_t channel, ac_l3_place place, const void *outer, int32_t bytes) {
    (void)channel;
    memcpy(place, outer, (size_t)bytes);
}

void ac_l3_wait(int32_t channel) {
    (void)channel;
}
