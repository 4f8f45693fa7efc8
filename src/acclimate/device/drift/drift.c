/* SPDX-License-Identifier: Apache-2.0 */
#include "drift.h"

#include <stddef.h>
#include <string.h>

#define VALUE_MAX 1e6f
#define COUNT_MAX 1000000u
#define LEAST_DEVIATION 1e-3f /* of a value that never changed */

void ac_drift_defaults(ac_drift_settings *settings) {
    settings->warm_up = 100;
    settings->learn = 100;
    settings->slack = 0.5f;
    settings->threshold = 15.0f;
    settings->clip = 4.0f;
}

static int are_possible(const ac_drift_settings *settings) {
    return settings->warm_up >= 2 && settings->warm_up <= COUNT_MAX && settings->learn >= 1 &&
           settings->learn <= COUNT_MAX && ac_vector_within(settings->slack, 0.0f, 1e3f) &&
           ac_vector_within(settings->threshold, 0.1f, 1e6f) && ac_vector_within(settings->clip, 0.1f, 1e3f);
}

static void warm_up(ac_drift *drift) {
    memset(drift->mean, 0, (size_t)drift->S * AC_DRIFT_FLOATS * sizeof(float));
    drift->samples = 0;
}

int ac_drift_start(ac_drift *drift, const ac_drift_settings *settings, uint32_t S, float *memory) {
    if (drift == NULL || settings == NULL || memory == NULL || S == 0 || S > AC_DRIFT_VALUES ||
        !are_possible(settings)) {
        return AC_DRIFT_BAD_CALL;
    }
    memset(drift, 0, sizeof *drift);
    drift->settings = *settings;
    drift->S = S;
    drift->mean = memory;
    drift->squares = memory + S;
    drift->deviation = memory + 2 * (size_t)S;
    drift->up = memory + 3 * (size_t)S;
    drift->down = memory + 4 * (size_t)S;
    drift->value = -1;
    warm_up(drift);
    return AC_DRIFT_WARMING;
}

static void measure(ac_drift *drift, const float *values) {
    const float samples = (float)++drift->samples;
    for (uint32_t i = 0; i < drift->S; i++) {
        const float way = values[i] - drift->mean[i];
        drift->mean[i] += way / samples;
        drift->squares[i] += way * (values[i] - drift->mean[i]);
        const float deviation = ac_mix_sqrt(drift->squares[i] / samples);
        drift->deviation[i] = deviation > LEAST_DEVIATION ? deviation : LEAST_DEVIATION;
    }
}

/* A sum moved by z, never below 0. */
static float moved(float sum, float z, float slack) {
    const float next = sum + z - slack;
    return next > 0.0f ? next : 0.0f;
}

/* The first value whose sums are above the threshold; -1 if there is none. */
static int32_t follow(ac_drift *drift, const float *values) {
    const ac_drift_settings *settings = &drift->settings;
    int32_t found = -1;
    for (uint32_t i = 0; i < drift->S; i++) {
        const float raw = (values[i] - drift->mean[i]) / drift->deviation[i];
        const float z = raw > settings->clip ? settings->clip : raw < -settings->clip ? -settings->clip : raw;
        drift->up[i] = moved(drift->up[i], z, settings->slack);
        drift->down[i] = moved(drift->down[i], -z, settings->slack);
        if (found < 0 && (drift->up[i] > settings->threshold || drift->down[i] > settings->threshold)) {
            found = (int32_t)i;
        }
    }
    return found;
}

static int go_on(ac_drift *drift, int code) {
    drift->left--;
    if (drift->left > 0) {
        return code;
    }
    warm_up(drift);
    return AC_DRIFT_ENDED;
}

int ac_drift_push(ac_drift *drift, const float *values) {
    if (drift == NULL || drift->mean == NULL || values == NULL) {
        return AC_DRIFT_BAD_CALL;
    }
    if (!ac_vector_bounded(values, drift->S, VALUE_MAX)) {
        return AC_DRIFT_NOT_FINITE;
    }
    if (drift->left > 0) {
        return go_on(drift, AC_DRIFT_LEARNING);
    }
    if (drift->samples < drift->settings.warm_up) {
        measure(drift, values);
        return AC_DRIFT_WARMING;
    }
    const int32_t value = follow(drift, values);
    if (value < 0) {
        return AC_DRIFT_STABLE;
    }
    (void)ac_drift_begin(drift);
    drift->value = value;
    return go_on(drift, AC_DRIFT_BEGIN);
}

int ac_drift_begin(ac_drift *drift) {
    if (drift == NULL || drift->mean == NULL) {
        return AC_DRIFT_BAD_CALL;
    }
    drift->left = drift->settings.learn;
    drift->value = -1;
    drift->drifts++;
    return AC_DRIFT_BEGIN;
}
