/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The systems: a field, its parameters, where it starts.
 */
#include "systems.h"

#include "trajectory.h"

/* dy/dt = y^3 A, A = [[-0.1, 2], [-2, -0.1]], powers by element. */
static void spiral_field(const wide *p, wide t, const wide *y, wide *dy) {
  (void)p, (void)t;
  wide a = y[0] * y[0] * y[0], b = y[1] * y[1] * y[1];
  dy[0] = -0.1L * a - 2 * b;
  dy[1] = 2 * a - 0.1L * b;
}

/* Prey and predators: x' = alpha x - beta x y,  y' = delta x y - gamma y. */
static void lotka_volterra_field(const wide *p, wide t, const wide *y, wide *dy) {
  (void)t;
  dy[0] = p[0] * y[0] - p[1] * y[0] * y[1];
  dy[1] = p[3] * y[0] * y[1] - p[2] * y[1];
}

/* E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20, 1963. */
static void lorenz_field(const wide *p, wide t, const wide *y, wide *dy) {
  (void)t;
  dy[0] = p[0] * (y[1] - y[0]);
  dy[1] = y[0] * (p[1] - y[2]) - y[1];
  dy[2] = y[0] * y[1] - p[2] * y[2];
}

static const trajectory_system spiral = {
    .name = "cubic_spiral", .field = spiral_field, .dim = 2, .start = (const double[]){2, 0}};

static const trajectory_system lotka_volterra = {
    .name = "lotka_volterra", .field = lotka_volterra_field, .dim = 2,
    .start = (const double[]){1, 1},
    .parameter = (const char *const[]){"alpha", "beta", "gamma", "delta", NULL}};

static const trajectory_system lorenz = {
    .name = "lorenz", .field = lorenz_field, .dim = 3, .start = (const double[]){-8, 8, 27},
    .parameter = (const char *const[]){"sigma", "rho", "beta", NULL}};

#define BUILD(name)                                                                              \
  static cst_status name##_build(const cst_host *host, const cst_options *o, uint64_t seed,      \
                                 cst_dataset_spec *d) {                                          \
    return trajectory_build(host, &name, o, seed, d);                                            \
  }
BUILD(spiral)
BUILD(lotka_volterra)
BUILD(lorenz)

const cst_dataset_type dataset_cubic_spiral = {
    .struct_size = sizeof dataset_cubic_spiral, .name = "cubic_spiral", .build = spiral_build,
    .help = "one trajectory of y' = y^3 A: tensors t [N], y [N, 2]",
    .options = CST_OPTIONS(TRAJECTORY_OPTIONS(1000, 25, "start (default 2, 0)"))};

const cst_dataset_type dataset_lotka_volterra = {
    .struct_size = sizeof dataset_lotka_volterra,
    .name = "lotka_volterra",
    .build = lotka_volterra_build,
    .help = "prey and predators: tensors t [N], y [N, 2]",
    .options =
        CST_OPTIONS(TRAJECTORY_OPTIONS(101, 10, "start (default 1, 1)"),
                    {"alpha", CST_NUMBER, .number = 1.5, .help = "growth of prey"},
                    {"beta", CST_NUMBER, .number = 1, .help = "prey lost to a predator"},
                    {"gamma", CST_NUMBER, .number = 3, .help = "death of predators"},
                    {"delta", CST_NUMBER, .number = 1, .help = "predators gained from prey"})};

const cst_dataset_type dataset_lorenz = {
    .struct_size = sizeof dataset_lorenz, .name = "lorenz", .build = lorenz_build,
    .help = "one trajectory of Lorenz's system: tensors t [N], y [N, 3]",
    .options = CST_OPTIONS(TRAJECTORY_OPTIONS(5001, 10, "start (default -8, 8, 27)"),
                           {"sigma", CST_NUMBER, .number = 10, .help = "Prandtl number"},
                           {"rho", CST_NUMBER, .number = 28, .help = "Rayleigh number, relative"},
                           {"beta", CST_NUMBER, .number = 8 / 3., .help = "shape of the cell"})};
