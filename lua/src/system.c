/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The few things of the operating system that scripts need beyond Lua's own library.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "binding.h"
#include "costate/run.h"

/* core.clock() -> seconds of a clock that only goes forward */
static int clock_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

/* core.peak_rss() -> KiB of resident memory at most so far */
static int peak_rss(lua_State *L) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  lua_pushinteger(L, u.ru_maxrss);
  return 1;
}

static int push_errno(lua_State *L, const char *path) {
  int e = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(e));
  return 2;
}

/* core.mkdir(path) -> true | nil, message; a directory that exists is fine */
static int make_directory(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat s;
  if (mkdir(path, 0777) != 0 && (errno != EEXIST || stat(path, &s) != 0 || !S_ISDIR(s.st_mode)))
    return push_errno(L, path);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.exists(path) -> "file" | "directory" | nil */
static int exists(lua_State *L) {
  struct stat s;
  if (stat(luaL_checkstring(L, 1), &s) != 0) return 0;
  lua_pushstring(L, S_ISDIR(s.st_mode) ? "directory" : "file");
  return 1;
}

/* core.sync(file): what was written is on the disk afterwards -> true | nil, message */
static int sync_file(lua_State *L) {
  luaL_Stream *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  luaL_argcheck(L, s->closef, 1, "the file is closed");
  if (fflush(s->f) != 0 || (fsync(fileno(s->f)) != 0 && errno != EINVAL)) return push_errno(L, "sync");
  lua_pushboolean(L, 1);
  return 1;
}

static int push_message(lua_State *L) {
  lua_pushnil(L);
  lua_pushstring(L, cst_message(lcs_state_of(L)->ctx));
  return 2;
}

/* core.write_file(path, text): all of it or nothing -> true | nil, message */
static int write_file(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  if (cst_write_file(lcs_state_of(L)->ctx, luaL_checkstring(L, 1), text, n) != CST_OK)
    return push_message(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.sha256_file(path) -> hexadecimal | nil, message */
static int sha256_file(lua_State *L) {
  char hex[CST_SHA256_HEX];
  if (cst_sha256_file(lcs_state_of(L)->ctx, luaL_checkstring(L, 1), hex) != CST_OK)
    return push_message(L);
  lua_pushstring(L, hex);
  return 1;
}

/* core.isatty([2]) -> whether standard output (or descriptor) is a terminal */
static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, 1)));
  return 1;
}

/* core.host() -> {system, release, machine, node, processors, pid} */
static int host(lua_State *L) {
  struct utsname u;
  lua_newtable(L);
  if (uname(&u) == 0) {
    lua_pushstring(L, u.sysname), lua_setfield(L, -2, "system");
    lua_pushstring(L, u.release), lua_setfield(L, -2, "release");
    lua_pushstring(L, u.machine), lua_setfield(L, -2, "machine");
    lua_pushstring(L, u.nodename), lua_setfield(L, -2, "node");
  }
  lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN)), lua_setfield(L, -2, "processors");
  lua_pushinteger(L, getpid()), lua_setfield(L, -2, "pid");
  return 1;
}

static const luaL_Reg functions[] = {
    {"clock", clock_now}, {"peak_rss", peak_rss},   {"mkdir", make_directory}, {"exists", exists},
    {"sync", sync_file},  {"isatty", is_terminal},  {"host", host},            {"write_file", write_file},
    {"sha256_file", sha256_file}, {NULL, NULL}};

void lcs_open_system(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
