/* SPDX-License-Identifier: Apache-2.0 */
#include "pieces.h"

#include <stddef.h>
#include <string.h>

/* Streams of random numbers: 0 is what is learned, the others belong to held-out utterances, which so get the
 * same noise from both models. */
enum { LEARNED_STREAM = 0, HELD_OUT_STREAM = 1 };

void ac_adapt_end(ac_adapt *adapt, int outcome) {
    adapt->phase = AC_ADAPT_IDLE;
    adapt->next = AC_ADAPT_NOTHING;
    adapt->outcome = outcome;
}

void ac_adapt_roll_back(ac_adapt *adapt, int outcome) {
    adapt->phase = AC_ADAPT_ROLLING_BACK;
    adapt->next = AC_ADAPT_LOADED;
    adapt->ending = outcome;
}

/* ---- which utterance, in which noise */

static uint64_t wanted(const ac_adapt *adapt) {
    const ac_adapt_settings *s = adapt->settings;
    if (adapt->phase == AC_ADAPT_LEARNING) {
        return (uint64_t)adapt->epoch_draws * s->epochs;
    }
    return (uint64_t)s->held_out * (s->score_clean ? 2 : 1);
}

static void choose_learned(ac_adapt *adapt) {
    const ac_adapt_settings *s = adapt->settings;
    const uint32_t crops = adapt->noise.samples - s->held_out_noise - adapt->parts->model->samples + 1;
    ac_batch_next(&adapt->batch, &adapt->draw);
    adapt->draw.utterance += s->held_out;
    adapt->shift = ac_random_between(&adapt->random, -s->shift, s->shift);
    adapt->crop = (int32_t)ac_random_below(&adapt->random, crops);
    adapt->snr_db = s->snr_low_db + (s->snr_high_db - s->snr_low_db) * ac_random_unit(&adapt->random);
}

static void choose_held_out(ac_adapt *adapt) {
    const ac_adapt_settings *s = adapt->settings;
    const uint32_t all = adapt->noise.samples;
    const uint32_t first = s->held_out_noise == 0 ? 0 : all - s->held_out_noise;
    adapt->draw.clean = adapt->drawn >= s->held_out;
    adapt->draw.utterance = adapt->draw.clean ? adapt->drawn - s->held_out : adapt->drawn;
    ac_random_seed(&adapt->random, s->seed, HELD_OUT_STREAM + (uint64_t)adapt->draw.utterance);
    adapt->shift = 0;
    adapt->crop =
        (int32_t)(first + ac_random_below(&adapt->random, all - first - adapt->parts->model->samples + 1));
    adapt->snr_db = s->snr_low_db + (s->snr_high_db - s->snr_low_db) * ac_random_unit(&adapt->random);
}

static void choose(ac_adapt *adapt) {
    adapt->next = AC_ADAPT_READ;
    if (adapt->phase == AC_ADAPT_LEARNING) {
        choose_learned(adapt);
    } else {
        choose_held_out(adapt);
    }
}

static void enter(ac_adapt *adapt, int phase) {
    adapt->phase = phase;
    adapt->drawn = 0;
    adapt->saved = 0;
    adapt->next = AC_ADAPT_NOTHING;
    if (phase == AC_ADAPT_SCORING_OLD || phase == AC_ADAPT_LEARNING || phase == AC_ADAPT_SCORING_NEW) {
        choose(adapt);
    }
}

static void begin_learning(ac_adapt *adapt) {
    const ac_adapt_settings *s = adapt->settings;
    const ac_utterances *log = adapt->parts->log;
    uint8_t *labels = adapt->parts->labels;
    const uint32_t N = adapt->epoch_draws;
    for (uint32_t i = 0; labels != NULL && i < N; i++) {
        const uint32_t number = s->held_out + i;
        const uint32_t label = number < log->count ? log->index[number].label : 0u;
        labels[i] = (uint8_t)(label < 255u ? label : 255u);
    }
    if (labels != NULL) {
        ac_batch_start_balanced(&adapt->batch, N, s->clean_share, s->seed, labels);
    } else {
        ac_batch_start(&adapt->batch, N, s->clean_share, s->seed);
    }
    ac_random_seed(&adapt->random, s->seed, LEARNED_STREAM);
    enter(adapt, AC_ADAPT_LEARNING);
}

void ac_adapt_learned(ac_adapt *adapt) {
    const ac_adapt_model *model = adapt->parts->model;
    if (adapt->trained == 0) {
        /* Nothing has changed, so there is nothing to score and nothing to load. */
        ac_adapt_end(adapt, AC_ADAPT_OUT_OF_BUDGET);
        return;
    }
    if (model->check != NULL) {
        model->check(model->user, &adapt->guard);
    }
    if (adapt->guard.verdict == AC_GUARD_ROLL_BACK) {
        ac_adapt_roll_back(adapt, AC_ADAPT_ROLLED_BACK);
    } else {
        enter(adapt, AC_ADAPT_SCORING_NEW);
    }
}

/* The utterance is done with: the next one, or the next phase. */
static void advance(ac_adapt *adapt) {
    adapt->drawn++;
    if (adapt->drawn < wanted(adapt)) {
        choose(adapt);
    } else if (adapt->phase == AC_ADAPT_SCORING_OLD) {
        begin_learning(adapt);
    } else if (adapt->phase == AC_ADAPT_LEARNING) {
        ac_adapt_learned(adapt);
    } else {
        adapt->next = AC_ADAPT_DECIDED;
    }
}

static int skip(ac_adapt *adapt) {
    adapt->skipped++;
    advance(adapt);
    return AC_ADAPT_SKIPPED;
}

/* ---- one utterance, piece by piece */

static int read_utterance(ac_adapt *adapt) {
    const ac_adapt_parts *parts = adapt->parts;
    const uint32_t number = adapt->draw.utterance, T = parts->model->samples;
    if (ac_utterances_read_s16_by(parts->team, parts->log, number, parts->pcm, T) != AC_UTTERANCES_OK) {
        return skip(adapt);
    }
    const ac_utterances_entry *entry = &parts->log->index[number];
    if (entry->label >= parts->model->classes) {
        return skip(adapt);
    }
    memset(parts->pcm + entry->count, 0, (T - entry->count) * sizeof *parts->pcm);
    adapt->label = entry->label;
    adapt->next = adapt->draw.clean ? AC_ADAPT_FEATURED : AC_ADAPT_MIXED;
    return AC_ADAPT_READ;
}

static int mix(ac_adapt *adapt) {
    const ac_adapt_parts *parts = adapt->parts;
    const int32_t T = (int32_t)parts->model->samples;
    /* In noise the class of silence is that noise, as loud as it was recorded. */
    if (adapt->label == adapt->settings->silence) {
        memset(parts->pcm, 0, (uint32_t)T * sizeof *parts->pcm);
    }
    ac_mix_s16_by(parts->team, parts->pcm, parts->pcm, parts->ring, T, (int32_t)adapt->noise.samples,
                  adapt->shift, adapt->crop, adapt->snr_db, NULL);
    adapt->next = AC_ADAPT_FEATURED;
    return AC_ADAPT_MIXED;
}

static int featurize(ac_adapt *adapt) {
    const ac_adapt_parts *parts = adapt->parts;
    if (parts->model->features(parts->model->user, parts->x, parts->pcm) != 0) {
        return skip(adapt);
    }
    adapt->next = adapt->phase == AC_ADAPT_LEARNING ? AC_ADAPT_TRAINED : AC_ADAPT_SCORED;
    return AC_ADAPT_FEATURED;
}

static int train(ac_adapt *adapt) {
    const ac_adapt_model *model = adapt->parts->model;
    const float left = 1.0f - (float)adapt->drawn / (float)wanted(adapt);
    const float loss = model->train(model->user, adapt->parts->x, adapt->label, adapt->settings->lr * left);
    const int verdict = ac_guard_step(&adapt->guard, loss, adapt->now, adapt->pending_nj);
    adapt->pending_nj = 0;
    adapt->trained++;
    if (verdict == AC_GUARD_ROLL_BACK) {
        ac_adapt_roll_back(adapt, AC_ADAPT_ROLLED_BACK);
    } else if (verdict == AC_GUARD_STOP) {
        ac_adapt_learned(adapt);
    } else {
        advance(adapt);
    }
    return AC_ADAPT_TRAINED;
}

static int score(ac_adapt *adapt) {
    const ac_adapt_parts *parts = adapt->parts;
    const int32_t classes = (int32_t)parts->model->classes;
    const int whose = adapt->phase == AC_ADAPT_SCORING_OLD ? AC_GUARD_OLD : AC_GUARD_NEW;
    float loss = 0.0f;
    if (parts->model->predict(parts->model->user, parts->scores, parts->x) != 0) {
        return skip(adapt);
    }
    /* Scores that are no numbers leave no loss; the guard looks at them itself. */
    (void)ac_scores_cross_entropy(&loss, parts->scores, classes, adapt->label);
    ac_guard_answer(&adapt->guard, whose, parts->scores, classes, adapt->label, loss);
    advance(adapt);
    return AC_ADAPT_SCORED;
}

static int decide(ac_adapt *adapt) {
    if (ac_guard_decide(&adapt->guard) == AC_GUARD_KEEP) {
        enter(adapt, AC_ADAPT_SAVING);
    } else {
        ac_adapt_roll_back(adapt, AC_ADAPT_ROLLED_BACK);
    }
    return AC_ADAPT_DECIDED;
}

int ac_adapt_work(ac_adapt *adapt) {
    switch (adapt->next) {
    case AC_ADAPT_READ:
        return read_utterance(adapt);
    case AC_ADAPT_MIXED:
        return mix(adapt);
    case AC_ADAPT_FEATURED:
        return featurize(adapt);
    case AC_ADAPT_TRAINED:
        return train(adapt);
    case AC_ADAPT_SCORED:
        return score(adapt);
    default:
        return decide(adapt);
    }
}

/* ---- noise */

static int judge(ac_adapt *adapt) {
    const uint64_t needed = (uint64_t)adapt->settings->held_out_noise + adapt->parts->model->samples;
    adapt->noise_status = ac_noise_finish(&adapt->noise);
    if (adapt->noise_status == AC_NOISE_OK && adapt->noise.samples < needed) {
        adapt->noise_status = AC_NOISE_TOO_SHORT;
    }
    if (adapt->noise_status != AC_NOISE_OK) {
        ac_adapt_end(adapt, AC_ADAPT_NOISE_REFUSED);
    } else {
        enter(adapt, adapt->parts->store->current < 0 ? AC_ADAPT_KEEPING : AC_ADAPT_SCORING_OLD);
    }
    return AC_ADAPT_JUDGED;
}

int ac_adapt_record(ac_adapt *adapt) {
    const ac_adapt_parts *parts = adapt->parts;
    if (adapt->heard >= adapt->settings->heard_frames || adapt->noise.kept == parts->frames) {
        return judge(adapt);
    }
    if (parts->microphone(parts->user, parts->pcm) != 1) {
        return AC_ADAPT_WAITED;
    }
    adapt->heard++;
    (void)ac_noise_push(&adapt->noise, parts->pcm);
    return AC_ADAPT_HEARD;
}

/* ---- the store */

/* Passes on what belongs to the part that is written: `save` tells all of the model every time. */
static int write_part(void *user, uint32_t at, const void *data, uint32_t size) {
    const ac_adapt *adapt = user;
    const uint32_t all = adapt->parts->model->checkpoint_bytes;
    if (at > all || size > all - at) {
        return AC_STORE_TOO_LARGE;
    }
    const uint32_t low = at > adapt->saved ? at : adapt->saved;
    const uint32_t high = at + size < adapt->until ? at + size : adapt->until;
    if (low >= high) {
        return AC_STORE_OK;
    }
    return ac_store_write(adapt->parts->store, low, (const uint8_t *)data + (low - at), high - low);
}

static int fail(ac_adapt *adapt) {
    if (adapt->phase == AC_ADAPT_KEEPING) {
        ac_adapt_end(adapt, AC_ADAPT_NOT_KEPT);
    } else {
        ac_adapt_roll_back(adapt, AC_ADAPT_NOT_SAVED);
    }
    return AC_ADAPT_FAILED;
}

static int erase(ac_adapt *adapt) {
    ac_store *store = adapt->parts->store;
    const uint32_t all = adapt->parts->model->checkpoint_bytes;
    if (adapt->next == AC_ADAPT_NOTHING && ac_store_prepare(store, all) != AC_STORE_OK) {
        return fail(adapt);
    }
    const int status = ac_store_erase(store);
    if (status != AC_STORE_OK && status != AC_STORE_MORE) {
        return fail(adapt);
    }
    adapt->next = status == AC_STORE_MORE ? AC_ADAPT_ERASED : AC_ADAPT_WROTE;
    return AC_ADAPT_ERASED;
}

static int write_next(ac_adapt *adapt) {
    const ac_adapt_model *model = adapt->parts->model;
    const uint32_t all = model->checkpoint_bytes, piece = adapt->settings->piece_bytes;
    adapt->until = piece == 0 || all - adapt->saved < piece ? all : adapt->saved + piece;
    if (model->save(model->user, write_part, adapt) != 0) {
        return fail(adapt);
    }
    adapt->saved = adapt->until;
    adapt->next = adapt->saved == all ? AC_ADAPT_COMMITTED : AC_ADAPT_WROTE;
    return AC_ADAPT_WROTE;
}

static int commit(ac_adapt *adapt) {
    if (ac_store_commit(adapt->parts->store) != AC_STORE_OK) {
        return fail(adapt);
    }
    if (adapt->phase == AC_ADAPT_KEEPING) {
        enter(adapt, AC_ADAPT_SCORING_OLD);
    } else {
        ac_adapt_end(adapt, AC_ADAPT_ADAPTED);
    }
    return AC_ADAPT_COMMITTED;
}

int ac_adapt_write(ac_adapt *adapt) {
    switch (adapt->next) {
    case AC_ADAPT_WROTE:
        return write_next(adapt);
    case AC_ADAPT_COMMITTED:
        return commit(adapt);
    default:
        return erase(adapt);
    }
}

int ac_adapt_reload(ac_adapt *adapt) {
    const ac_adapt_model *model = adapt->parts->model;
    if (model->load(model->user, ac_store_read, adapt->parts->store) != 0) {
        ac_adapt_end(adapt, AC_ADAPT_LOST);
        return AC_ADAPT_FAILED;
    }
    ac_adapt_end(adapt, adapt->ending);
    return AC_ADAPT_LOADED;
}
