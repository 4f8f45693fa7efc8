/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that repeat with their seed, the same in C and in Python: PCG-XSH-RR with 64 bits of state.
 */
#ifndef AC_RANDOM_H
#define AC_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t state;
    uint64_t increment; /* odd */
} ac_random;

/* Streams with different numbers do not repeat each other. */
void ac_random_seed(ac_random *random, uint64_t seed, uint64_t stream);

/* 0 .. 2^32 - 1. */
uint32_t ac_random_next(ac_random *random);

/* 0 .. count - 1, and 0 for count 0; one number is more probable than another by at most count / 2^32. */
uint32_t ac_random_below(ac_random *random, uint32_t count);

/* low .. high; low if high is below it. */
int32_t ac_random_between(ac_random *random, int32_t low, int32_t high);

/* A multiple of 2^-24 from 0 to below 1. */
float ac_random_unit(ac_random *random);

#ifdef __cplusplus
}
#endif

#endif
