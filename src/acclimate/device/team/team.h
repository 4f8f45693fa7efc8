/* SPDX-License-Identifier: Apache-2.0 */
/* Work that is cut into parts, for the cores of a device. A team is one function and a number:
 *
 *     static const ac_team team = {ac_fork, 8};      port.h of a generated model has ac_fork
 *
 * Modules take a team where there is much to do. Without one (NULL) the caller does all parts himself. */
#ifndef AC_TEAM_H
#define AC_TEAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AC_TEAM_MOST 16

/* Does part 0 .. parts - 1 of some work. Parts share no data that one of them writes. */
typedef void (*ac_team_part)(void *work, int32_t part);

/* Calls part(work, i) for every i in 0 .. parts - 1, at once or in any order, and returns when all are done.
 * A part needs no more than 512 B of stack. */
typedef void (*ac_team_fork)(ac_team_part part, void *work, int32_t parts);

typedef struct {
    ac_team_fork fork;
    int32_t parts; /* at most AC_TEAM_MOST */
} ac_team;

/* Into how many parts a team cuts work: 1 if there is no team, or it cannot be one. */
uint32_t ac_team_parts(const ac_team *team);

/* Does all parts; nothing without a function. */
void ac_team_do(const ac_team *team, ac_team_part part, void *work);

/* Where a part of `count` things begins; part number `parts` begins at their end. 0 if there are no
 * parts. Sizes differ by 1 at most. */
uint32_t ac_team_begin(uint32_t count, uint32_t part, uint32_t parts);

#ifdef __cplusplus
}
#endif

#endif
