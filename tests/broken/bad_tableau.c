/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Kutta's method of order 4 with one coefficient mistaken.
 */
#include "costate/plugin.h"

static const cst_tableau kutta = {
    .struct_size = sizeof kutta, .name = "kutta", .order = 4, .stages = 4,
    .a = (const double[]){1 / 2., 0, 1 / 2., 0, 0, 1},
    .b = (const double[]){1 / 6., 1 / 3., 1 / 6., 1 / 3.}};

static cst_status init(const cst_host *host) { return host->register_tableau(host, &kutta); }

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "bad_tableau",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
