/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A shared object that is no plugin.
 */
#include "costate/plugin.h"

CST_EXPORT int something_else;
int something_else = 1;
