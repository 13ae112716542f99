/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The multistep methods: Adams (order 1 to 12, functional iteration, not for stiff problems) and
 * backward differentiation (order 1 to 5, Newton iteration), both with variable coefficients. They
 * choose their order themselves, with the tolerance as error level; each step tells the controller
 * the order of its estimate. A solve starts with order 1, which is what the type's error_order is
 * for: the size of the first step. A step of fixed size that is too large for order 1 and the
 * tolerance is refused. A part outside the norm is not watched by anyone, and a history that grows
 * with the steps can carry its errors far: an integral of spikes came out wrong by more than itself.
 *
 * Of the y they are given they read the first only, and later go on from their own history. GSL
 * tells a new step from another attempt at the last by its time: the same time restores the history,
 * any other takes the last step as accepted. That makes two cases to look after: a start that is not
 * where the last step ended (the history is forgotten), and a failure that GSL does not note (see
 * `step`).
 *
 * The first points of past steps are kept here as well, for values inside a step: those of the
 * polynomial that goes through the last q + 1 of the states (msbdf, which is made of it) or of the
 * states and slopes together (msadams), q being the order of the step.
 */
#include <math.h>

#include "stepper.h"

enum { POINTS = 6, DATA = 2 * POINTS + 1 };

typedef struct multistep {
  stepper base;
  double *room;      /* y of POINTS points, their slopes, y1 */
  size_t n;          /* that room is made for */
  double t[POINTS];  /* of the points */
  size_t first, count; /* point `first` is the start of the present step, then older ones, round */
  bool whole;        /* the last step succeeded and ended in t1, y1 */
  double t1;
  int order;         /* of that step */
} multistep;

static size_t slot(const multistep *m, size_t k) { return (m->first + k) % POINTS; }
static double *state_at(const multistep *m, size_t k) { return m->room + slot(m, k) * m->n; }
static double *slope_at(const multistep *m, size_t k) { return state_at(m, k) + POINTS * m->n; }
static double *end(const multistep *m) { return m->room + 2 * POINTS * m->n; }

static void forget(multistep *m) {
  m->count = 0, m->whole = false;
  gsl_odeiv2_step_reset(m->base.step);
}

/* ---- a step ---- */

static bool equal(const multistep *m, const double *a, const double *b) {
  return memcmp(a, b, m->n * sizeof *a) == 0;
}

static cst_status fit(multistep *m, size_t n) {
  const cst_host *host = m->base.host;
  if (m->room && m->n == n) return CST_OK;
  host->free(host, m->room);
  m->n = n, m->count = 0, m->whole = false;
  m->room = host->alloc(host, ((2 * POINTS + 1) * n + 1) * sizeof *m->room);
  return m->room ? CST_OK
                 : host->fail(host, CST_ENOMEM, "gsl.%s: no memory for the history of %zu numbers",
                              m->base.type->name, n);
}

/* Point 0 becomes the start of this step, unless it is that already. */
static void enter(multistep *m, const cst_step *in) {
  if (m->count && *in->t == m->t[slot(m, 0)] && equal(m, in->y, state_at(m, 0))) return;
  if (!m->whole || *in->t != m->t1 || !equal(m, in->y, end(m))) forget(m);
  m->first = (m->first + POINTS - 1) % POINTS;
  if (m->count < POINTS) m->count++;
  m->t[m->first] = *in->t;
  memcpy(state_at(m, 0), in->y, m->n * sizeof(double));
  memcpy(slope_at(m, 0), in->f0, m->n * sizeof(double));
}

/* GSL notes a failure of the field, and of the iteration, which evaluates at least twice; it does
 * not note a matrix that cannot be factorised (GSL 2.8; with 2.7 that shows when it is used), nor a
 * step that it takes for a success. Then it has to begin anew. */
static bool noted(const stepper *s) {
  return s->status != CST_OK || (s->code != GSL_SUCCESS && s->evaluations > 1);
}

static int order_of(const multistep *m) { return (int)gsl_odeiv2_step_order(m->base.step); }

static cst_status step(void *state, cst_step *in) {
  multistep *m = state;
  CST_TRY(fit(m, in->rhs->n));
  enter(m, in);
  int before = order_of(m);
  m->whole = false;
  cst_status st = stepper_apply(&m->base, in);
  if (st != CST_OK) {
    if (!noted(&m->base)) gsl_odeiv2_step_reset(m->base.step);
    return st;
  }
  int after = order_of(m); /* of the next step: lowered before this one, or raised after it */
  m->order = before < after ? before : after;
  m->whole = true, m->t1 = *in->t1;
  memcpy(end(m), in->y1, m->n * sizeof(double));
  if (in->struct_size >= offsetof(cst_step, error_order) + sizeof in->error_order)
    in->error_order = m->order;
  return CST_OK;
}

/* ---- values inside a step ---- */

/* What the polynomial in x = (time - t)/h takes on: the state at x[i], or after it the slope there. */
typedef struct data {
  int n, most;
  double x[DATA], scale[DATA]; /* v is scale times what is taken on */
  bool slope[DATA];
  const void *v[DATA];
} data;

static void take(data *d, double x, const void *v, bool slope, double scale) {
  if (d->n == d->most) return;
  d->x[d->n] = x, d->v[d->n] = v, d->slope[d->n] = slope, d->scale[d->n] = scale;
  d->n++;
}

static void gather(const multistep *m, const cst_step *in, data *d) {
  bool slopes = !(m->base.type->traits & CST_IMPLICIT);
  *d = (data){.most = slopes && m->order < 2 ? 3 : m->order + 1};
  take(d, 1, in->y1, false, 1);
  for (size_t k = 0; k < m->count; k++) {
    double x = (m->t[slot(m, k)] - *in->t) / *in->h;
    take(d, x, state_at(m, k), false, 1);
    if (slopes) take(d, x, slope_at(m, k), true, *in->h);
  }
}

/* The polynomial that is 1 at datum j and 0 at all others, and its slope, at x: by divided
 * differences, where the difference over a state and the slope at the same place is that slope. */
static double weight(const data *d, int j, double x, double *slope) {
  double c[DATA], p, q = 0;
  for (int i = 0; i < d->n; i++) c[i] = (d->slope[i] ? i - 1 : i) == j;
  for (int k = 1; k < d->n; k++)
    for (int i = d->n - 1; i >= k; i--)
      c[i] = k == 1 && d->slope[i] ? i == j : (c[i] - c[i - 1]) / (d->x[i] - d->x[i - k]);
  p = c[d->n - 1];
  for (int i = d->n - 2; i >= 0; i--) {
    q = q * (x - d->x[i]) + p;
    p = p * (x - d->x[i]) + c[i];
  }
  *slope = q;
  return p;
}

static cst_status dense(void *state, const cst_step *in, double theta, void *y, void *slope) {
  const multistep *m = state;
  const cst_host *host = m->base.host;
  double c[DATA], c_slope[DATA];
  data d;
  gather(m, in, &d);
  for (int j = 0; j < d.n; j++) {
    c[j] = d.scale[j] * weight(&d, j, theta, &c_slope[j]);
    c_slope[j] *= d.scale[j];
  }
  host->combine(CST_F64, m->n, NULL, (size_t)d.n, c, d.v, y);
  if (slope) host->combine(CST_F64, m->n, NULL, (size_t)d.n, c_slope, d.v, slope);
  return CST_OK;
}

/* ---- the types ---- */

static cst_status create(const cst_solver_config *c, void **state) {
  multistep *m = c->host->alloc(c->host, sizeof *m);
  if (!m) return c->host->fail(c->host, CST_ENOMEM, "gsl.%s: no memory", c->type->name);
  cst_status st = stepper_open(&m->base, c);
  if (st != CST_OK) {
    c->host->free(c->host, m);
    return st;
  }
  *state = m;
  return CST_OK;
}

static void destroy(const cst_host *host, void *state) {
  multistep *m = state;
  if (!m) return;
  stepper_close(&m->base);
  host->free(host, m->room);
  host->free(host, m);
}

static cst_status reset(void *state) {
  quiet_renew();
  forget(state);
  return CST_OK;
}

#define STEPPER(nm, p, trait, text)                                                               \
  {.struct_size = sizeof(cst_solver_type), .name = #nm, .help = text,                             \
   .method = &(const method){.gsl = &gsl_odeiv2_step_##nm, .newton = 1, .mean = true}, .order = p, \
   .error_order = 1, .dense_order = p,                                                            \
   .traits = CST_ADAPTIVE | CST_F64_ONLY | CST_SINGLE | CST_MULTISTEP | (trait),                  \
   .create = create, .destroy = destroy, .reset = reset, .step = step, .dense = dense}

/* `order` and `dense_order` are the highest. */
const cst_solver_type multistep_types[] = {
  STEPPER(msadams, 12, 0, "GSL: Adams methods of order 1 to 12, for smooth problems that are not stiff"),
  STEPPER(msbdf, 5, CST_IMPLICIT, "GSL: backward differentiation of order 1 to 5, for stiff problems"),
  {.name = NULL},
};
