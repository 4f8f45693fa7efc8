/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of port.h from and to an external RAM, on PMSIS: the driver of the RAM that `ac_ram` names makes
 * them, for the cluster. A board with another driver has other three functions in place of these. */
#include "port.h"

#include "bsp/ram.h"
#include "pmsis.h"

struct pi_device *ac_ram;

/* In L2: the controlling core, which talks to the RAM, writes there too. */
static pi_cl_ram_req_t requests[AC_CHANNELS] AC_IN(l2);

void ac_l3_in(int32_t channel, void *outer, ac_l3_place place, int32_t bytes) {
    pi_cl_ram_copy(ac_ram, place, outer, (uint32_t)bytes, 1, &requests[channel]);
}

void ac_l3_out(int32_t channel, ac_l3_place place, const void *outer, int32_t bytes) {
    pi_cl_ram_copy(ac_ram, place, (void *)(uintptr_t)outer, (uint32_t)bytes, 0, &requests[channel]);
}

void ac_l3_wait(int32_t channel) {
    pi_cl_ram_copy_wait(&requests[channel]);
}
