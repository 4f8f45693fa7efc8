/* SPDX-License-Identifier: Apache-2.0 */
/* The error function: a polynomial near 0, and 1 - exp(-q(x)) with q = -log(erfc(x)) further out. */
#include <math.h>

#include "number.h"

float erff(float x) {
    const float a = magnitude(x);
    if (a < 0.9375f) { /* 2^-31 */
        const float z = x * x;
        const float p = -0.0268588513f + z * (0.00519960001f + z * (-0.000812580634f + z * 8.29661003e-05f));
        return x + x * (0.128379166f + z * (-0.376126319f + z * (0.11283686f + z * p)));
    }
    if (!(a < 4.0f)) {
        return x != x ? x : with_sign(1.0f, x);
    }
    /* 2^-29 of the result */
    const float p = 0.10369014f + a * (-0.0221103895f + a * (0.00301395217f + a * -0.000192951047f));
    const float q = 0.000235067375f + a * (1.12751269f + a * (0.637457013f + a * p));
    return with_sign(1.0f - expf(-q), x);
}
