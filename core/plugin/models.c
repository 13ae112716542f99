/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The parameters of a model: declared one after another, laid out in one flat vector.
 */
#include <string.h>

#include "plugin/plugin_internal.h"

struct cst_model_spec {
  cst_context *ctx;
  const char *model;
  cst_dtype dtype;
  cst_layout *layout;
  size_t capacity;
  cst_status failed; /* sticky: declaring code may look away */
};

static bool parameter_name_valid(const char *name) {
  size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./")
                  : 0;
  return n > 0 && n < 128 && name[n] == 0;
}

static cst_status check(const cst_model_spec *m, const char *name, int rank, cst_init init,
                        double scale) {
  if (!parameter_name_valid(name))
    return cst_fail(m->ctx, CST_EINVAL, "model '%s' declares a parameter with the name '%.80s'",
                    m->model, name ? name : "");
  for (size_t i = 0; i < m->layout->n; i++)
    if (strcmp(m->layout->parameter[i].name, name) == 0)
      return cst_fail(m->ctx, CST_EEXISTS, "model '%s' declares parameter '%s' twice", m->model,
                      name);
  if ((unsigned)init > CST_INIT_ORTHOGONAL || !(scale > -1e300 && scale < 1e300))
    return cst_fail(m->ctx, CST_EINVAL, "parameter '%s' of model '%s' has no legal initialisation",
                    name, m->model);
  if (init == CST_INIT_ORTHOGONAL && rank < 2)
    return cst_fail(m->ctx, CST_EINVAL,
                    "parameter '%s' of model '%s' has %d axes: ORTHOGONAL needs 2", name, m->model,
                    rank);
  return CST_OK;
}

static cst_status grow(cst_model_spec *m) {
  if (m->layout->n < m->capacity) return CST_OK;
  size_t capacity = m->capacity ? 2 * m->capacity : 8;
  cst_parameter *p = cst_realloc(m->ctx, m->layout->parameter, capacity * sizeof *p);
  if (!p) return CST_ENOMEM;
  m->layout->parameter = p;
  m->capacity = capacity;
  return CST_OK;
}

static cst_status add(cst_model_spec *m, const char *name, int rank, const int64_t *dim,
                      cst_init init, double scale) {
  size_t count;
  cst_layout *l = m->layout;
  CST_TRY(check(m, name, rank, init, scale));
  cst_status st = cst_shape_count(m->ctx, rank, dim, sizeof(double), &count);
  if (st == CST_OK && count > PTRDIFF_MAX / sizeof(double) - l->count)
    st = cst_fail(m->ctx, CST_ESHAPE, "the parameters do not fit into memory");
  if (st != CST_OK)
    return cst_fail_note(m->ctx, st, "parameter '%s' of model '%s'", name, m->model);
  CST_TRY(grow(m));
  char *copy = cst_strdup(m->ctx, name);
  if (!copy) return CST_ENOMEM;
  cst_parameter *p = &l->parameter[l->n++];
  *p = (cst_parameter){.name = copy, .offset = l->count, .init = init, .scale = scale};
  p->type = (cst_type){.dtype = (uint8_t)m->dtype, .space = CST_SHARED, .rank = (uint8_t)rank};
  for (int i = 0; i < rank; i++) p->type.dim[i] = dim[i];
  l->count += count;
  return CST_OK;
}

cst_status cst_model_parameter(cst_model_spec *m, const char *name, int rank, const int64_t *dim,
                               cst_init init, double scale) {
  if (m->failed == CST_OK) m->failed = add(m, name, rank, dim, init, scale);
  return m->failed;
}

cst_status cst_model_declare(cst_context *ctx, const cst_entry *model, const cst_options *o,
                             cst_dtype dtype, cst_layout *out) {
  *out = (cst_layout){0};
  if (model->kind != CST_KIND_MODEL)
    return cst_fail(ctx, CST_EINVAL, "'%s' is a %s, not a model", model->name,
                    cst_kind_name(model->kind));
  if (dtype != CST_F32 && dtype != CST_F64)
    return cst_fail(ctx, CST_EDTYPE, "parameters are f32 or f64");
  const cst_model_type *t = model->type;
  cst_model_spec m = {.ctx = ctx, .model = model->name, .dtype = dtype, .layout = out};
  cst_status st = t->declare(&ctx->host, o, &m);
  if (m.failed != CST_OK) st = m.failed;
  if (st != CST_OK) cst_layout_free(ctx, out);
  return st;
}

void cst_layout_free(cst_context *ctx, cst_layout *l) {
  for (size_t i = 0; i < l->n; i++) cst_free(ctx, (void *)(uintptr_t)l->parameter[i].name);
  cst_free(ctx, l->parameter);
  *l = (cst_layout){0};
}
