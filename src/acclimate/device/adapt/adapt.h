/* SPDX-License-Identifier: Apache-2.0 */
/* One session of adaptation as a state machine: it listens to the noise of a place, scores the model that is
 * there, learns stored utterances in that noise, scores what came of it, and saves the new model or loads the
 * old one again. Every call of ac_adapt_step does one bounded piece of that work, so between two calls the
 * firmware can classify, sleep, or lose its power.
 *
 *     ac_adapt adapt;
 *     ac_adapt_start(&adapt, &parts, &settings, ticks());
 *     while (adapt.phase != AC_ADAPT_IDLE)           whenever there is time
 *         ac_adapt_step(&adapt, ticks(), energy());
 *     if (adapt.outcome == AC_ADAPT_ADAPTED) ...
 *
 *     RECORDING -> [KEEPING ->] SCORING_OLD -> LEARNING -> SCORING_NEW -> SAVING or ROLLING_BACK -> IDLE
 *
 * The model is reached through pointers to functions, so any generated model will do. There is one copy of
 * its weights in RAM: whoever predicts during LEARNING uses them as they then are. The model before the
 * session is the one in the store; where the store is empty KEEPING writes it there first, so that a roll
 * back and a power failure at any moment lead back to it, bit for bit. */
#ifndef AC_ADAPT_H
#define AC_ADAPT_H

#include "../batch/batch.h"
#include "../flash/flash.h"
#include "../guard/guard.h"
#include "../mix/mix.h"
#include "../noise/noise.h"
#include "../random/random.h"
#include "../scores/scores.h"
#include "../store/store.h"
#include "../team/team.h"
#include "../utterances/utterances.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Phases. */
enum {
    AC_ADAPT_IDLE = 0,
    AC_ADAPT_RECORDING = 1,
    AC_ADAPT_KEEPING = 2, /* the store is empty: the model goes there before it changes */
    AC_ADAPT_SCORING_OLD = 3,
    AC_ADAPT_LEARNING = 4,
    AC_ADAPT_SCORING_NEW = 5,
    AC_ADAPT_SAVING = 6,
    AC_ADAPT_ROLLING_BACK = 7
};

/* What a step did. */
enum {
    AC_ADAPT_NOTHING = 0,  /* there is no session */
    AC_ADAPT_WAITED = 1,   /* the microphone has no frame yet */
    AC_ADAPT_HEARD = 2,    /* took a frame */
    AC_ADAPT_JUDGED = 3,   /* the recording was ended */
    AC_ADAPT_READ = 4,     /* an utterance was read */
    AC_ADAPT_MIXED = 5,    /* noise was put under it */
    AC_ADAPT_FEATURED = 6, /* its features were computed */
    AC_ADAPT_TRAINED = 7,  /* the model learned it */
    AC_ADAPT_SCORED = 8,   /* the model answered to it */
    AC_ADAPT_SKIPPED = 9,  /* it is damaged, too long, of another class, or its features failed */
    AC_ADAPT_DECIDED = 10,
    AC_ADAPT_ERASED = 11,    /* a sector */
    AC_ADAPT_WROTE = 12,     /* a part of the model */
    AC_ADAPT_COMMITTED = 13, /* what was written is the newest model */
    AC_ADAPT_LOADED = 14,    /* the old model is in RAM again */
    AC_ADAPT_FAILED = 15,    /* the store or the model returned an error */
    AC_ADAPT_SPENT = 16,     /* the budget ended the phase */
    AC_ADAPT_BAD_CALL = -1   /* an argument that cannot be; nothing has changed */
};

/* How a session ended, in `ac_adapt.outcome`. In all but ADAPTED and LOST the old model is as it was. */
enum {
    AC_ADAPT_UNDER_WAY = 0,
    AC_ADAPT_ADAPTED = 1,       /* the new model is in RAM and in the store */
    AC_ADAPT_ROLLED_BACK = 2,   /* guard.reason says why */
    AC_ADAPT_NOISE_REFUSED = 3, /* noise_status says why */
    AC_ADAPT_OUT_OF_BUDGET = 4, /* time or energy were spent before anything was learned, or twice */
    AC_ADAPT_STOPPED = 5,       /* by ac_adapt_stop */
    AC_ADAPT_NOT_KEPT = 6,      /* the store takes no model, so nothing was learned */
    AC_ADAPT_NOT_SAVED = 7,     /* the new model was good, but the store failed */
    AC_ADAPT_LOST = 8           /* the old model cannot be loaded from the store: start the program again */
};

/* The entry points of a model. `features` and `predict` return 0, or an error; `train` makes one step on one
 * sample and returns the loss before it; `save` and `load` are those of a generated model, with callbacks of
 * the store, and return 0 or an error; `check` may be NULL, or shows what was learned to ac_guard_weights. */
typedef int (*ac_adapt_features)(void *user, float *x, const int16_t *pcm);
typedef int (*ac_adapt_predict)(void *user, float *scores, const float *x);
typedef float (*ac_adapt_train)(void *user, const float *x, int32_t label, float lr);
typedef int (*ac_adapt_save)(void *user, ac_flash_write write, void *to);
typedef int (*ac_adapt_load)(void *user, ac_flash_read read, void *from);
typedef int (*ac_adapt_check)(void *user, ac_guard *guard);

/* The next frame of the microphone: 1 if there was one, 0 if not yet. */
typedef int (*ac_adapt_microphone)(void *user, int16_t *frame);

typedef struct {
    ac_adapt_features features;
    ac_adapt_predict predict;
    ac_adapt_train train;
    ac_adapt_save save;
    ac_adapt_load load;
    ac_adapt_check check;
    void *user;
    uint32_t samples;          /* of an utterance, as features wants them */
    uint32_t inputs;           /* values of x */
    uint32_t classes;          /* scores */
    uint32_t checkpoint_bytes; /* that save writes */
} ac_adapt_model;

/* What a session works with. All of it belongs to the caller, and stays where it is until the end. */
typedef struct {
    const ac_adapt_model *model;
    ac_store *store;          /* open; the model in RAM is the one in it, if there is one */
    const ac_utterances *log; /* open; the first settings.held_out ones are scored and never learned */
    ac_adapt_microphone microphone;
    void *user;          /* of the microphone */
    int16_t *ring;       /* of noise: [frames * settings.noise.frame] */
    uint32_t frames;     /* of the ring */
    int16_t *pcm;        /* [model.samples], at least a frame; see ac_adapt_disturb */
    float *x;            /* [model.inputs], for the session alone */
    float *scores;       /* [model.classes] */
    uint8_t *labels;     /* [log.count - held_out]: classes take turns; NULL: any order */
    const ac_team *team; /* that reads and mixes utterances; NULL: the caller alone */
} ac_adapt_parts;

typedef struct {
    uint32_t held_out; /* utterances, at least 1 */
    int score_clean;   /* 1: held-out utterances are scored without noise as well */
    uint32_t
        held_out_noise;    /* samples at the end of the recording, under held-out utterances alone; 0: any */
    uint32_t heard_frames; /* at most, while recording */
    uint32_t epochs;
    float lr; /* of the first step; it falls in a straight line to zero */
    float clean_share;
    float snr_low_db; /* of the mixtures, drawn between the two */
    float snr_high_db;
    int32_t shift;   /* samples, at most, either way */
    int32_t silence; /* the class that is noise alone; -1: none */
    uint32_t seed;
    uint32_t piece_bytes; /* of the model that a step writes; 0: all */
    ac_noise_settings noise;
    ac_guard_limits limits; /* its budgets count from the start of the session */
} ac_adapt_settings;

/* Belongs to the caller, who only reads it. */
typedef struct {
    const ac_adapt_parts *parts;
    const ac_adapt_settings *settings;
    ac_guard guard;
    ac_noise noise;
    ac_batch batch;
    ac_random random;
    ac_batch_draw draw; /* the utterance that is worked on */
    float snr_db;
    int32_t shift;
    int32_t crop;
    int32_t label;
    int phase;
    int next; /* piece: what the next step does with an utterance or with the store */
    int outcome;
    int ending; /* outcome after the roll back */
    int noise_status;
    uint32_t epoch_draws; /* utterances that can be learned */
    uint32_t drawn;       /* or scored, in this phase */
    uint32_t trained;     /* steps */
    uint32_t skipped;     /* utterances */
    uint32_t disturbed;   /* utterances that were read again */
    uint32_t heard;       /* frames */
    uint32_t saved;       /* [B] of the model */
    uint32_t until;       /* [B]: the end of the part that is written */
    uint32_t now;         /* clock at the last step */
    uint32_t pending_nj;  /* since the last training step */
    uint64_t ticks;       /* since the start */
    uint64_t energy_nj;   /* since the start */
} ac_adapt;

/* Begins a session at clock `now`. NOTHING, or BAD_CALL: then there is no session. One that is under way is
 * forgotten, with what it left in RAM: stop it first. */
int ac_adapt_start(ac_adapt *adapt, const ac_adapt_parts *parts, const ac_adapt_settings *settings,
                   uint32_t now);

/* Does the next piece of work, at clock `now`, and tells what it was. `energy_nj` was spent since the last
 * call [nJ]; 0 if nobody knows. */
int ac_adapt_step(ac_adapt *adapt, uint32_t now, uint32_t energy_nj);

/* Says that parts.pcm was overwritten, by a window that had to be classified: the utterance is read again if
 * its samples are still needed. NOTE: a firmware that does so before every third step gets nowhere. */
void ac_adapt_disturb(ac_adapt *adapt);

/* Ends a session early: the old model comes back in the steps that follow. */
void ac_adapt_stop(ac_adapt *adapt);

#ifdef __cplusplus
}
#endif

#endif
