/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

#define MULTIPLIER 6364136223846793005u

uint32_t ac_random_next(ac_random *random) {
    const uint64_t old = random->state;
    const uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    const uint32_t turn = (uint32_t)(old >> 59);
    random->state = old * MULTIPLIER + random->increment;
    return shifted >> turn | shifted << ((32 - turn) & 31);
}

void ac_random_seed(ac_random *random, uint64_t seed, uint64_t stream) {
    random->state = 0;
    random->increment = stream << 1 | 1;
    (void)ac_random_next(random);
    random->state += seed;
    (void)ac_random_next(random);
}

uint32_t ac_random_below(ac_random *random, uint32_t count) {
    return (uint32_t)((uint64_t)ac_random_next(random) * count >> 32);
}

int32_t ac_random_between(ac_random *random, int32_t low, int32_t high) {
    if (high < low) {
        return low;
    }
    const uint64_t count = (uint64_t)((int64_t)high - low) + 1;
    const uint64_t above = (uint64_t)ac_random_next(random) * count >> 32;
    return (int32_t)(low + (int64_t)above);
}

float ac_random_unit(ac_random *random) {
    return (float)(ac_random_next(random) >> 8) * (1.0f / 16777216.0f);
}
