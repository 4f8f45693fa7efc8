/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <stddef.h>
#include <string.h>

/* By its bits: `v - v == 0` is what a compiler with -ffast-math removes. */
static int is_finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

static int within(float v, float low, float high) {
    return is_finite(v) && v >= low && v <= high;
}

static int are_possible(const ac_guard_limits *limits) {
    return within(limits->margin, -1.0f, 1.0f) && within(limits->loss_ratio, 0.0f, 1e6f) &&
           (limits->explosion == 0.0f ||
            (within(limits->explosion, 1.0f, 1e6f) && limits->explosion > 1.0f)) &&
           within(limits->least_mean, 0.0f, 1e6f) && within(limits->inertia, 0.0f, 1.0f) &&
           limits->inertia < 1.0f;
}

static int end(ac_guard *guard, int verdict, int reason) {
    guard->verdict = verdict;
    guard->reason = reason;
    return verdict;
}

int ac_guard_start(ac_guard *guard, const ac_guard_limits *limits, uint32_t now) {
    if (guard == NULL || limits == NULL || !are_possible(limits)) {
        return AC_GUARD_BAD_CALL;
    }
    memset(guard, 0, sizeof *guard);
    guard->limits = *limits;
    guard->now = now;
    return AC_GUARD_CONTINUE;
}

/* Compared before the mean moves: one loss must not excuse itself. */
static int has_exploded(const ac_guard *guard, float loss) {
    const ac_guard_limits *limits = &guard->limits;
    const float mean = guard->mean > limits->least_mean ? guard->mean : limits->least_mean;
    return limits->explosion != 0.0f && guard->steps >= limits->warm_up && guard->steps > 0 &&
           loss > limits->explosion * mean;
}

int ac_guard_step(ac_guard *guard, float loss, uint32_t now, uint32_t energy_nj) {
    if (guard == NULL) {
        return AC_GUARD_BAD_CALL;
    }
    if (guard->verdict != AC_GUARD_CONTINUE) {
        return guard->verdict;
    }
    const ac_guard_limits *limits = &guard->limits;
    guard->ticks += now - guard->now;
    guard->now = now;
    guard->energy_nj += energy_nj;
    if (!is_finite(loss)) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_LOSS_NOT_FINITE);
    }
    if (has_exploded(guard, loss)) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_LOSS_EXPLODED);
    }
    const float inertia = guard->steps == 0 ? 0.0f : limits->inertia;
    guard->mean = inertia * guard->mean + (1.0f - inertia) * loss;
    guard->steps++;
    if (limits->steps != 0 && guard->steps >= limits->steps) {
        return end(guard, AC_GUARD_STOP, AC_GUARD_STEPS_SPENT);
    }
    if (limits->ticks != 0 && guard->ticks >= limits->ticks) {
        return end(guard, AC_GUARD_STOP, AC_GUARD_TIME_SPENT);
    }
    if (limits->energy_nj != 0 && guard->energy_nj >= limits->energy_nj) {
        return end(guard, AC_GUARD_STOP, AC_GUARD_ENERGY_SPENT);
    }
    return AC_GUARD_CONTINUE;
}

int ac_guard_weights(ac_guard *guard, const float *w, uint32_t count) {
    if (guard == NULL || (w == NULL && count != 0)) {
        return AC_GUARD_BAD_CALL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!is_finite(w[i])) {
            return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_WEIGHT_NOT_FINITE);
        }
    }
    return guard->verdict;
}

int ac_guard_answer(ac_guard *guard, int model, const float *scores, int32_t classes, int32_t label,
                    float loss) {
    if (guard == NULL || scores == NULL || (model != AC_GUARD_OLD && model != AC_GUARD_NEW) || label < 0 ||
        label >= classes) {
        return AC_GUARD_BAD_CALL;
    }
    int finite = is_finite(loss);
    int32_t best = 0;
    for (int32_t k = 0; k < classes; k++) {
        finite = finite && is_finite(scores[k]);
        best = scores[k] > scores[best] ? k : best;
    }
    guard->answers[model]++;
    if (!finite) {
        guard->not_finite[model]++;
        return guard->verdict;
    }
    guard->right[model] += best == label ? 1u : 0u;
    guard->losses[model] += loss;
    return guard->verdict;
}

int ac_guard_decide(ac_guard *guard) {
    if (guard == NULL) {
        return AC_GUARD_BAD_CALL;
    }
    if (guard->verdict == AC_GUARD_ROLL_BACK) {
        return guard->verdict;
    }
    const ac_guard_limits *limits = &guard->limits;
    const uint32_t answers = guard->answers[AC_GUARD_NEW];
    if (answers == 0 || answers != guard->answers[AC_GUARD_OLD]) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_NOT_SCORED);
    }
    if (guard->not_finite[AC_GUARD_NEW] != 0) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_SCORE_NOT_FINITE);
    }
    const float gained = (float)guard->right[AC_GUARD_NEW] - (float)guard->right[AC_GUARD_OLD];
    if (gained < limits->margin * (float)answers) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_FEWER_RIGHT);
    }
    /* Only answers that are numbers have a loss: with an old one that is none, the sums do not compare. */
    const int comparable = limits->loss_ratio != 0.0f && guard->not_finite[AC_GUARD_OLD] == 0;
    if (comparable && !(guard->losses[AC_GUARD_NEW] <= limits->loss_ratio * guard->losses[AC_GUARD_OLD])) {
        return end(guard, AC_GUARD_ROLL_BACK, AC_GUARD_HIGHER_LOSS);
    }
    return end(guard, AC_GUARD_KEEP, AC_GUARD_GOOD);
}
