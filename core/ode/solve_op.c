/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve node.
 *   inputs    y0 (n_parts), times [T] or, where every row has its own control, [B, T], captures, and of a plan
 *             that follows another solve the schedule of that
 *   outputs   values [B, T, ..] (n_parts), record, schedule
 * Its pullback is the node solve_back (solve_back.c); its tangent is a solve of the tangent field, which follows it.
 */
#include <string.h>

#include "autodiff/scan.h"
#include "costate/solve.h"
#include "ode/plan.h"

/* ---- types -------------------------------------------------------------------------------------------- */

static cst_type stacked(const cst_type *y0, int64_t times) {
  cst_type t = *y0;
  for (int i = t.rank; i > 1; i--) t.dim[i] = t.dim[i - 1];
  t.dim[1] = times;
  t.rank++;
  return t;
}

static bool same_shape(const cst_type *a, const cst_type *b) {
  return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

/* What agrees is not what does not fit: where shapes do, element types are told. */
static cst_status misfit(const cst_host *h, const char *what, uint32_t i, const cst_type *given, const cst_type *want) {
  static const char *const dtype[] = {"f32", "f64", "i64", "a record"};
  char x[64], y[64];
  if (same_shape(given, want) && given->dtype != want->dtype)
    return h->fail(h, CST_EDTYPE, "%s %u is of %s where the field takes %s", what, i + 1, dtype[given->dtype], dtype[want->dtype]);
  return h->fail(h, CST_ESHAPE, "%s %u is %s where the field takes %s", what, i + 1, cst_type_format(given, x, sizeof x),
                 cst_type_format(want, y, sizeof y));
}

static cst_status check_part(const cst_host *h, const cst_solve_plan *p, uint32_t i, const cst_type *y0) {
  const cst_type *want = cst_field_part(p->field, i);
  bool fits = same_shape(y0, want) && y0->dtype == want->dtype && y0->rank < CST_MAX_RANK;
  return fits ? CST_OK : misfit(h, "initial state", i, y0, want);
}

/* A capture may be of another space than in the field, never of another shape: its elements are read.
 * For the clock of a timed plan stands the tangent of the times. */
static cst_status check_capture(const cst_host *h, const cst_solve_plan *p, uint32_t c, const cst_type *in) {
  const cst_type *given = &in[p->n_parts + 1 + c], *want = cst_field_capture(p->field, c);
  if (p->timed && c + 1 == p->field->n_captures) want = &in[p->n_parts];
  return same_shape(given, want) && given->dtype == want->dtype ? CST_OK : misfit(h, "capture", c, given, want);
}

/* One vector for all rows, or one a row: a batch, or shared values of as many rows. */
static cst_status check_times(const cst_host *h, const cst_solve_plan *p, const cst_type *times, int64_t *n) {
  char text[64];
  int least = times->space == CST_ROW ? 2 : 1;
  *n = times->rank > 0 ? times->dim[times->rank - 1] : 0;
  if (times->dtype != CST_F64 || times->rank < least || times->rank > 2 || *n < 1)
    return h->fail(h, CST_ESHAPE, "times are a vector of at least one f64, or such a vector a row; got %s",
                   cst_type_format(times, text, sizeof text));
  if (times->rank == 1) return CST_OK;
  if (!p->per_row)
    return h->fail(h, CST_EINVAL, "times of each row need control of each row: ode { control = \"row\" }");
  if ((size_t)times->dim[0] != p->field->rows)
    return h->fail(h, CST_ESHAPE, "times of %lld rows for a state of %zu", (long long)times->dim[0], p->field->rows);
  return CST_OK;
}

static cst_status solve_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                              cst_type *out, size_t *n_out) {
  const cst_solve_plan *p = cst_solve_plan_of(a);
  if (n != (size_t)p->n_parts + 1 + p->field->n_captures + p->follows)
    return h->fail(h, CST_EINVAL, "the field takes %u captures", p->field->n_captures);
  int64_t n_times;
  CST_TRY(check_times(h, p, &in[p->n_parts], &n_times));
  for (uint32_t i = 0; i < p->n_parts; i++) {
    CST_TRY(check_part(h, p, i, &in[i]));
    out[i] = stacked(&in[i], n_times);
  }
  for (uint32_t c = 0; c < p->field->n_captures; c++) CST_TRY(check_capture(h, p, c, in));
  if (p->follows && in[n - 1].dtype != CST_OPAQUE) return h->fail(h, CST_EDTYPE, "a solve follows the schedule of another");
  out[p->n_parts] = out[p->n_parts + 1] = (cst_type){.dtype = CST_OPAQUE};
  *n_out = (size_t)p->n_parts + 2;
  return CST_OK;
}

cst_value cst_graph_solve(cst_graph *g, cst_solve_plan *plan, const cst_value *y0, cst_value times,
                          const cst_value *captures) {
  cst_value in[MOST_VALUES];
  size_t n = 0;
  if (g->status != CST_OK) return CST_NONE;
  size_t n_captures = plan->field->n_captures + plan->follows;
  if (plan->n_parts + 1 + n_captures > MOST_VALUES)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a solve with more than %d values", MOST_VALUES);
  for (uint32_t i = 0; i < plan->n_parts; i++) in[n++] = y0[i];
  in[n++] = times;
  for (size_t i = 0; i < n_captures; i++) in[n++] = captures[i];
  cst_attrs a = {.n_ints = 1, .i = {plan->n_parts}, .object = &plan->object};
  return g->host->node(g, "solve", in, n, &a);
}

/* ---- pullback rule --------------------------------------------------------------------------------------------- */

/* Sums for captures are kept in the graph's float type: those of another have none, which must not
 * pass for zero. */
static cst_status refuse_mixed_captures(cst_graph *g, const cst_solve_plan *p, const bool *want) {
  for (uint32_t c = 0; c < p->field->n_captures; c++) {
    uint8_t d = cst_field_capture(p->field, c)->dtype;
    if (!want[c] || d == g->real || (d != CST_F32 && d != CST_F64)) continue;
    cst_status st = cst_field_derive(p->field);
    if (st != CST_OK) return g->status = st;
    if (p->field->has_capture_bar[c])
      cst_graph_fail(g, CST_EUNSUPPORTED, "the derivative in a value of other than the graph's float type that the "
                                          "field captures: convert it outside of the field");
  }
  return g->status;
}

static cst_status solve_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *bar, const bool *want,
                            cst_value *in_bar) {
  const cst_solve_plan *p = cst_solve_plan_of(a);
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures;
  cst_value back[4 * MOST_VALUES];
  if (p->timed)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a tangent in the times of a solve has no reverse derivative"), g->status;
  size_t m = 0;
  uint64_t given = 0;
  cst_attrs at = {.n_ints = 2, .i = {n_parts, 0}, .object = a->object};
  back[m++] = out[n_parts];
  back[m++] = in[n_parts];
  for (uint32_t i = 0; i < n_parts; i++) back[m++] = in[i];
  for (uint32_t i = 0; i < n_caps; i++) back[m++] = in[n_parts + 1 + i];
  for (uint32_t i = 0; i < n_parts; i++) back[m++] = out[i];
  for (uint32_t i = 0; i < n_parts; i++)
    if (bar[i]) back[m++] = bar[i], given |= (uint64_t)1 << i;
  if (!given) return g->status;
  at.i[1] = (int64_t)given;
  CST_TRY(refuse_mixed_captures(g, p, want + n_parts + 1));
  cst_value v = g->host->node(g, "solve_back", back, m, &at);
  for (uint32_t i = 0; v && i < n; i++) {
    bool real = type_at(g, in[i])->dtype == CST_F32 || type_at(g, in[i])->dtype == CST_F64;
    if (want[i] && real) in_bar[i] = v + i;
  }
  return g->status;
}

/* ---- tangent -------------------------------------------------------------------------------------------------------- */

static cst_status solve_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n;
  const cst_solve_plan *p = cst_solve_plan_of(a);
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures, nc = 0;
  cst_value y0[64], caps[2 * MOST_VALUES];
  bool has[MOST_VALUES] = {false};
  for (uint32_t i = 0; i < n_caps; i++) caps[nc++] = in[n_parts + 1 + i];
  for (uint32_t i = 0; i < n_caps; i++)
    if ((has[i] = dot[n_parts + 1 + i] != CST_NONE)) caps[nc++] = dot[n_parts + 1 + i];
  cst_solve_plan *tangent;
  bool timed = dot[n_parts] != CST_NONE;
  if (timed) caps[nc++] = dot[n_parts]; /* in the place of the clock, see timed.c */
  cst_status st = cst_solve_plan_tangent(p, has, timed, &tangent);
  if (st != CST_OK) return g->status = st;
  tangent->follows = !cst_solver_decides(p->solver);
  if (tangent->follows) caps[nc++] = out[n_parts + 1];
  for (uint32_t i = 0; i < n_parts; i++) {
    y0[i] = in[i];
    y0[n_parts + i] = value_or_zero(g, dot[i], in[i]);
  }
  cst_value v = cst_graph_solve(g, tangent, y0, in[n_parts], caps);
  cst_object_release(tangent);
  for (uint32_t i = 0; v && i < n_parts; i++) out_dot[i] = v + n_parts + i;
  return g->status;
}

/* One step size for all rows depends on all of them. */
static bool solve_rows_apart(const cst_attrs *a) { return cst_solve_plan_of(a)->per_row; }

/* The field keeps rows apart, and what is of rows is given as rows. One step size is that of the rows there are. */
static bool solve_first_rows(const cst_attrs *a, const cst_type *in, size_t n) {
  (void)n;
  const cst_solve_plan *p = cst_solve_plan_of(a);
  for (uint32_t i = 0; i < p->n_parts; i++)
    if (in[i].space != CST_ROW) return false;
  if (in[p->n_parts].rank > 1 && in[p->n_parts].space != CST_ROW) return false;
  for (uint32_t c = 0; c < p->field->n_captures; c++)
    if (in[p->n_parts + 1 + c].space != cst_field_capture(p->field, c)->space) return false;
  return !p->timed && cst_field_compile(p->field, FIELD_EVAL) == CST_OK &&
         (p->field->rows <= 1 || cst_program_separable(p->field->program[FIELD_EVAL], NULL));
}

static const cst_op solve = {
  .struct_size = sizeof(cst_op), .name = "solve", .n_in_min = 2, .n_in_max = MOST_VALUES, .infer = solve_infer,
  .kernel = {cst_solve_run, cst_solve_run}, .vjp = solve_vjp, .jvp = solve_jvp,
  .state_new = cst_solve_state_new, .state_free = cst_solve_state_free, .rows_apart = solve_rows_apart,
  .first_rows = solve_first_rows,
};
cst_status cst_register_solve(const cst_host *h) {
  CST_TRY(h->register_op(h, &solve));
  CST_TRY(cst_register_solve_back(h));
  CST_TRY(cst_register_callback(h));
  return cst_register_locate(h);
}

/* ---- reports --------------------------------------------------------------------------------------------------------- */

static void add_stats(cst_solve_stats *to, const cst_solve_stats *from) {
  to->evaluations += from->evaluations, to->accepted += from->accepted, to->rejected += from->rejected;
  to->last_h = from->last_h, to->t = from->t;
  if (from->stiffness > 0) to->stiffness = from->stiffness;
}

/* Solves in the body of a scan are counted, not told apart. */
static void add_scan(cst_solve_report *to, void *state) {
  const cst_run *r = cst_workspace_run(cst_scan_workspace(state));
  to->forward.evaluations += r->nfe_forward, to->backward.evaluations += r->nfe_backward;
  to->forward.accepted += r->steps_accepted, to->forward.rejected += r->steps_rejected;
  to->scan_rows += r->scan_rows;
}

cst_solve_report cst_workspace_solves(const cst_workspace *w) {
  cst_solve_report sum = {0};
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_solve_state *s = w->state[i];
    if (s && strcmp(w->p->code[i].op->name, "scan") == 0) add_scan(&sum, w->state[i]);
    if (w->p->code[i].op != &solve || !s || !s->report.solves) continue;
    add_stats(&sum.forward, &s->report.forward);
    add_stats(&sum.backward, &s->report.backward);
    sum.solves++, sum.tape_bytes += s->report.tape_bytes;
    sum.checkpoints += s->report.checkpoints, sum.schedule_bytes += s->report.schedule_bytes;
    if (sum.status == CST_OK) sum.status = s->report.status, sum.t = s->report.t;
  }
  return sum;
}

const cst_attempts *cst_workspace_attempts(const cst_workspace *w) {
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_solve_state *s = w->state[i];
    if (w->p->code[i].op == &solve && s && s->plan->o.trace) return &s->attempts;
  }
  return NULL;
}
