/* SPDX-License-Identifier: Apache-2.0 */
/* All that the kit uses of it is in pmsis.h. */
#include "pmsis.h"
