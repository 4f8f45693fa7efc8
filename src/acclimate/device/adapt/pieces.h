/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of a session: a part of the module `adapt`, not for others. */
#ifndef AC_ADAPT_PIECES_H
#define AC_ADAPT_PIECES_H

#include "adapt.h"

/* The session is over, with this outcome. */
void ac_adapt_end(ac_adapt *adapt, int outcome);

/* The old model comes back, then the session is over. */
void ac_adapt_roll_back(ac_adapt *adapt, int outcome);

/* Nothing more is learned: on to scoring, or back. */
void ac_adapt_learned(ac_adapt *adapt);

/* One piece of a phase; they return what they did. */
int ac_adapt_record(ac_adapt *adapt);
int ac_adapt_work(ac_adapt *adapt); /* on an utterance, to score or to learn */
int ac_adapt_write(ac_adapt *adapt);
int ac_adapt_reload(ac_adapt *adapt);

#endif
