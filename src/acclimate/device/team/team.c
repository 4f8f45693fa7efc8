/* SPDX-License-Identifier: Apache-2.0 */
#include "team.h"

#include <stddef.h>

uint32_t ac_team_parts(const ac_team *team) {
    const int usable = team != NULL && team->fork != NULL && team->parts > 0 && team->parts <= AC_TEAM_MOST;
    return usable ? (uint32_t)team->parts : 1u;
}

void ac_team_do(const ac_team *team, ac_team_part part, void *work) {
    const uint32_t parts = ac_team_parts(team);
    if (part == NULL) {
        return;
    }
    if (parts > 1) {
        team->fork(part, work, (int32_t)parts);
    } else {
        part(work, 0);
    }
}

uint32_t ac_team_begin(uint32_t count, uint32_t part, uint32_t parts) {
    if (parts == 0) {
        return 0;
    }
    const uint32_t each = count / parts, more = count % parts;
    return part * each + (part < more ? part : more);
}
