/* SPDX-License-Identifier: Apache-2.0 */
#include "elm.h"

#include <stddef.h>
#include <string.h>

#define SAMPLE_MAX 1e6f   /* so that no sum below leaves the range of numbers */
#define FEATURE_MAX 1e14f /* above what samples can give: 65536 * 1e6 * 1000 + 1000 */
#define FACTOR_MAX 1000.0f
#define LEAST_VARIANCE 1e-6f /* a feature that never changes is divided by 1e-3 */

static int are_possible(const ac_elm_settings *s) {
    return s->channels > 0 && s->length > 0 && (uint64_t)s->channels * s->length <= AC_VECTOR_MAX &&
           s->width > 0 && s->width <= s->length && s->features > 0 && s->features <= AC_VECTOR_MAX &&
           ac_vector_within(s->weight, 0.0f, FACTOR_MAX) && ac_vector_within(s->bias, 0.0f, FACTOR_MAX);
}

int ac_elm_start(ac_elm *elm, const ac_elm_settings *settings, float *filter, float *mean, float *unit) {
    if (elm == NULL || settings == NULL || filter == NULL || mean == NULL || unit == NULL ||
        !are_possible(settings)) {
        return AC_ELM_BAD_CALL;
    }
    elm->settings = *settings;
    elm->filter = filter;
    elm->mean = mean;
    elm->unit = unit;
    elm->fitted = 0;
    for (uint32_t f = 0; f < settings->features; f++) {
        mean[f] = 0.0f;
        unit[f] = 1.0f;
    }
    return AC_ELM_OK;
}

/* -1 .. below 1, exactly: a multiple of 2^-23. */
static float draw(ac_random *random) {
    return 2.0f * ac_random_unit(random) - 1.0f;
}

/* NOTE: a product has a statement of its own, so no compiler that keeps to C joins it with the sum. */
static float answer(const ac_elm *elm, const float *x, float bias) {
    const ac_elm_settings *s = &elm->settings;
    const uint32_t places = s->length - s->width + 1;
    float sum = 0.0f;
    for (uint32_t t = 0; t < places; t++) {
        float product = 0.0f;
        for (uint32_t c = 0; c < s->channels; c++) {
            product += ac_vector_dot(x + c * s->length + t, elm->filter + c * s->width, s->width);
        }
        const float scaled = s->weight * product;
        const float z = scaled + bias;
        sum += z > 0.0f ? z : 0.0f;
    }
    return sum / (float)places;
}

int ac_elm_features(ac_elm *elm, float *y, const float *x) {
    if (elm == NULL || elm->filter == NULL || y == NULL || x == NULL) {
        return AC_ELM_BAD_CALL;
    }
    const ac_elm_settings *s = &elm->settings;
    if (!ac_vector_bounded(x, s->channels * s->length, SAMPLE_MAX)) {
        return AC_ELM_NOT_FINITE;
    }
    ac_random random;
    ac_random_seed(&random, s->seed, 0);
    for (uint32_t f = 0; f < s->features; f++) {
        const float bias = s->bias * draw(&random);
        for (uint32_t i = 0; i < s->channels * s->width; i++) {
            elm->filter[i] = draw(&random);
        }
        y[f] = (answer(elm, x, bias) - elm->mean[f]) / elm->unit[f];
    }
    return AC_ELM_OK;
}

/* sqrt(v) by Newton for v >= LEAST_VARIANCE. Half the exponent is right to 6 %, each step squares the error.
 * NOTE: unlike that of mix it adds no product, so its bits are the same whatever the compiler joins. */
static float root(float v) {
    uint32_t bits;
    float r;
    memcpy(&bits, &v, sizeof bits);
    bits = (bits >> 1) + 0x1FC00000u;
    memcpy(&r, &bits, sizeof r);
    for (int step = 0; step < 3; step++) {
        r = 0.5f * (r + v / r);
    }
    return r;
}

int ac_elm_fit(ac_elm *elm, float *y, uint32_t N) {
    if (elm == NULL || elm->filter == NULL || elm->fitted || y == NULL || N == 0 || N > AC_ELM_VECTORS) {
        return AC_ELM_BAD_CALL;
    }
    const uint32_t features = elm->settings.features;
    if (!ac_vector_bounded(y, N * features, FEATURE_MAX)) {
        return AC_ELM_NOT_FINITE;
    }
    for (uint32_t f = 0; f < features; f++) {
        float sum = 0.0f;
        for (uint32_t i = 0; i < N; i++) {
            sum += y[(size_t)i * features + f];
        }
        const float mean = sum / (float)N;
        float squares = 0.0f;
        for (uint32_t i = 0; i < N; i++) {
            const float way = y[(size_t)i * features + f] - mean;
            const float square = way * way;
            squares += square;
        }
        const float variance = squares / (float)N;
        const float unit = root(variance > LEAST_VARIANCE ? variance : LEAST_VARIANCE);
        for (uint32_t i = 0; i < N; i++) {
            float *one = y + (size_t)i * features + f;
            *one = (*one - mean) / unit;
        }
        elm->mean[f] = mean;
        elm->unit[f] = unit;
    }
    elm->fitted = 1;
    return AC_ELM_OK;
}
