/* SPDX-License-Identifier: Apache-2.0 */
/* Decides whether an adapted model replaces the old one, and ends a session of learning in time.
 *
 *     ac_guard guard;
 *     ac_guard_start(&guard, &limits, ticks());
 *     int verdict = AC_GUARD_CONTINUE;
 *     while (verdict == AC_GUARD_CONTINUE)
 *         verdict = ac_guard_step(&guard, kws_train(x, y, lr), ticks(), STEP_NJ);
 *     ac_guard_weights(&guard, kws_fc1_w, sizeof kws_fc1_w / sizeof *kws_fc1_w);
 *     for every held-out utterance, with the old weights and with the new ones:
 *         ac_guard_answer(&guard, AC_GUARD_NEW, scores, 12, label, loss);
 *     if (ac_guard_decide(&guard) == AC_GUARD_KEEP)
 *         save the model */
#ifndef AC_GUARD_H
#define AC_GUARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Verdicts. */
enum {
    AC_GUARD_CONTINUE = 0,
    AC_GUARD_STOP = 1,      /* a budget is spent: score what was learned, then decide */
    AC_GUARD_ROLL_BACK = 2, /* what was learned is worth nothing: load the old model again */
    AC_GUARD_KEEP = 3,
    AC_GUARD_BAD_CALL = -1 /* an argument that cannot be; nothing was counted */
};

/* Reasons, in `ac_guard.reason`. */
enum {
    AC_GUARD_NONE = 0,
    AC_GUARD_STEPS_SPENT = 1,
    AC_GUARD_TIME_SPENT = 2,
    AC_GUARD_ENERGY_SPENT = 3,
    AC_GUARD_LOSS_NOT_FINITE = 4,
    AC_GUARD_LOSS_EXPLODED = 5,
    AC_GUARD_WEIGHT_NOT_FINITE = 6,
    AC_GUARD_SCORE_NOT_FINITE = 7, /* of the new model, on the held-out set */
    AC_GUARD_NOT_SCORED = 8,       /* no answers, or not as many of both models */
    AC_GUARD_FEWER_RIGHT = 9,      /* the new model does not gain the margin */
    AC_GUARD_HIGHER_LOSS = 10,     /* the new model's loss is above loss_ratio times the old one's */
    AC_GUARD_GOOD = 11             /* none of these */
};

/* Whose answer it is. */
enum { AC_GUARD_OLD = 0, AC_GUARD_NEW = 1 };

typedef struct {
    float margin;       /* the new model is right at least `margin` x answers more often; -1 .. 1 */
    float loss_ratio;   /* and its loss at most this many times the old one's; 0: losses do not count */
    float explosion;    /* a loss above this many times the running mean has exploded; > 1, 0: never */
    float least_mean;   /* the running mean counts as at least this much: a loss near 0 may grow; >= 0 */
    float inertia;      /* share of the running mean that a step keeps, 0 .. below 1 */
    uint32_t warm_up;   /* steps before the ratio is looked at */
    uint32_t steps;     /* budgets; 0: none */
    uint64_t ticks;     /* of the caller's clock */
    uint64_t energy_nj; /* [nJ] */
} ac_guard_limits;

/* Belongs to the caller, who only reads it. */
typedef struct {
    ac_guard_limits limits;
    uint64_t ticks;     /* since the start */
    uint64_t energy_nj; /* since the start */
    uint32_t steps;     /* since the start */
    uint32_t now;       /* clock at the last step */
    float mean;         /* running mean of the losses */
    float losses[2];    /* sums over the held-out set: of the old model, of the new one */
    uint32_t answers[2];
    uint32_t right[2];
    uint32_t not_finite[2]; /* answers with a NaN or infinity, which count as wrong */
    int verdict;
    int reason;
} ac_guard;

/* Begins a session at clock `now`. BAD_CALL if a limit is NaN or out of its range. */
int ac_guard_start(ac_guard *guard, const ac_guard_limits *limits, uint32_t now);

/* After each training step: its loss, the clock (which may wrap around between two steps once) and its energy
 * [nJ]. CONTINUE, or the verdict that ends the session, which stays. */
int ac_guard_step(ac_guard *guard, float loss, uint32_t now, uint32_t energy_nj);

/* Rolls back if one of w[count] is NaN or infinite. */
int ac_guard_weights(ac_guard *guard, const float *w, uint32_t count);

/* Counts an answer of a model, OLD or NEW, to one held-out sample: its scores[classes] with their loss.
 * Right is the first of the greatest scores. BAD_CALL for a label that is no class. */
int ac_guard_answer(ac_guard *guard, int model, const float *scores, int32_t classes, int32_t label,
                    float loss);

/* KEEP or ROLL_BACK, and the reason. */
int ac_guard_decide(ac_guard *guard);

#ifdef __cplusplus
}
#endif

#endif
