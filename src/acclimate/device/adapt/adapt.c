/* SPDX-License-Identifier: Apache-2.0 */
#include "adapt.h"

#include <stddef.h>
#include <string.h>

#include "pieces.h"

static int within(float v, float low, float high) {
    return v >= low && v <= high; /* NaN is not */
}

static int is_model(const ac_adapt_model *model) {
    return model != NULL && model->features != NULL && model->predict != NULL && model->train != NULL &&
           model->save != NULL && model->load != NULL && model->samples > 0 &&
           model->samples <= INT32_MAX / 2 && model->inputs > 0 && model->classes > 0 &&
           model->classes <= INT32_MAX;
}

static int are_parts(const ac_adapt_parts *parts) {
    return parts != NULL && is_model(parts->model) && parts->store != NULL && parts->store->flash != NULL &&
           parts->log != NULL && parts->log->flash != NULL && parts->microphone != NULL &&
           parts->pcm != NULL && parts->x != NULL && parts->scores != NULL &&
           (parts->labels == NULL || parts->model->classes <= 256);
}

static int are_possible(const ac_adapt_settings *s, const ac_adapt_parts *parts) {
    const uint32_t T = parts->model->samples, stored = parts->log->count;
    if (s->held_out == 0 || stored <= s->held_out || stored > AC_BATCH_MAX || s->epochs == 0 ||
        s->epochs > UINT32_MAX / stored || s->heard_frames == 0) {
        return 0;
    }
    if (s->noise.frame > T || s->shift < 0 || (uint32_t)s->shift > T ||
        (s->held_out_noise != 0 && s->held_out_noise < T)) {
        return 0;
    }
    const float limit = (float)AC_MIX_DECIBELS_MAX;
    return within(s->lr, 0.0f, 1e6f) && within(s->clean_share, 0.0f, 1.0f) &&
           within(s->snr_low_db, -limit, limit) && within(s->snr_high_db, s->snr_low_db, limit);
}

int ac_adapt_start(ac_adapt *adapt, const ac_adapt_parts *parts, const ac_adapt_settings *settings,
                   uint32_t now) {
    if (adapt == NULL) {
        return AC_ADAPT_BAD_CALL;
    }
    memset(adapt, 0, sizeof *adapt);
    if (settings == NULL || !are_parts(parts) || !are_possible(settings, parts) ||
        ac_noise_start(&adapt->noise, &settings->noise, parts->ring, parts->frames) != AC_NOISE_OK ||
        ac_guard_start(&adapt->guard, &settings->limits, now) != AC_GUARD_CONTINUE) {
        return AC_ADAPT_BAD_CALL;
    }
    adapt->parts = parts;
    adapt->settings = settings;
    adapt->now = now;
    adapt->epoch_draws = parts->log->count - settings->held_out;
    adapt->phase = AC_ADAPT_RECORDING;
    return AC_ADAPT_NOTHING;
}

static int has_begun(const ac_adapt *adapt) {
    return adapt->parts != NULL && adapt->settings != NULL && adapt->phase != AC_ADAPT_IDLE;
}

/* `times` the budget of time or of energy are over. */
static int is_spent(const ac_adapt *adapt, uint32_t times) {
    const ac_guard_limits *limits = &adapt->settings->limits;
    return (limits->ticks != 0 && adapt->ticks / times >= limits->ticks) ||
           (limits->energy_nj != 0 && adapt->energy_nj / times >= limits->energy_nj);
}

/* Ends what the budget has no time left for; 1 if it did. What was learned may take as long again until it
 * is scored: a session ends, however often it is disturbed. */
static int spend(ac_adapt *adapt) {
    const int early = adapt->phase < AC_ADAPT_LEARNING;
    if (early && is_spent(adapt, 1)) {
        ac_adapt_end(adapt, AC_ADAPT_OUT_OF_BUDGET);
        return 1;
    }
    if (adapt->phase == AC_ADAPT_LEARNING && is_spent(adapt, 1)) {
        ac_adapt_learned(adapt);
        return 1;
    }
    if (adapt->phase == AC_ADAPT_SCORING_NEW && is_spent(adapt, 2)) {
        ac_adapt_roll_back(adapt, AC_ADAPT_OUT_OF_BUDGET);
        return 1;
    }
    return 0;
}

int ac_adapt_step(ac_adapt *adapt, uint32_t now, uint32_t energy_nj) {
    if (adapt == NULL) {
        return AC_ADAPT_BAD_CALL;
    }
    if (!has_begun(adapt)) {
        return AC_ADAPT_NOTHING;
    }
    adapt->ticks += now - adapt->now;
    adapt->now = now;
    adapt->energy_nj += energy_nj;
    adapt->pending_nj =
        energy_nj > UINT32_MAX - adapt->pending_nj ? UINT32_MAX : adapt->pending_nj + energy_nj;
    if (spend(adapt)) {
        return AC_ADAPT_SPENT;
    }
    switch (adapt->phase) {
    case AC_ADAPT_RECORDING:
        return ac_adapt_record(adapt);
    case AC_ADAPT_KEEPING:
    case AC_ADAPT_SAVING:
        return ac_adapt_write(adapt);
    case AC_ADAPT_ROLLING_BACK:
        return ac_adapt_reload(adapt);
    default:
        return ac_adapt_work(adapt);
    }
}

void ac_adapt_disturb(ac_adapt *adapt) {
    if (adapt != NULL && has_begun(adapt) &&
        (adapt->next == AC_ADAPT_MIXED || adapt->next == AC_ADAPT_FEATURED)) {
        adapt->next = AC_ADAPT_READ;
        adapt->disturbed++;
    }
}

void ac_adapt_stop(ac_adapt *adapt) {
    if (adapt == NULL || !has_begun(adapt) || adapt->phase == AC_ADAPT_ROLLING_BACK) {
        return;
    }
    if (adapt->trained == 0) {
        ac_adapt_end(adapt, AC_ADAPT_STOPPED);
    } else {
        ac_adapt_roll_back(adapt, AC_ADAPT_STOPPED);
    }
}
