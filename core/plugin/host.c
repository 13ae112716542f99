/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The services of the host table: each slot forwards to the room that does the work.
 */
#include "autodiff/graph_internal.h"
#include "ode/integrate.h"
#include "ode/tape.h"
#include "ode/trajectory.h"
#include "plugin/plugin_internal.h"
#include "tensor/kernels.h"

static void *host_alloc(const cst_host *h, size_t size) { return cst_alloc(h->ctx, size); }
static void host_free(const cst_host *h, void *ptr) { cst_free(h->ctx, ptr); }

static cst_status host_fail(const cst_host *h, cst_status st, const char *format, ...) {
  va_list args;
  va_start(args, format);
  cst_fail_args(h->ctx, st, format, args);
  va_end(args);
  return st;
}

static void host_log(const cst_host *h, const char *format, ...) {
  va_list args;
  va_start(args, format);
  cst_log_args(h->ctx, CST_LOG_INFO, format, args);
  va_end(args);
}

static void combine(uint8_t dtype, size_t n, const void *y, size_t s, const double *c,
                    const void *const *k, void *out) {
  cst_kernels_get()->combine[dtype == CST_F64](n, y, s, c, k, out);
}

static double error_sum(uint8_t dtype, size_t n, size_t s, const double *c, const void *const *k,
                        const void *y0, const void *y1, double rtol, double atol) {
  return cst_kernels_get()->error_sum[dtype == CST_F64](n, s, c, k, y0, y1, rtol, atol);
}

static double dot(uint8_t dtype, size_t n, const void *a, const void *b) {
  return cst_kernels_get()->dot[dtype == CST_F64](n, a, b);
}

static cst_combine_fn *combine_of(uint8_t dtype) { return cst_kernels_get()->combine[dtype == CST_F64]; }
static cst_error_sum_fn *error_sum_of(uint8_t dtype) { return cst_kernels_get()->error_sum[dtype == CST_F64]; }

static cst_status trajectory_new(const cst_host *h, size_t budget, cst_trajectory **out) {
  return cst_trajectory_new(h->ctx, budget, out);
}

static const cst_solver_type *find_solver(const cst_host *h, const char *name) {
  const cst_entry *e = cst_find(h->ctx, CST_KIND_SOLVER, name);
  return e ? e->type : NULL;
}

void cst_host_services(cst_host *h) {
  h->alloc = host_alloc;
  h->free = host_free;
  h->fail = host_fail;
  h->log = host_log;
  h->node = cst_graph_node;
  h->type_of = cst_graph_type;
  h->graph_fail = cst_graph_fail;
  h->parameter = cst_model_parameter;
  h->dataset_tensor = cst_dataset_tensor;
  h->combine = combine;
  h->error_sum = error_sum;
  h->dot = dot;
  h->tape_push = cst_tape_push;
  h->integrator_new = cst_integrator_new;
  h->integrate = cst_integrate;
  h->integrator_free = cst_integrator_free;
  h->combine_of = combine_of;
  h->error_sum_of = error_sum_of;
  h->trajectory_new = trajectory_new;
  h->trajectory_free = cst_trajectory_free;
  h->trajectory_clear = cst_trajectory_clear;
  h->trajectory_steps = cst_trajectory_steps;
  h->trajectory_step = cst_trajectory_step_at;
  h->trajectory_find = cst_trajectory_find;
  h->trajectory_value = cst_trajectory_value;
  h->find_solver = find_solver;
  h->dataset_words = cst_dataset_words;
}
