/* SPDX-License-Identifier: Apache-2.0 */
#include "elm.h"

#include <stddef.h>

#define SAMPLE_MAX 1e6f   /* so that no sum below leaves the range of numbers */
#define FEATURE_MAX 1e14f /* above what samples can give: 65536 * 1e6 * 1000 + 1000 */
#define FACTOR_MAX 1000.0f
#define LEAST_UNIT 1e-3f
#define HALF_PI_ROOT                                                                                         \
    1.2533141f /* sqrt(pi / 2): deviation of a normal number by its mean absolute deviation */

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
        float away = 0.0f;
        for (uint32_t i = 0; i < N; i++) {
            const float way = y[(size_t)i * features + f] - mean;
            away += way < 0.0f ? -way : way;
        }
        const float deviation = HALF_PI_ROOT * (away / (float)N);
        const float unit = deviation > LEAST_UNIT ? deviation : LEAST_UNIT;
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
