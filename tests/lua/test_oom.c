/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Out of memory, everywhere: Lua and the context share one allocator, which fails the k-th request,
 * for every k, on the way script -> solve -> gradient -> training step. Whatever failed, the error
 * arrives as an error and nothing is left behind after lua_close.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int luaopen_costate_core(lua_State *L);

typedef enum mode { ONCE, TWICE, FOR_EVER } mode;

typedef struct meter {
  long made, live, fail_at; /* requests so far, blocks alive, first request that fails (0: none) */
  long marked;              /* `made` when the script called mark() */
  mode how;
} meter;

static int must_fail(const meter *m) {
  if (!m->fail_at || m->made < m->fail_at) return 0;
  if (m->how == FOR_EVER) return 1;
  return m->made < m->fail_at + (m->how == TWICE ? 2 : 1);
}

static void *allocate(void *user, void *ptr, size_t old_size, size_t new_size) {
  meter *m = user;
  if (new_size == 0) {
    if (ptr) m->live--;
    free(ptr);
    return NULL;
  }
  if (!ptr || new_size > old_size) {
    m->made++;
    if (must_fail(m)) return NULL;
  }
  void *p = realloc(ptr, new_size);
  if (p && !ptr) m->live++;
  return p;
}

static const char *const script =
    "local cs = require 'costate'\n"
    "local core = require 'costate.core'\n"
    "cs.tensor{1, 2} ; cs.nn.mlp { 1, 1 }\n"
    "mark()\n"
    "local net = cs.nn.mlp { 2, 3, 2, name = 'n' }\n"
    "local flow = cs.ode { field = function(t, y) return net(y^3) * t end, rtol = 1e-4 }\n"
    "local t = cs.linspace(0, 0.5, 3)\n"
    "local sol = flow:solve(cs.tensor{1, 0.5}, t)\n"
    "assert(sol.status == 'ok' or sol.message:find('memory'), sol.message)\n"
    "local g = cs.grad(function() return flow({1, 0.5}, t):sum() end)(net)\n"
    "cs.register.tableau { name = 'oom.heun', order = 2, a = {{1}}, b = {1/2, 1/2}, help = 'h' }\n"
    "local u = cs.control({0, 0.2, 0.5}, {1, 2, 0.5}, 'linear')\n"
    "local y0 = cs.rows(cs.tensor{{1}, {2}})\n"
    "local rows = cs.ode { control = 'row', trace = true, rtol = 1e-4, field = function(t, y) return u(t) - y end }\n"
    "sol = rows:solve(y0, {0, 0.3})\n"
    "assert(sol.status == 'ok' or sol.message:find('memory'), sol.message)\n"
    "cs.grad(function(y) return rows(y, {0, 0.3}):sum() end)(y0)\n"
    "cs.jvp(function(s) return rows(y0, s):sum() end)({cs.tensor({0, 0.3}, 'f64')}, {cs.tensor({0, 1}, 'f64')})\n"
    "for _, m in ipairs { 'forward', 'finite' } do\n"
    "  local f = cs.ode { gradient = m, rtol = 1e-4, field = function(t, y) return u(t) - net.flat:mean() * y end }\n"
    "  cs.grad(function(y, s) return f(y, s):sum() end)(y0, cs.tensor({0, 0.1, 0.3}, 'f64'))\n"
    "end\n"
    "local event = cs.ode { rtol = 1e-4, field = function(t, y) return -y end, events = { { most = 1,\n"
    "  when = function(t, y) return y:column(1) - 0.9 end, reset = function(t, y) return y + u(t) end } } }\n"
    "cs.grad(function(y) return event(y, {0, 0.3}):sum() end)(y0)\n"
    "local c = cs.scan(function(c, x) return c + x end, cs.tensor(0), cs.tensor{1, 2, 3})\n"
    "local steps = cs.ode { solver = 'euler', step = 1, field = function(t, y) return -y end }:map(0, 1)\n"
    "cs.grad(function(h) return cs.scan(function(c, x) return steps(c) + x end, h, cs.rows(cs.ones(2, 3, 1)),\n"
    "  { lengths = cs.rows(cs.tensor { 1, 3 }) }):sum() end)(y0)\n"
    "local called = cs.ode { gradient = 'finite', rtol = 1e-3, callback = function(t, y, dy)\n"
    "  for i = 1, #y do dy[i] = -y[i] * t end\n"
    "end }\n"
    "sol = called:solve(y0, {0, 0.3})\n"
    "assert(sol.status == 'ok' or sol.message:find('memory'), sol.message)\n"
    "cs.grad(function(y) return called(y, {0, 0.3}):sum() end)(y0)\n"
    "local cell = cs.nn.lstm { inputs = 1, units = 1 }\n"
    "cs.grad(function() return cell({ h = y0, c = y0 }, y0).h:sum() end)(cell)\n"
    "local r = cs.train { parameters = net, optimizer = cs.optim.adam { lr = 1e-3 }, steps = 2, quiet = true,\n"
    "  loss = function() return (flow({1, 0.5}, t)^2):mean() end }\n"
    "assert(r.status == 'ok' or r.message:find('memory'), r.message)\n"
    "return tostring(sol.values) .. tostring(g) .. cs.json { a = 1, b = { 2, 3 } }\n";

static int mark(lua_State *L) {
  meter *m;
  lua_getallocf(L, (void **)&m);
  m->marked = m->made;
  return 0;
}

static int body(lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_costate_core);
  lua_setfield(L, -2, "costate.core");
  lua_getglobal(L, "package");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", LUA_SOURCES, LUA_SOURCES);
  lua_setfield(L, -2, "path");
  lua_pushcfunction(L, mark);
  lua_setglobal(L, "mark");
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

/* Runs the script once; returns whether it succeeded. */
static int run(meter *m, char *message, size_t size) {
  lua_State *L = lua_newstate(allocate, m);
  if (!L) return snprintf(message, size, "no memory for a state"), 0;
  lua_pushcfunction(L, body); /* a light function: needs no memory */
  int ok = lua_pcall(L, 0, 0, 0) == LUA_OK;
  const char *text = ok ? "" : lua_tostring(L, -1);
  snprintf(message, size, "%s", text ? text : "(not a string)");
  lua_close(L);
  return ok;
}

static long failed = 0, passed = 0;

static void attempt(long k, mode how) {
  char message[300];
  meter m = {.fail_at = k, .how = how};
  int ok = run(&m, message, sizeof message);
  int said = ok || strstr(message, "memory") || strstr(message, "error in error");
  if (m.live == 0 && said) {
    passed++;
    return;
  }
  failed++;
  if (failed < 12)
    printf("FAILED request %ld, mode %d: %ld blocks left; %s\n", k, (int)how, m.live, message);
}

int main(void) {
  char message[300];
  meter m = {.fail_at = 0};
  if (!run(&m, message, sizeof message) || m.live) {
    printf("FAILED without any failing request: %s, %ld blocks left\n0 passed, 1 failed\n", message, m.live);
    return 1;
  }
  const char *dense = getenv("COSTATE_OOM_DENSE");
  long before = m.marked / (dense ? 2000 : 60) + 1, after = (m.made - m.marked) / (dense ? 100000 : 500) + 1;
  for (int how = ONCE; how <= FOR_EVER; how++)
    for (long k = 1; k <= m.made; k += k < m.marked ? before : after) attempt(k, (mode)how);
  printf("%ld requests\n%ld passed, %ld failed\n", m.made, passed, failed);
  return failed != 0;
}
