/* SPDX-License-Identifier: Apache-2.0 */
/* A program for one core: the others, if there are any, sleep for ever. */
#include "cluster.h"

void ac_serve(void);

void ac_serve(void) {
    for (;;) {
        (void)ac_sleep_load(0x1B200000u + AC_EVENT_JOB);
    }
}
