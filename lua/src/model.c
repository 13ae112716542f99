/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Models, losses and data sets of plugins: declared, initialised and built into traces.
 */
#include <string.h>

#include "binding.h"

typedef struct layout_box {
  cst_context *ctx;
  cst_layout layout;
  uint8_t dtype;
} layout_box;

typedef struct dataset_box {
  cst_context *ctx;
  cst_dataset data;
} dataset_box;

/* ---- parameters ------------------------------------------------------------------------------------ */

static int layout_gc(lua_State *L) {
  layout_box *b = luaL_checkudata(L, 1, LCS_LAYOUT);
  if (b->ctx) cst_layout_free(b->ctx, &b->layout);
  b->ctx = NULL;
  return 0;
}

/* core.layout(model, options) -> Layout of its flat parameter vector */
static int layout_new(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  const cst_entry *e = lcs_check_entry(L, CST_KIND_MODEL, 1);
  const cst_options *o = lcs_check_options(L, 2);
  layout_box *b = lcs_box(L, sizeof *b, LCS_LAYOUT);
  b->dtype = st->real;
  lcs_check(L, cst_model_declare(st->ctx, e, o, (cst_dtype)st->real, &b->layout));
  b->ctx = st->ctx;
  return 1;
}

/* layout:list() -> {{name, shape, offset}, ...}, number of elements */
static int layout_list(lua_State *L) {
  layout_box *b = luaL_checkudata(L, 1, LCS_LAYOUT);
  lua_createtable(L, (int)b->layout.n, 0);
  for (size_t i = 0; i < b->layout.n; i++) {
    const cst_parameter *p = &b->layout.parameter[i];
    lua_createtable(L, 0, 3);
    lua_pushstring(L, p->name);
    lua_setfield(L, -2, "name");
    lcs_push_shape(L, &p->type);
    lua_setfield(L, -2, "shape");
    lua_pushinteger(L, (lua_Integer)p->offset);
    lua_setfield(L, -2, "offset");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushinteger(L, (lua_Integer)b->layout.count);
  return 2;
}

/* layout:initialise(seed, name, tensor) */
static int layout_initialise(lua_State *L) {
  layout_box *b = luaL_checkudata(L, 1, LCS_LAYOUT);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
  const char *name = luaL_checkstring(L, 3);
  cst_tensor *t = lcs_check_tensor(L, 4);
  luaL_argcheck(L, t->type.dtype == b->dtype && t->count == b->layout.count, 4, "wrong size");
  lcs_check(L, cst_layout_initialise(b->ctx, &b->layout, (cst_dtype)b->dtype, seed, name, t->data));
  return 0;
}

/* ---- building nodes ---------------------------------------------------------------------------------- */

/* Values of the list at `arg`, numbers in the graph's float type. */
static cst_value *lift_numbers(lua_State *L, lcs_trace *tr, int arg, size_t *n) {
  cst_value *v = lcs_lift_list(L, tr, arg, n);
  for (size_t i = 0; i < *n; i++) {
    const cst_type *t = cst_type_of(tr->graph, v[i]);
    if ((t->dtype == CST_F32 || t->dtype == CST_F64) && t->dtype != tr->graph->real)
      v[i] = cst_cast(tr->graph, v[i], tr->graph->real);
  }
  return v;
}

static lcs_trace *need_trace(lua_State *L) {
  lcs_trace *tr = lcs_current(L);
  if (!tr) lcs_error(L, "models and losses are built inside a trace");
  return tr;
}

/* Raises the graph's error, if there is one. */
static int push_outputs(lua_State *L, const cst_value *out, uint32_t n) {
  luaL_checkstack(L, (int)n, "too many outputs");
  for (uint32_t i = 0; i < n; i++) lcs_push_value(L, out[i]);
  return (int)n;
}

/* core.build_model(name, options, parameters, inputs) -> Value, one for each output */
static int build_model(lua_State *L) {
  const cst_model_type *type = lcs_check_entry(L, CST_KIND_MODEL, 1)->type;
  const cst_options *o = lcs_check_options(L, 2);
  lcs_trace *tr = need_trace(L);
  size_t n_params, n;
  cst_value *params = lift_numbers(L, tr, 3, &n_params), *in = lift_numbers(L, tr, 4, &n);
  uint32_t n_out = CST_HAS(type, n_out) ? type->n_out : 1;
  cst_value *out = lua_newuserdatauv(L, n_out * sizeof *out, 0);
  memset(out, 0, n_out * sizeof *out);
  if (n_out > 1) type->build_all(tr->graph, o, params, in, n, out);
  else out[0] = type->build(tr->graph, o, params, in, n);
  return push_outputs(L, out, n_out);
}

/* core.build_loss(name, options, inputs) -> Value */
static int build_loss(lua_State *L) {
  const cst_loss_type *type = lcs_check_entry(L, CST_KIND_LOSS, 1)->type;
  const cst_options *o = lcs_check_options(L, 2);
  lcs_trace *tr = need_trace(L);
  size_t n;
  cst_value *in = lift_numbers(L, tr, 3, &n);
  uint32_t optional = CST_HAS(type, n_optional) ? type->n_optional : 0;
  if (n > type->n_in || n + optional < type->n_in)
    return lcs_error(L, "loss '%s' takes %d values%s, got %d", lua_tostring(L, 1), (int)type->n_in,
                     optional ? ", the last may be left out" : "", (int)n);
  cst_value *all = lua_newuserdatauv(L, type->n_in * sizeof *all, 0);
  for (uint32_t i = 0; i < type->n_in; i++) all[i] = i < n ? in[i] : CST_NONE;
  lcs_push_value(L, type->build(tr->graph, o, all));
  return 1;
}

/* ---- data sets ------------------------------------------------------------------------------------- */

static int dataset_gc(lua_State *L) {
  dataset_box *b = luaL_checkudata(L, 1, LCS_DATASET);
  if (b->ctx) cst_dataset_free(b->ctx, &b->data);
  b->ctx = NULL;
  return 0;
}

static void push_words(lua_State *L, const cst_words *w) {
  lua_createtable(L, (int)w->n, 0);
  for (size_t i = 0; i < w->n; i++) {
    lua_pushstring(L, w->word[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* core.dataset(name, options, seed) -> table of tensors and lists of strings */
static int dataset_new(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  const cst_entry *e = lcs_check_entry(L, CST_KIND_DATASET, 1);
  const cst_options *o = lcs_check_options(L, 2);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 3);
  dataset_box *b = lcs_box(L, sizeof *b, LCS_DATASET);
  lcs_check(L, cst_dataset_build(st->ctx, e, o, seed, &b->data));
  b->ctx = st->ctx;
  lua_createtable(L, 0, (int)b->data.n);
  for (size_t i = 0; i < b->data.n; i++) {
    lcs_push_retained(L, b->data.tensor[i]);
    lua_setfield(L, -2, b->data.name[i]);
  }
  for (size_t i = 0; i < b->data.n_words; i++) {
    push_words(L, &b->data.words[i]);
    lua_setfield(L, -2, b->data.words[i].name);
  }
  return 1;
}

static const luaL_Reg layout_methods[] = {
    {"list", layout_list}, {"initialise", layout_initialise}, {NULL, NULL}};
static const luaL_Reg layout_meta[] = {{"__gc", layout_gc}, {NULL, NULL}};
static const luaL_Reg dataset_meta[] = {{"__gc", dataset_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"layout", layout_new},
                                     {"build_model", build_model},
                                     {"build_loss", build_loss},
                                     {"dataset", dataset_new},
                                     {NULL, NULL}};

void lcs_open_model(lua_State *L, int lib) {
  lcs_type(L, LCS_LAYOUT, layout_methods, layout_meta);
  lcs_type(L, LCS_DATASET, NULL, dataset_meta);
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
