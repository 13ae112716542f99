/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * datasets: trajectories of known systems, columns of files, sets of series at irregular times,
 * and points in a plane or a table.
 */
#include "systems.h"

static cst_status init(const cst_host *host) {
  const cst_dataset_type *const all[] = {
      &dataset_cubic_spiral, &dataset_lotka_volterra, &dataset_lorenz,          &dataset_csv,
      &dataset_long,         &dataset_periodic,       &dataset_spirals2d,       &dataset_pendulums,
      &dataset_poisson_sampled, &dataset_physionet,   &dataset_activity,
      &dataset_table,        &dataset_image};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    CST_TRY(host->register_dataset(host, all[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "datasets",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
