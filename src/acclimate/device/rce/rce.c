/* SPDX-License-Identifier: Apache-2.0 */
#include "rce.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

#define SETTING_MAX 1e6f

void ac_rce_baseline(ac_rce_settings *settings) {
    memset(settings, 0, sizeof *settings);
    settings->reach = 0.75f;
    settings->bounded = 1;
    settings->refuse = 1;
}

void ac_rce_defaults(ac_rce_settings *settings) {
    ac_rce_baseline(settings);
    settings->least = 0.05f;
    settings->relief = 1.0f;
    settings->idle = 0.1f;
    settings->blame = 1.0f;
    settings->refuse = 0;
}

static int are_possible(const ac_rce_settings *settings) {
    return ac_vector_within(settings->reach, 1.0f / SETTING_MAX, SETTING_MAX) &&
           ac_vector_within(settings->least, 0.0f, settings->reach) &&
           ac_vector_within(settings->relief, 0.0f, SETTING_MAX) &&
           ac_vector_within(settings->idle, 0.0f, SETTING_MAX) &&
           ac_vector_within(settings->blame, 0.0f, SETTING_MAX) && settings->bounded <= 1 &&
           settings->refuse <= 1;
}

int ac_rce_start(ac_rce *rce, const ac_rce_settings *settings, uint32_t n, float *centres,
                 ac_rce_neuron *neurons, uint32_t capacity) {
    if (rce == NULL || settings == NULL || centres == NULL || neurons == NULL || n == 0 ||
        n > AC_VECTOR_MAX || capacity == 0 || capacity > AC_RCE_NEURONS || !are_possible(settings)) {
        return AC_RCE_BAD_CALL;
    }
    memset(rce, 0, sizeof *rce);
    rce->settings = *settings;
    rce->n = n;
    rce->centres = centres;
    rce->neurons = neurons;
    rce->capacity = capacity;
    return AC_RCE_KNOWN;
}

static float *centre_of(const ac_rce *rce, uint32_t neuron) {
    return rce->centres + (size_t)neuron * rce->n;
}

/* Squares of R_max and R_min: a factor sqrt(n) needs no root. */
static float squared_radius(const ac_rce *rce, float factor) {
    const float square = factor * factor;
    return square * (float)rce->n;
}

/* What one neuron has to do with a sample at squared distance `distance`. */
typedef struct {
    float nearest_other; /* squared distance to the nearest centre of another label */
    int covered;         /* a neuron of the label fires */
    int shrunk;
    int conflict;
} survey;

static void teach(const ac_rce_settings *settings, ac_rce_neuron *neuron, float distance, int32_t label,
                  survey *found) {
    const int fires = distance < neuron->radius;
    const float inside = 1.0f - distance / neuron->radius; /* > 0 if it fires */
    if (neuron->label == label) {
        const float relief = settings->relief * inside;
        const float age = fires ? neuron->age - relief : neuron->age + settings->idle;
        neuron->age = age > 0.0f ? age : 0.0f;
        found->covered |= fires;
        return;
    }
    found->nearest_other = distance < found->nearest_other ? distance : found->nearest_other;
    if (!fires) {
        return;
    }
    const float blame = settings->blame * inside;
    neuron->age += blame;
    if (distance > 0.0f) {
        neuron->radius = distance;
        found->shrunk = 1;
    } else {
        found->conflict = 1; /* with radius 0 it would be dead, and so would be a new one here */
    }
}

/* The neuron of highest age, of several the smallest one. */
static uint32_t oldest(const ac_rce *rce) {
    const ac_rce_neuron *neurons = rce->neurons;
    uint32_t best = 0;
    for (uint32_t j = 1; j < rce->count; j++) {
        if (neurons[j].age > neurons[best].age ||
            (neurons[j].age == neurons[best].age && neurons[j].radius < neurons[best].radius)) {
            best = j;
        }
    }
    return best;
}

static int add(ac_rce *rce, const float *x, int32_t label, float nearest_other) {
    int done = AC_RCE_ADDED;
    uint32_t at = rce->count;
    if (at == rce->capacity) {
        if (rce->settings.refuse) {
            return AC_RCE_REFUSED;
        }
        at = oldest(rce);
        rce->removed++;
        done = AC_RCE_REPLACED;
    } else {
        rce->count++;
    }
    float radius = squared_radius(rce, rce->settings.reach);
    if (rce->settings.bounded && nearest_other < radius) {
        radius = nearest_other;
    }
    memcpy(centre_of(rce, at), x, rce->n * sizeof *x);
    rce->neurons[at].radius = radius;
    rce->neurons[at].age = 0.0f;
    rce->neurons[at].label = (uint16_t)label;
    return done;
}

int ac_rce_learn(ac_rce *rce, const float *x, int32_t label) {
    if (rce == NULL || rce->centres == NULL || x == NULL || label < 0 || label >= AC_RCE_LABELS) {
        return AC_RCE_BAD_CALL;
    }
    if (ac_vector_not_finite(x, rce->n) != 0) {
        return AC_RCE_NOT_FINITE;
    }
    survey found = {FLT_MAX, 0, 0, 0};
    for (uint32_t j = 0; j < rce->count; j++) {
        const float distance = ac_vector_distance(x, centre_of(rce, j), rce->n);
        teach(&rce->settings, rce->neurons + j, distance, label, &found);
    }
    rce->distances += rce->count;
    int done = found.shrunk ? AC_RCE_SHRUNK : AC_RCE_KNOWN;
    if (found.conflict) {
        rce->conflicts++;
        done = AC_RCE_CONFLICT;
    } else if (!found.covered) {
        const int added = add(rce, x, label, found.nearest_other);
        done = added == AC_RCE_REFUSED && found.shrunk ? AC_RCE_SHRUNK : added;
    }
    rce->changes += found.shrunk || done == AC_RCE_ADDED || done == AC_RCE_REPLACED ? 1u : 0u;
    return done;
}

int ac_rce_end_epoch(ac_rce *rce) {
    if (rce == NULL || rce->centres == NULL) {
        return AC_RCE_BAD_CALL;
    }
    const float least = squared_radius(rce, rce->settings.least);
    const uint32_t before = rce->count;
    uint32_t kept = 0;
    for (uint32_t j = 0; j < before; j++) {
        if (rce->neurons[j].radius < least) {
            continue;
        }
        if (kept != j) {
            rce->neurons[kept] = rce->neurons[j];
            memcpy(centre_of(rce, kept), centre_of(rce, j), rce->n * sizeof(float));
        }
        kept++;
    }
    const int changed = rce->changes != 0 || kept != before;
    rce->count = kept;
    rce->removed += before - kept;
    rce->changes = 0;
    return changed ? AC_RCE_CHANGED : AC_RCE_CONVERGED;
}

int ac_rce_fit(ac_rce *rce, const float *x, const uint16_t *labels, uint32_t F, uint32_t epochs) {
    if (rce == NULL || rce->centres == NULL || x == NULL || labels == NULL) {
        return AC_RCE_BAD_CALL;
    }
    int ended = AC_RCE_CHANGED;
    for (uint32_t epoch = 0; epoch < epochs && ended == AC_RCE_CHANGED; epoch++) {
        for (uint32_t i = 0; i < F; i++) {
            const int done = ac_rce_learn(rce, x + (size_t)i * rce->n, labels[i]);
            if (done < 0) {
                return done;
            }
        }
        ended = ac_rce_end_epoch(rce);
    }
    return ended;
}

int ac_rce_classify(ac_rce *rce, const float *x, ac_rce_result *result) {
    if (rce == NULL || rce->centres == NULL || x == NULL || result == NULL) {
        return AC_RCE_BAD_CALL;
    }
    if (ac_vector_not_finite(x, rce->n) != 0) {
        return AC_RCE_NOT_FINITE;
    }
    const ac_rce_neuron *neurons = rce->neurons;
    ac_rce_result found = {AC_RCE_NONE, AC_RCE_NONE, 0.0f, 0};
    uint32_t others = 0; /* that fired with another label than the nearest so far */
    int32_t first = AC_RCE_NONE;
    for (uint32_t j = 0; j < rce->count; j++) {
        const float distance = ac_vector_distance(x, centre_of(rce, j), rce->n);
        const int fires = distance < neurons[j].radius;
        if (fires) {
            first = first == AC_RCE_NONE ? neurons[j].label : first;
            others += neurons[j].label != first ? 1u : 0u;
        }
        /* What fires goes before what does not, then the nearer one. */
        const int better = fires ? found.fired == 0 || distance < found.distance
                                 : found.fired == 0 && (found.neuron < 0 || distance < found.distance);
        found.fired += fires ? 1u : 0u;
        if (better) {
            found.label = neurons[j].label;
            found.neuron = (int32_t)j;
            found.distance = distance;
        }
    }
    rce->distances += rce->count;
    *result = found;
    if (found.fired == 0) {
        return AC_RCE_UNKNOWN;
    }
    return others != 0 ? AC_RCE_AMBIGUOUS : AC_RCE_KNOWN;
}

int ac_rce_serve(ac_rce *rce, const float *x, ac_rce_ask ask, void *user, ac_rce_result *result) {
    if (ask == NULL) {
        return AC_RCE_BAD_CALL;
    }
    const int found = ac_rce_classify(rce, x, result);
    if (found != AC_RCE_UNKNOWN) {
        return found;
    }
    const int32_t label = ask(user, x, result->label);
    if (label < 0) {
        return found;
    }
    const int done = ac_rce_learn(rce, x, label);
    if (done >= 0) {
        result->label = label;
    }
    return done;
}
