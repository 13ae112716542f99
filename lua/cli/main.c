/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The `costate` program: a Lua host with the binding inside. What the commands do is written in Lua
 * (costate/_cli.lua); here are the state, the paths, the interrupt and the line editor.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef CST_READLINE
#include <readline/history.h>
#include <readline/readline.h>
#endif

#include "../src/binding.h"

extern int luaopen_costate_core(lua_State *L);

static volatile sig_atomic_t interrupts = 0, stopping = 0; /* stopping: solves end */
static lua_State *running = NULL;

/* Raised at the next instruction of the script: { costate_exit = "interrupted" }. */
static void stop_script(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lua_newtable(L);
  lua_pushliteral(L, "interrupted");
  lua_setfield(L, -2, "costate_exit");
  lua_error(L);
}

/* The first interrupt lets the present training step finish, the second ends a solve at its next step and the
 * script at its next instruction (lua_sethook may be called from a handler), the third ends the process. */
static void on_interrupt(int sig) {
  (void)sig;
  if (++interrupts >= 3) _exit(3);
  if (interrupts != 2) return;
  stopping = 1;
  lua_sethook(running, stop_script, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Whether there was an interrupt, and whether the script was to stop. */
static int interrupted(lua_State *L) {
  lua_pushboolean(L, interrupts > 0);
  lua_pushboolean(L, stopping);
  return 2;
}

/* What was interrupted is over: the next interrupt is a first one. */
static int go_on(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
  interrupts = stopping = 0;
  return 0;
}

#ifdef CST_READLINE
static int read_line(lua_State *L) {
  char *line = readline(luaL_optstring(L, 1, "> "));
  if (!line) return 0;
  if (*line) add_history(line);
  lua_pushstring(L, line);
  free(line);
  return 1;
}
#endif

static int open_host(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, interrupted);
  lua_setfield(L, -2, "interrupted");
  lua_pushcfunction(L, go_on);
  lua_setfield(L, -2, "go_on");
#ifdef CST_READLINE
  lua_pushcfunction(L, read_line);
  lua_setfield(L, -2, "readline");
#endif
  return 1;
}

/* ---- where things are --------------------------------------------------------------------------- */

/* The directory of this program, or "" when the system does not say. */
static void own_directory(char *path, size_t size) {
  ssize_t n = readlink("/proc/self/exe", path, size - 1);
  path[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(path, '/');
  if (slash) *slash = '\0';
}

static bool same_place(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* In the build tree, modules are the sources and plugins lie where they were built. */
static const char *find_modules(void) {
  static char own[4096];
  const char *given = getenv("COSTATE_LUA_PATH");
  if (given && *given) return given;
  own_directory(own, sizeof own);
  if (!same_place(own, CST_BUILD_ROOT)) return CST_LUA_DIR;
  setenv("COSTATE_PLUGIN_PATH", CST_BUILD_PLUGINS, 0);
  return CST_SOURCE_LUA;
}

static void set_path(lua_State *L, const char *dir) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", dir, dir, lua_tostring(L, -1));
  lua_setfield(L, -3, "path");
  lua_pop(L, 2);
}

/* ---- the run -------------------------------------------------------------------------------------- */

static int message_handler(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (text) luaL_traceback(L, L, text, 1);
  return 1;
}

/* Everything that may raise runs here, under lua_pcall. */
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_costate_core);
  lua_setfield(L, -2, "costate.core");
  lua_pushcfunction(L, open_host);
  lua_setfield(L, -2, "costate._host");
  set_path(L, find_modules());
  lua_getglobal(L, "require");
  lua_pushliteral(L, "costate.core");
  lua_call(L, 1, 0);
  cst_set_stop(lcs_state_of(L)->ctx, &stopping);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "costate._cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_handler = on_interrupt};
  lua_State *L = running = luaL_newstate();
  if (!L) return fprintf(stderr, "costate: not enough memory\n"), 1;
  sigaction(SIGINT, &action, NULL);
  lua_pushcfunction(L, message_handler);
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code = 1;
  if (lua_pcall(L, 2, 1, 1) == LUA_OK) code = (int)lua_tointeger(L, -1);
  else fprintf(stderr, "costate: %s\n", lua_tostring(L, -1) ? lua_tostring(L, -1) : "unknown error");
  signal(SIGINT, SIG_DFL); /* the state is about to go */
  lua_close(L);
  if (fflush(stdout) != 0 && code == 0) code = 1;
  return code;
}
