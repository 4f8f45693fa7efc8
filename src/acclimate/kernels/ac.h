/* SPDX-License-Identifier: Apache-2.0 */
/* What all kernels share: the split of work among cores, clipped loop bounds, the clamp. */
#ifndef AC_H
#define AC_H

#include <stddef.h>
#include <stdint.h>

static inline int32_t ac_min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static inline int32_t ac_max_i32(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* min(max(v, lo), hi); NaN stays NaN. */
static inline float ac_clampf(float v, float lo, float hi) {
    const float above = v < lo ? lo : v;
    return above > hi ? hi : above;
}

/* First of `count` work items of core number `core`; those of the next core begin after its last one. */
static inline int32_t ac_split(int32_t count, int32_t core, int32_t cores) {
    return count / cores * core + ac_min_i32(core, count % cores);
}

/* First i >= 0 with start + i * step >= 0. */
static inline int32_t ac_first(int32_t start, int32_t step) {
    return start >= 0 ? 0 : (step - 1 - start) / step;
}

/* One past the last i < count with start + i * step < size; 0 if there is none. */
static inline int32_t ac_last(int32_t start, int32_t step, int32_t count, int32_t size) {
    if (start + (count - 1) * step < size)
        return count;
    return start >= size ? 0 : (size - start + step - 1) / step;
}

/* The i in [0, count) with i * step == at, or -1. */
static inline int32_t ac_whole(int32_t at, int32_t step, int32_t count) {
    return at >= 0 && at % step == 0 && at / step < count ? at / step : -1;
}

/* keep * old + scale * gradient. keep = 0 overwrites: what `old` holds, even NaN, does not count.
 * Set (0, 1), accumulate (1, 1) and descend (1 - lr * decay, -lr) are this one operation. */
static inline float ac_blend(float old, float gradient, float keep, float scale) {
    return keep == 0.0f ? scale * gradient : keep * old + scale * gradient;
}

#endif
