/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tableaus that no plugin holds, such as those of scripts: checked, then copied into one block that the
 * registry owns. In the block: solver type, tableau, coefficients, texts.
 */
#include <string.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

typedef struct copied {
  cst_solver_type solver;
  cst_tableau tableau;
} copied;

/* Its name in two halves; both end with NUL. */
typedef struct halves {
  char plugin[CST_NAME_SIZE], *thing;
} halves;

static cst_status split(cst_context *ctx, const char *name, halves *h) {
  size_t length = strlen(name), dot = strcspn(name, ".");
  if (length < sizeof h->plugin && dot < length) {
    memcpy(h->plugin, name, length + 1);
    h->plugin[dot] = 0;
    h->thing = h->plugin + dot + 1;
    if (cst_name_valid(h->plugin) && cst_name_valid(h->thing)) return CST_OK;
  }
  return cst_fail(ctx, CST_EINVAL,
                  "'%.100s' is no name for a solver of one's own: it has two halves of [a-z0-9_]+, like "
                  "mine.heun3", name);
}

static cst_status check_place(cst_context *ctx, const char *name, const halves *h) {
  if (atomic_load_explicit(&ctx->busy, memory_order_relaxed))
    return cst_fail(ctx, CST_EBUSY, "solver '%s' cannot be registered while a solve or a program is running",
                    name);
  if (!cst_registry_module(ctx->registry, h->plugin)) return CST_OK;
  return cst_fail(ctx, CST_EEXISTS,
                  "solver '%s': '%s' is the name of a plugin; choose another first half, like mine.%s",
                  name, h->plugin, h->thing);
}

/* How many numbers stand behind each pointer of a tableau that was found right. */
typedef struct counts {
  size_t a, b, e, p, a_dense, e_low;
} counts;

static counts count(const cst_tableau *t) {
  size_t s = (size_t)t->stages, extra = (size_t)t->dense_stages;
  return (counts){.a = s * (s - 1) / 2, .b = s, .e = t->e ? s : 0,
                  .p = t->p ? (s + extra) * (size_t)t->dense_degree : 0,
                  .a_dense = extra * s + (extra ? extra * (extra - 1) / 2 : 0),
                  .e_low = t->e_low ? s : 0};
}

static const double *put_numbers(double **at, const double *x, size_t n) {
  double *out = *at;
  if (n == 0) return NULL;
  memcpy(out, x, n * sizeof *out);
  *at += n;
  return out;
}

static const char *put_text(char **at, const char *s) {
  char *out = *at;
  size_t size = strlen(s) + 1;
  memcpy(out, s, size);
  *at += size;
  return out;
}

static void fill(const cst_context *ctx, copied *c, const cst_tableau *t, const counts *n,
                 const halves *h, const char *where, cst_entry *e) {
  double *number = (double *)(c + 1);
  cst_tableau *own = &c->tableau;
  *own = *t;
  own->a = put_numbers(&number, t->a, n->a);
  own->b = put_numbers(&number, t->b, n->b);
  own->e = put_numbers(&number, t->e, n->e);
  own->p = put_numbers(&number, t->p, n->p);
  own->a_dense = put_numbers(&number, t->a_dense, n->a_dense);
  own->e_low = put_numbers(&number, t->e_low, n->e_low);
  char *text = (char *)number;
  const char *plugin = put_text(&text, h->plugin), *path = put_text(&text, where);
  own->name = put_text(&text, h->thing);
  own->help = put_text(&text, t->help ? t->help : "");
  cst_tableau_solver(ctx, own, &c->solver);
  *e = (cst_entry){CST_KIND_SOLVER, own->name, plugin, path, own->help, c->solver.options, &c->solver};
}

static cst_status copy(cst_context *ctx, const cst_tableau *t, const halves *h, const char *where) {
  counts n = count(t);
  size_t numbers = n.a + n.b + n.e + n.p + n.a_dense + n.e_low;
  size_t texts = strlen(h->plugin) + strlen(h->thing) + strlen(where) + (t->help ? strlen(t->help) : 0) + 4;
  copied *c = cst_alloc(ctx, sizeof *c + numbers * sizeof(double) + texts);
  cst_entry e;
  if (!c) return CST_ENOMEM;
  fill(ctx, c, t, &n, h, where, &e);
  return cst_registry_add_own(ctx, &e, c);
}

cst_status cst_tableau_register(cst_context *ctx, const char *name, const char *where,
                                const cst_tableau *given) {
  halves h;
  cst_tableau t = {0};
  CST_TRY(split(ctx, name, &h));
  CST_TRY(check_place(ctx, name, &h));
  memcpy(&t, given, given->struct_size < sizeof t ? given->struct_size : sizeof t);
  t.name = h.thing;
  CST_TRY(cst_tableau_ready(ctx, h.plugin, &t));
  CST_TRY(check_place(ctx, name, &h)); /* the engine's plugin may have come just now */
  t.struct_size = sizeof t;
  return copy(ctx, &t, &h, where);
}
