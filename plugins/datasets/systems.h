/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The data sets of this plugin.
 */
#pragma once
#include <costate/plugin.h>

extern const cst_dataset_type dataset_cubic_spiral, dataset_lotka_volterra, dataset_lorenz,
    dataset_csv, dataset_long, dataset_periodic, dataset_spirals2d, dataset_pendulums,
    dataset_poisson_sampled, dataset_physionet, dataset_activity, dataset_table, dataset_image;
