/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Optimizer and costate.Step: one training step without Lua: bind the batch, run the
 * program that gives loss and gradients, clip, update.
 */
#include <math.h>
#include <string.h>

#include "binding.h"
#include "costate/plugin.h"

typedef struct optimizer_box {
  const cst_optimizer_type *type;
  const cst_options *options; /* user value 1 keeps it */
  cst_tensor *theta, *gradient, *slot[4];
  uint64_t count;
  double lr;
} optimizer_box;

enum { MAX_GROUPS = 32 };

typedef struct step_box {
  lcs_program *program; /* user values keep it and the optimizers alive */
  optimizer_box *group[MAX_GROUPS];
  size_t n_groups;
} step_box;

/* ---- optimizers ------------------------------------------------------------------------------------ */

static optimizer_box *check_optimizer(lua_State *L, int arg) {
  optimizer_box *b = luaL_checkudata(L, arg, LCS_OPTIMIZER);
  luaL_argcheck(L, b->theta && b->gradient, arg, "the optimizer is closed");
  return b;
}

static int optimizer_gc(lua_State *L) {
  optimizer_box *b = luaL_checkudata(L, 1, LCS_OPTIMIZER);
  cst_tensor *held[6] = {b->theta, b->gradient, b->slot[0], b->slot[1], b->slot[2], b->slot[3]};
  b->theta = b->gradient = NULL;
  memset(b->slot, 0, sizeof b->slot);
  for (int i = 0; i < 6; i++) cst_tensor_release(held[i]);
  return 0;
}

/* core.optimizer(name, options, theta) -> Optimizer of one flat parameter vector */
static int optimizer_new(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  const cst_optimizer_type *type = lcs_check_entry(L, CST_KIND_OPTIMIZER, 1)->type;
  const cst_options *o = lcs_check_options(L, 2);
  cst_tensor *theta = lcs_check_tensor(L, 3);
  luaL_argcheck(L, theta->type.rank == 1, 3, "a flat vector is needed");
  optimizer_box *b = lcs_box(L, sizeof *b, LCS_OPTIMIZER);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  b->type = type, b->options = o, b->lr = cst_option_number(o, "lr");
  const cst_type *t = &theta->type;
  lcs_check(L, cst_tensor_new(st->ctx, t->dtype, 1, t->dim, &b->gradient));
  for (uint32_t i = 0; i < type->slots && i < 4; i++)
    lcs_check(L, cst_tensor_new(st->ctx, t->dtype, 1, t->dim, &b->slot[i]));
  b->theta = cst_tensor_retain(theta);
  return 1;
}

static void update(optimizer_box *b, double factor) {
  cst_update u = {.struct_size = sizeof u, .dtype = b->theta->type.dtype, .n = b->theta->count,
                  .count = ++b->count, .rate = b->lr * factor, .theta = b->theta->data,
                  .gradient = b->gradient->data};
  for (int i = 0; i < 4; i++) u.slot[i] = b->slot[i] ? b->slot[i]->data : NULL;
  b->type->update(b->options, &u);
}

/* o:gradient(), o:slots() -> tensors */
static int optimizer_gradient(lua_State *L) {
  lcs_push_retained(L, check_optimizer(L, 1)->gradient);
  return 1;
}
static int optimizer_slots(lua_State *L) {
  optimizer_box *b = check_optimizer(L, 1);
  lua_newtable(L);
  for (int i = 0; i < 4 && b->slot[i]; i++) {
    lcs_push_retained(L, b->slot[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}
/* o:count([n]) -> updates so far; o:rate() -> the base learning rate */
static int optimizer_count(lua_State *L) {
  optimizer_box *b = check_optimizer(L, 1);
  if (!lua_isnoneornil(L, 2)) b->count = (uint64_t)luaL_checkinteger(L, 2);
  lua_pushinteger(L, (lua_Integer)b->count);
  return 1;
}
static int optimizer_rate(lua_State *L) {
  lua_pushnumber(L, check_optimizer(L, 1)->lr);
  return 1;
}
/* o:update([factor]): one update with the gradient as it stands */
static int optimizer_update(lua_State *L) {
  optimizer_box *b = check_optimizer(L, 1);
  update(b, luaL_optnumber(L, 2, 1));
  return 0;
}

/* ---- steps ----------------------------------------------------------------------------------------- */

/* core.step(program, optimizers) -> Step: output 1 of the program is the loss; the others are bound
 * to the optimizers' gradients already */
static int step_new(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t n = lua_rawlen(L, 2);
  luaL_argcheck(L, n <= MAX_GROUPS, 2, "too many groups of parameters");
  step_box *b = lcs_box(L, sizeof *b, LCS_STEP);
  lua_createtable(L, (int)n + 1, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    b->group[i] = check_optimizer(L, lua_gettop(L));
    lua_rawseti(L, -2, (lua_Integer)i + 2);
  }
  lua_setiuservalue(L, -2, 1);
  b->n_groups = n;
  b->program = p;
  return 1;
}

static double gradient_norm(const step_box *b, const cst_host *h) {
  double sum = 0;
  for (size_t i = 0; i < b->n_groups; i++) {
    const cst_tensor *g = b->group[i]->gradient;
    sum += h->dot(g->type.dtype, g->count, g->data, g->data);
  }
  return sqrt(sum);
}

static void scale_gradients(const step_box *b, const cst_host *h, double factor) {
  for (size_t i = 0; i < b->n_groups; i++) {
    cst_tensor *g = b->group[i]->gradient;
    const void *k[1] = {g->data};
    h->combine(g->type.dtype, g->count, NULL, 1, &factor, k, g->data);
  }
}

/* A gradient that is not finite must not reach the parameters. */
static int refuse(lua_State *L, double loss) {
  lua_pushnil(L);
  lua_pushliteral(L, "nonfinite");
  lua_pushstring(L, isfinite(loss) ? "the gradient is not finite" : "the loss is not finite");
  lua_pushnumber(L, loss);
  return 4;
}

/* step:run(factor, clip, batch...) -> loss, norm | nil, status, message | false when a batch entry
 * has another type than the program was compiled for. clip 0: none. */
static int step_run(lua_State *L) {
  step_box *b = luaL_checkudata(L, 1, LCS_STEP);
  luaL_argcheck(L, b->program, 1, "the step is closed");
  double factor = luaL_checknumber(L, 2), clip = luaL_checknumber(L, 3);
  int n = lua_gettop(L);
  for (int i = 4; i <= n; i++)
    if (!lcs_program_bind(L, b->program, (size_t)(i - 4), i)) return lua_pushboolean(L, 0), 1;
  cst_status st = lcs_program_execute(L, b->program);
  if (st != CST_OK) {
    lua_pushnil(L);
    lua_pushstring(L, cst_status_name(st));
    lcs_push_failure(L, b->program, st);
    return 3;
  }
  const cst_host *h = cst_host_of(lcs_state_of(L)->ctx);
  double loss = lcs_program_number(b->program, 0), norm = gradient_norm(b, h);
  if (!isfinite(loss) || !isfinite(norm)) return refuse(L, loss);
  if (clip > 0 && norm > clip) scale_gradients(b, h, clip / norm);
  for (size_t i = 0; i < b->n_groups; i++) update(b->group[i], factor);
  lua_pushnumber(L, loss);
  lua_pushnumber(L, norm);
  return 2;
}

static const luaL_Reg optimizer_methods[] = {
    {"gradient", optimizer_gradient}, {"slots", optimizer_slots},   {"count", optimizer_count},
    {"rate", optimizer_rate},         {"update", optimizer_update}, {NULL, NULL}};
static const luaL_Reg optimizer_meta[] = {{"__gc", optimizer_gc}, {NULL, NULL}};
static const luaL_Reg step_methods[] = {{"run", step_run}, {NULL, NULL}};
static const luaL_Reg step_meta[] = {{NULL, NULL}};

void lcs_open_step(lua_State *L, int lib) {
  lcs_type(L, LCS_OPTIMIZER, optimizer_methods, optimizer_meta);
  lcs_type(L, LCS_STEP, step_methods, step_meta);
  lua_pushcfunction(L, optimizer_new);
  lua_setfield(L, lib, "optimizer");
  lua_pushcfunction(L, step_new);
  lua_setfield(L, lib, "step");
}
