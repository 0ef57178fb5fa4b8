/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define EXPLORED
#include "explored.h"

#include "../../lib/link.c"
