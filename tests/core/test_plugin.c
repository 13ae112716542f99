/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The registry and the loader: good and broken plugins (tests/broken), names, tableaus, models, data
 * sets; and all of it again with memory that runs out.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/context_internal.h"
#include "costate/registry.h"
#include "costate/run.h"
#include "ode/tableau.h"
#include "ode/trees.h"

int cst_suite_plugin(void);

static cst_context *ctx;
static char directory[64], *path_before;

static const char *broken_directory(void) {
  const char *d = getenv("COSTATE_TEST_BROKEN");
  return d ? d : "/nowhere";
}

/* Every test has a fresh context that finds plugins in tests/broken alone. */
static void begin(void) {
  ctx = cst_context_new(NULL);
  CU_ASSERT_FATAL(ctx != NULL && cst_last_status(ctx) == CST_OK);
}
static void end(void) { cst_context_free(ctx); }

static int begin_suite(void) {
  const char *before = getenv("COSTATE_PLUGIN_PATH");
  path_before = before ? strdup(before) : NULL;
  strcpy(directory, "/tmp/costate-plugin-XXXXXX");
  return mkdtemp(directory) ? setenv("COSTATE_PLUGIN_PATH", broken_directory(), 1) : 1;
}

static int end_suite(void) {
  if (path_before) setenv("COSTATE_PLUGIN_PATH", path_before, 1);
  else unsetenv("COSTATE_PLUGIN_PATH");
  free(path_before);
  return rmdir(directory);
}

static size_t entries(void) {
  size_t n = 0;
  for (int k = 0; k < CST_KIND_COUNT; k++) n += cst_entry_count(ctx, (cst_kind)k);
  return n;
}

static void expect_message(const char *part) {
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), part));
  if (!strstr(cst_message(ctx), part)) printf("got: %s\nnot: %s\n", cst_message(ctx), part);
}

/* ---- a good plugin ----------------------------------------------------------------------------------- */

static void test_good_plugin(void) {
  CU_ASSERT_EQUAL_FATAL(cst_plugin_load(ctx, "good"), CST_OK);
  const cst_entry *e = cst_find(ctx, CST_KIND_LOSS, "good.distance");
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  CU_ASSERT_STRING_EQUAL(e->name, "good.distance");
  CU_ASSERT_STRING_EQUAL(e->plugin, "good");
  CU_ASSERT_PTR_NOT_NULL(strstr(e->path, "/good.so"));
  CU_ASSERT_STRING_EQUAL(e->help, "weighted squared distance");
  CU_ASSERT_PTR_EQUAL(cst_find(ctx, CST_KIND_LOSS, "distance"), e);
  e = cst_find(ctx, CST_KIND_SOLVER, "two_thirds");
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  const cst_solver_type *s = e->type;
  CU_ASSERT_STRING_EQUAL(e->plugin, "good");
  CU_ASSERT_EQUAL(s->order, 2);
  CU_ASSERT_EQUAL(s->error_order, 1);
  CU_ASSERT_EQUAL(s->dense_order, 3);
  CU_ASSERT_EQUAL(s->traits, CST_ADAPTIVE);
  CU_ASSERT_STRING_EQUAL(((const cst_tableau *)s->method)->name, "two_thirds");
  /* Registering a tableau has loaded the engine. */
  CU_ASSERT_EQUAL(cst_plugin_count(ctx), 3);
  CU_ASSERT_STRING_EQUAL(cst_plugin_at(ctx, 0).name, "core");
  CU_ASSERT_STRING_EQUAL(cst_plugin_at(ctx, 0).path, "(core)");
  CU_ASSERT_STRING_EQUAL(cst_plugin_at(ctx, 1).name, "rk");
  CU_ASSERT_STRING_EQUAL(cst_plugin_at(ctx, 2).version, "1.0");
  CU_ASSERT_PTR_NULL(cst_plugin_at(ctx, 3).name);
}

static void test_same_file_twice(void) {
  char path[4200];
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  size_t n = entries();
  snprintf(path, sizeof path, "%s/./good.so", broken_directory());
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, path), CST_OK);
  snprintf(path, sizeof path, "%s/link.so", directory);
  char target[4200];
  snprintf(target, sizeof target, "%s/good.so", broken_directory());
  CU_ASSERT_EQUAL(symlink(target, path), 0);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, path), CST_OK);
  unlink(path);
  CU_ASSERT_EQUAL(entries(), n);
  CU_ASSERT_EQUAL(cst_plugin_count(ctx), 3);
}

static void test_full_name_loads_and_fsal_is_seen(void) {
  const cst_entry *e = cst_find(ctx, CST_KIND_SOLVER, "bosh3"); /* an alias of rk.bosh3 */
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  CU_ASSERT_STRING_EQUAL(e->name, "rk.bosh3");
  CU_ASSERT_EQUAL(((const cst_solver_type *)e->type)->traits, CST_ADAPTIVE | CST_FSAL);
  e = cst_find(ctx, CST_KIND_SOLVER, "rk.euler");
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  CU_ASSERT_EQUAL(((const cst_solver_type *)e->type)->traits, 0);
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_LOSS, "good.distance"));
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_CONTROLLER, "pi"));
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_OP, "add"));
}

static void test_loading_waits_for_solves(void) {
  cst_context_enter(ctx);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_EBUSY);
  expect_message("cannot be loaded while a solve or program is running");
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "core"), CST_OK);
  cst_context_leave(ctx);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  cst_context_enter(ctx);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  cst_context_leave(ctx);
}

static void test_two_contexts(void) {
  cst_context *other = cst_context_new(NULL);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  CU_ASSERT_EQUAL(cst_plugin_load(other, "good"), CST_OK);
  cst_context_free(other);
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_LOSS, "good.distance"));
}

/* ---- broken plugins ------------------------------------------------------------------------------------ */

/* Nothing of a refused plugin is left behind, and what was there still works. */
static void refuse(const char *name, cst_status status, const char *message) {
  size_t n = entries(), plugins = cst_plugin_count(ctx), live = cst_memory_of(ctx).live_blocks;
  cst_status st = cst_plugin_load(ctx, name);
  CU_ASSERT_EQUAL(st, status);
  if (st != status) printf("%s: %s: %s\n", name, cst_status_name(st), cst_message(ctx));
  expect_message(message);
  CU_ASSERT_EQUAL(entries(), n);
  CU_ASSERT_EQUAL(cst_plugin_count(ctx), plugins);
  CU_ASSERT(cst_memory_of(ctx).live_blocks <= live + 1); /* a list may have grown */
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_OP, "add"));
}

static void test_broken_descriptors(void) {
  refuse("wrong_abi", CST_EPLUGIN, "wrong_abi.so was built for plugin interface 43, this Costate has 2");
  refuse("small_struct", CST_EPLUGIN, "small_struct.so has a descriptor of 8 bytes, but the least is 40");
  refuse("no_symbol", CST_EPLUGIN, "it has no symbol cst_plugin_descriptor");
  refuse("bad_name", CST_EPLUGIN, "calls itself 'Bad.Name'");
  refuse("other_name", CST_EPLUGIN, "was loaded as 'other_name', but it is plugin 'some_name'");
}

static void test_broken_inits(void) {
  refuse("failing_init", CST_EUNSUPPORTED,
         "plugin 'failing_init' could not start: the moon is in the wrong quarter");
  CU_ASSERT_PTR_NULL(cst_find(ctx, CST_KIND_LOSS, "half_way"));
  refuse("silent_init", CST_EUNSUPPORTED, "plugin 'silent_init' could not start: it gave no reason");
  refuse("duplicate_type", CST_EEXISTS, "loss 'duplicate_type.twice' is registered already, by ");
  refuse("illegal_type", CST_EPLUGIN, "model 'hollow' lacks the required slot build");
  refuse("startless", CST_EPLUGIN, "solver 'memory' carries vectors, which needs FSAL and the slot start");
  refuse("bad_schema", CST_EPLUGIN, "option 'safety' of controller 'odd' has a default outside its range");
  refuse("bad_tableau", CST_EPLUGIN,
         "tableau 'kutta' is not of order 4: the condition sum b c = 1/2 of order 2 is off by 0.0833");
}

static void test_duplicate_plugin(void) {
  char path[4200];
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  snprintf(path, sizeof path, "%s/double_good.so", broken_directory());
  refuse(path, CST_EEXISTS, "double_good.so: plugin 'good' is loaded already, from ");
  expect_message("/good.so");
}

static void write_in_directory(const char *file, const void *data, size_t n, char path[200]) {
  snprintf(path, 200, "%s/%s", directory, file);
  CU_ASSERT_EQUAL_FATAL(cst_write_file(ctx, path, data, n), CST_OK);
}

static void test_files_that_are_no_libraries(void) {
  char path[200];
  static const char text[] = "This is a text file of more than sixty-four bytes, as anybody can see.";
  write_in_directory("text.so", text, sizeof text, path);
  refuse(path, CST_EPLUGIN, "text.so is no shared object (no ELF header)");
  write_in_directory("text.so", "", 0, path);
  refuse(path, CST_EPLUGIN, "text.so is no shared object (no ELF header)");
  unlink(path);
  refuse(directory, CST_EPLUGIN, "is not a regular file");
  refuse("/nowhere/x.so", CST_ENOTFOUND, "/nowhere/x.so: No such file or directory");
}

/* Cut at any length, the file is refused by a message and never reaches the dynamic loader. */
static void test_truncated_library(void) {
  char path[4200], cut[200];
  void *data;
  size_t n;
  snprintf(path, sizeof path, "%s/good.so", broken_directory());
  CU_ASSERT_EQUAL_FATAL(cst_read_file(ctx, path, 1 << 24, &data, &n), CST_OK);
  for (size_t k = 1; k < 64; k++) {
    write_in_directory("cut.so", data, n * k / 64, cut);
    CU_ASSERT_EQUAL(cst_plugin_load(ctx, cut), CST_EPLUGIN);
    expect_message("cut.so is ");
  }
  unsigned char *bytes = data;
  bytes[18] ^= 0xff; /* e_machine */
  write_in_directory("cut.so", data, n, cut);
  refuse(cut, CST_EPLUGIN, "was built for another machine");
  unlink(cut);
  cst_free(ctx, data);
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static void refuse_name(cst_kind kind, const char *name, const char *message) {
  CU_ASSERT_PTR_NULL(cst_find(ctx, kind, name));
  expect_message(message);
}

static void test_not_found(void) {
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  refuse_name(CST_KIND_SOLVER, "dopri", "there is no solver 'dopri': did you mean 'dopri5'?");
  refuse_name(CST_KIND_SOLVER, "good.two_thirdse", "did you mean 'good.two_thirds'?");
  refuse_name(CST_KIND_LOSS, "two_thirds", "there is no loss 'two_thirds' (what is not loaded has");
  refuse_name(CST_KIND_LOSS, "good.two_thirds", "'good.two_thirds' is a solver");
  refuse_name(CST_KIND_MODEL, "adam", "'optimizers.adam' is an optimizer");
  refuse_name(CST_KIND_LOSS, "gold.distance", "there is no plugin 'gold' in ");
  expect_message(broken_directory());
  expect_message("did you mean 'good'?");
  refuse_name(CST_KIND_LOSS, "../x.y", "there is no loss '../x.y'");
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, ".."), CST_EINVAL);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, ""), CST_EINVAL);
}

static void note_name(void *arg, const char *name, const char *path) {
  (void)path;
  if (strcmp(name, "good") == 0) ++*(int *)arg;
}

static void test_search_path(void) {
  char path[4300];
  int found = 0;
  setenv("COSTATE_PLUGIN_PATH", "relative/dir", 1);
  refuse("good", CST_ENOTFOUND, "an entry that is not absolute");
  snprintf(path, sizeof path, "%s::%s", directory, broken_directory());
  setenv("COSTATE_PLUGIN_PATH", path, 1);
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  cst_plugin_available(ctx, note_name, &found);
  CU_ASSERT_EQUAL(found, 1);
  setenv("COSTATE_PLUGIN_PATH", broken_directory(), 1);
}

/* ---- plugins linked in: ambiguity, registration outside init ------------------------------------------------ */

static cst_value no_loss(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  return cst_mean(g, in[0]);
}
static const cst_loss_type distance_too = {
    .struct_size = sizeof distance_too, .name = "distance", .n_in = 2, .build = no_loss};
static cst_status init_other(const cst_host *h) { return h->register_loss(h, &distance_too); }
static int finished;
static void fini_other(void) { finished++; }
static const cst_plugin other = {.abi_version = CST_ABI, .struct_size = sizeof other,
                                 .name = "other", .init = init_other, .fini = fini_other};

static void test_ambiguity_and_fini(void) {
  finished = 0;
  CU_ASSERT_EQUAL(cst_plugin_load(ctx, "good"), CST_OK);
  CU_ASSERT_EQUAL(cst_plugin_add(ctx, &other, "(test)"), CST_OK);
  refuse_name(CST_KIND_LOSS, "distance",
              "loss 'distance' is ambiguous: 'good.distance' or 'other.distance'?");
  CU_ASSERT_PTR_NOT_NULL(cst_find(ctx, CST_KIND_LOSS, "other.distance"));
  CU_ASSERT_EQUAL(cst_plugin_add(ctx, &other, "(test)"), CST_EEXISTS);
  const cst_host *h = cst_host_of(ctx);
  CU_ASSERT_EQUAL(h->register_loss(h, &distance_too), CST_EPLUGIN);
  expect_message("from a plugin's init only");
  cst_context_free(ctx);
  CU_ASSERT_EQUAL(finished, 1);
  ctx = cst_context_new(NULL);
}

/* ---- tableaus --------------------------------------------------------------------------------------------- */

static const double dopri5_a[] = {
    1 / 5., 3 / 40., 9 / 40., 44 / 45., -56 / 15., 32 / 9., 19372 / 6561., -25360 / 2187.,
    64448 / 6561., -212 / 729., 9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.,
    35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.};
static const double dopri5_b[] = {35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84., 0};
static const double dopri5_e[] = {71 / 57600.,     0,           -71 / 16695., 71 / 1920.,
                                  -17253 / 339200., 22 / 525., -1 / 40.};

static cst_tableau dopri5(void) {
  return (cst_tableau){.struct_size = sizeof(cst_tableau), .name = "dopri5", .order = 5, .stages = 7,
                       .a = dopri5_a, .b = dopri5_b, .e = dopri5_e, .error_order = 4};
}

static void refuse_tableau(const cst_tableau *t, const char *message) {
  CU_ASSERT_EQUAL(cst_tableau_check(ctx, t), CST_EPLUGIN);
  expect_message(message);
}

static void test_tableau_orders(void) {
  cst_tableau t = dopri5();
  CU_ASSERT_EQUAL(cst_tableau_check(ctx, &t), CST_OK);
  CU_ASSERT_TRUE(cst_tableau_is_fsal(&t));
  t.error_order = 5;
  refuse_tableau(&t, "tableau 'dopri5' is not of order 5 in its error estimate (b - e): the condition "
                     "sum ");
  t.order = 6;
  refuse_tableau(&t, "tableau 'dopri5' is not of order 6: the condition sum b c (a a a c) = 1/144 of "
                     "order 6 is off by -0.000278");
  t.order = 5;
  t.error_order = 4;
  static const double half[] = {0.5, 0.5}, e[] = {0.1, 0.1}, one[] = {1}, zero[] = {0, 0};
  t = (cst_tableau){.struct_size = sizeof t, .name = "x", .order = 2, .stages = 2, .a = one, .b = half};
  CU_ASSERT_EQUAL(cst_tableau_check(ctx, &t), CST_OK);
  CU_ASSERT_FALSE(cst_tableau_is_fsal(&t));
  t.order = 3;
  refuse_tableau(&t, "sum b c^2 = 1/3 of order 3 is off by 0.167");
  t.order = 2;
  t.e = e;
  refuse_tableau(&t, "has e, which needs an error_order");
  t.error_order = 1;
  refuse_tableau(&t, "the sum of e is 0.2, not 0");
  t.e = zero;
  refuse_tableau(&t, "an e of zeros only");
  t.e = NULL;
  t.b = e;
  refuse_tableau(&t, "the condition sum b = 1 of order 1 is off by -0.8");
  t.b = NULL;
  refuse_tableau(&t, "lacks b");
  t.stages = 1000;
  refuse_tableau(&t, "1 to 64 stages");
  t.struct_size = 4;
  refuse_tableau(&t, "struct_size 4");
}

/* One mistaken coefficient of a is found, whichever it is. */
static void test_tableau_mistakes(void) {
  for (int i = 0; i < 21; i++) {
    double a[21];
    memcpy(a, dopri5_a, sizeof a);
    a[i] += 1e-6;
    cst_tableau t = dopri5();
    t.a = a;
    CU_ASSERT_EQUAL(cst_tableau_check(ctx, &t), CST_EPLUGIN);
  }
}

/* As many rooted trees as there are (OEIS A000081), their conditions all different and, for the chain and
 * the bush, with the right side known. */
static void test_trees(void) {
  static const int many[CST_TREE_ORDER] = {1, 1, 2, 4, 9, 20, 48, 115};
  cst_tree tree[CST_TREES];
  char text[CST_TREES][128];
  int n = cst_trees_list(CST_TREE_ORDER, tree), seen[CST_TREE_ORDER] = {0}, known = 0;
  CU_ASSERT_EQUAL(n, CST_TREES);
  for (int k = 0; k < n; k++) {
    cst_tree_text(tree, k, text[k], sizeof text[k]);
    seen[tree[k].nodes - 1]++;
    for (int j = 0; j < k; j++) CU_ASSERT_STRING_NOT_EQUAL(text[j], text[k]);
    if (strcmp(text[k], "b (a a a a a a c)") == 0) known += tree[k].gamma == 40320;
    if (strcmp(text[k], "b c^7") == 0) known += tree[k].gamma == 8;
    if (strcmp(text[k], "b c (a (c (a c^2)))") == 0) known += tree[k].gamma == 7 * 5 * 3;
  }
  CU_ASSERT_EQUAL(known, 3);
  CU_ASSERT_EQUAL(memcmp(seen, many, sizeof seen), 0);
}

static void test_tableau_dense(void) {
  /* Heun's method with its natural interpolant, b1 = theta - theta^2/2, b2 = theta^2/2. */
  static const double one[] = {1}, half[] = {0.5, 0.5}, good[] = {1, -0.5, 0, 0.5},
                      early[] = {1, -0.5, 0.1, 0.4}, ends_wrong[] = {1, -0.5, 0, 0.25};
  cst_tableau t = {.struct_size = sizeof t, .name = "heun", .order = 2, .stages = 2, .a = one,
                   .b = half, .p = good, .dense_degree = 2, .dense_order = 2};
  CU_ASSERT_EQUAL(cst_tableau_check(ctx, &t), CST_OK);
  t.dense_order = 3;
  refuse_tableau(&t, "not of order 3 in its dense output: the condition sum b c^2 = theta^3/3");
  t.dense_order = 2;
  t.p = early;
  refuse_tableau(&t, "sum b = theta of order 1 at theta = 0.1 is off by 0.009");
  t.p = ends_wrong;
  refuse_tableau(&t, "row 2 of p sums to 0.25 at theta = 1, but b is 0.5");
  t.p = good;
  t.dense_degree = 0;
  refuse_tableau(&t, "needs a dense_degree");
  t.dense_degree = 2;
  t.dense_stages = 1;
  refuse_tableau(&t, "dense_stages 1, which needs a_dense");
  t.dense_stages = 0;
  t.e_low = half;
  refuse_tableau(&t, "e_low, which needs an e");
}

/* A tableau of one's own is copied, and is told apart from those of plugins. */
static void test_tableau_own(void) {
  double one[] = {1}, half[] = {0.5, 0.5};
  cst_tableau t = {.struct_size = sizeof t, .order = 2, .stages = 2, .a = one, .b = half, .help = "own"};
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "own.heun", "here:1", &t), CST_OK);
  half[0] = one[0] = 7;
  const cst_entry *e = cst_find(ctx, CST_KIND_SOLVER, "own.heun");
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  const cst_tableau *copy = ((const cst_solver_type *)e->type)->method;
  CU_ASSERT(copy->a[0] == 1 && copy->b[0] == 0.5 && copy->e == NULL && copy->p == NULL);
  CU_ASSERT_STRING_EQUAL(e->plugin, "own");
  CU_ASSERT_STRING_EQUAL(e->path, "here:1");
  CU_ASSERT_STRING_EQUAL(e->help, "own");
  half[0] = 0.5, one[0] = 1;
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "own.heun", "here:2", &t), CST_EEXISTS);
  expect_message("solver 'own.heun' is registered already, by here:1");
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "rk.own", "here:2", &t), CST_EEXISTS);
  expect_message("choose another first half, like mine.own");
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "heun", "here:2", &t), CST_EINVAL);
  cst_context_enter(ctx);
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "own.other", "here:2", &t), CST_EBUSY);
  cst_context_leave(ctx);
  t.order = 3;
  CU_ASSERT_EQUAL(cst_tableau_register(ctx, "own.other", "here:2", &t), CST_EPLUGIN);
  expect_message("tableau 'other' is not of order 3");
}

/* ---- models --------------------------------------------------------------------------------------------------- */

static cst_status declare_all(const cst_host *h, const cst_options *o, cst_model_spec *m) {
  int64_t w[2] = {30, 50}, wide[2] = {4, 9}, b[1] = {50};
  (void)o;
  h->parameter(m, "zero", 1, b, CST_INIT_ZERO, 1);
  h->parameter(m, "constant", 1, b, CST_INIT_CONSTANT, 2.5);
  h->parameter(m, "normal", 2, w, CST_INIT_NORMAL, 0.1);
  h->parameter(m, "uniform", 2, w, CST_INIT_UNIFORM, 3);
  h->parameter(m, "glorot", 2, w, CST_INIT_GLOROT, 1);
  h->parameter(m, "he", 2, w, CST_INIT_HE, 1);
  h->parameter(m, "lecun", 2, w, CST_INIT_LECUN, 1);
  h->parameter(m, "tall", 2, (int64_t[2]){9, 4}, CST_INIT_ORTHOGONAL, 2);
  h->parameter(m, "wide", 2, wide, CST_INIT_ORTHOGONAL, 1);
  return h->parameter(m, "scalar", 0, NULL, CST_INIT_CONSTANT, 1);
}
static cst_status declare_twice(const cst_host *h, const cst_options *o, cst_model_spec *m) {
  int64_t b[1] = {5};
  (void)o;
  h->parameter(m, "b", 1, b, CST_INIT_ZERO, 1);
  h->parameter(m, "b", 1, b, CST_INIT_ZERO, 1);
  return CST_OK;
}
static cst_status declare_wrong(const cst_host *h, const cst_options *o, cst_model_spec *m) {
  (void)o;
  h->parameter(m, "w", 1, (int64_t[1]){-3}, CST_INIT_ZERO, 1);
  return CST_OK;
}
static cst_value build_none(cst_graph *g, const cst_options *o, const cst_value *p,
                            const cst_value *in, size_t n_in) {
  (void)g, (void)o, (void)p, (void)n_in;
  return in[0];
}
static cst_status build_set(const cst_host *h, const cst_options *o, uint64_t seed,
                            cst_dataset_spec *d) {
  void *y, *t;
  (void)o;
  CST_TRY(h->dataset_tensor(d, "t", CST_F64, 1, (int64_t[1]){3}, false, &t));
  CST_TRY(h->dataset_tensor(d, "y", CST_F32, 2, (int64_t[2]){2, 3}, true, &y));
  ((double *)t)[2] = (double)seed;
  return h->dataset_words(d, "channels", 2, (const char *const[]){"hare", "lynx"});
}
static cst_status build_set_twice(const cst_host *h, const cst_options *o, uint64_t seed,
                                  cst_dataset_spec *d) {
  void *t;
  (void)o, (void)seed;
  h->dataset_tensor(d, "t", CST_F64, 1, (int64_t[1]){3}, false, &t);
  h->dataset_tensor(d, "t", CST_F64, 1, (int64_t[1]){3}, false, &t);
  return CST_OK;
}

static cst_status build_words_twice(const cst_host *h, const cst_options *o, uint64_t seed,
                                    cst_dataset_spec *d) {
  void *t;
  (void)o, (void)seed;
  h->dataset_tensor(d, "t", CST_F64, 1, (int64_t[1]){3}, false, &t);
  h->dataset_words(d, "t", 0, NULL);
  return CST_OK;
}

#define MODEL(id, f)                                                                         \
  static const cst_model_type id = {                                                         \
      .struct_size = sizeof id, .name = #id, .declare = f, .build = build_none}
MODEL(all, declare_all);
MODEL(twice, declare_twice);
MODEL(wrong, declare_wrong);
static const cst_dataset_type set = {.struct_size = sizeof set, .name = "set", .build = build_set};
static const cst_dataset_type set_twice = {
    .struct_size = sizeof set_twice, .name = "set_twice", .build = build_set_twice};
static const cst_dataset_type words_twice = {
    .struct_size = sizeof words_twice, .name = "words_twice", .build = build_words_twice};

static cst_status init_models(const cst_host *h) {
  CST_TRY(h->register_model(h, &all));
  CST_TRY(h->register_model(h, &twice));
  CST_TRY(h->register_model(h, &wrong));
  CST_TRY(h->register_dataset(h, &set));
  CST_TRY(h->register_dataset(h, &words_twice));
  return h->register_dataset(h, &set_twice);
}
static const cst_plugin models = {.abi_version = CST_ABI, .struct_size = sizeof models,
                                  .name = "models", .init = init_models};

/* Several outputs without what fills them in, and a loss of nothing but what may be left out. */
static const cst_model_type torn = {
    .struct_size = sizeof torn, .name = "torn", .declare = declare_all, .build = build_none, .n_out = 2};
static const cst_loss_type idle = {
    .struct_size = sizeof idle, .name = "idle", .n_in = 1, .n_optional = 1, .build = no_loss};
static cst_status init_torn(const cst_host *h) { return h->register_model(h, &torn); }
static cst_status init_idle(const cst_host *h) { return h->register_loss(h, &idle); }

static void test_appended_fields_are_checked(void) {
  const cst_plugin faulty[2] = {
      {.abi_version = CST_ABI, .struct_size = sizeof *faulty, .name = "torn", .init = init_torn},
      {.abi_version = CST_ABI, .struct_size = sizeof *faulty, .name = "idle", .init = init_idle}};
  CU_ASSERT_EQUAL(cst_plugin_add(ctx, &faulty[0], "(test)"), CST_EPLUGIN);
  expect_message("model 'torn' has several outputs and lacks build_all or a signature");
  CU_ASSERT_EQUAL(cst_plugin_add(ctx, &faulty[1], "(test)"), CST_EPLUGIN);
  expect_message("loss 'idle' takes no inputs");
}

static double deviation_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sqrt(sum / (double)n);
}

/* Columns (stride between elements `columns`) or rows of a matrix against each other. */
static double worst_product(const double *x, size_t count, size_t step, size_t n, size_t stride,
                            double square) {
  double worst = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++) {
      double sum = 0;
      for (size_t k = 0; k < n; k++) sum += x[i * step + k * stride] * x[j * step + k * stride];
      worst = fmax(worst, fabs(sum - (i == j ? square : 0)));
    }
  return worst;
}

static void check_start(const cst_layout *l, const double *x) {
  const cst_parameter *p = l->parameter;
  for (size_t i = 0; i < 50; i++) CU_ASSERT(x[i] == 0 && x[50 + i] == 2.5);
  static const double deviation[] = {0.1, 1.7320508, 0.1581139, 0.2581989, 0.1825742};
  for (int k = 0; k < 5; k++) /* 1500 draws: the deviation is known to 2 % or so */
    CU_ASSERT_DOUBLE_EQUAL(deviation_of(x + p[2 + k].offset, 1500) / deviation[k], 1, 0.08);
  for (size_t i = 0; i < 1500; i++) CU_ASSERT(fabs(x[p[3].offset + i]) < 3);
  CU_ASSERT(worst_product(x + p[7].offset, 4, 1, 9, 4, 4) < 1e-14);
  CU_ASSERT(worst_product(x + p[8].offset, 4, 9, 9, 1, 1) < 1e-14);
  CU_ASSERT_EQUAL(x[p[9].offset], 1);
}

static void test_model_start(void) {
  CU_ASSERT_EQUAL_FATAL(cst_plugin_add(ctx, &models, "(test)"), CST_OK);
  size_t live = cst_memory_of(ctx).live_blocks;
  cst_layout l;
  CU_ASSERT_EQUAL_FATAL(cst_model_declare(ctx, cst_find(ctx, CST_KIND_MODEL, "all"), NULL, CST_F32, &l),
                        CST_OK);
  CU_ASSERT_EQUAL(l.n, 10);
  CU_ASSERT_EQUAL(l.count, 100 + 5 * 1500 + 72 + 1);
  CU_ASSERT_EQUAL(l.parameter[3].offset, 1600);
  CU_ASSERT_EQUAL(l.parameter[3].type.dtype, CST_F32);
  double *x = cst_alloc(ctx, l.count * sizeof *x), *z = cst_alloc(ctx, l.count * sizeof *z);
  float *f = cst_alloc(ctx, l.count * sizeof *f);
  CU_ASSERT_EQUAL(cst_layout_initialise(ctx, &l, CST_F64, 7, "net", x), CST_OK);
  CU_ASSERT_EQUAL(cst_layout_initialise(ctx, &l, CST_F32, 7, "net", f), CST_OK);
  CU_ASSERT_EQUAL(cst_layout_initialise(ctx, &l, CST_F64, 7, "other", z), CST_OK);
  check_start(&l, x);
  size_t equal = 0;
  for (size_t i = 0; i < l.count; i++) CU_ASSERT((float)x[i] == f[i]);
  for (size_t i = 100; i < l.count - 1; i++) equal += x[i] == z[i];
  CU_ASSERT_EQUAL(equal, 0); /* another name is another stream */
  cst_free(ctx, x);
  cst_free(ctx, z);
  cst_free(ctx, f);
  cst_layout_free(ctx, &l);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, live);
}

static void test_model_mistakes(void) {
  cst_layout l;
  CU_ASSERT_EQUAL_FATAL(cst_plugin_add(ctx, &models, "(test)"), CST_OK);
  CU_ASSERT_EQUAL(cst_model_declare(ctx, cst_find(ctx, CST_KIND_MODEL, "twice"), NULL, CST_F64, &l),
                  CST_EEXISTS);
  expect_message("model 'models.twice' declares parameter 'b' twice");
  CU_ASSERT_EQUAL(l.n, 0);
  CU_ASSERT_EQUAL(cst_model_declare(ctx, cst_find(ctx, CST_KIND_MODEL, "wrong"), NULL, CST_F64, &l),
                  CST_ESHAPE);
  expect_message("parameter 'w' of model 'models.wrong': axis 0 has the negative length -3");
}

static void test_dataset(void) {
  CU_ASSERT_EQUAL_FATAL(cst_plugin_add(ctx, &models, "(test)"), CST_OK);
  size_t live = cst_memory_of(ctx).live_blocks;
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(cst_dataset_build(ctx, cst_find(ctx, CST_KIND_DATASET, "set"), NULL, 9, &d),
                        CST_OK);
  CU_ASSERT_EQUAL(d.n, 2);
  CU_ASSERT_STRING_EQUAL(d.name[1], "y");
  CU_ASSERT_EQUAL(d.tensor[1]->type.space, CST_ROW);
  CU_ASSERT_EQUAL(d.tensor[0]->type.space, CST_SHARED);
  CU_ASSERT_EQUAL(cst_tensor_get(d.tensor[0], 2), 9);
  CU_ASSERT_EQUAL_FATAL(d.n_words, 1);
  CU_ASSERT_STRING_EQUAL(d.words[0].name, "channels");
  CU_ASSERT_EQUAL_FATAL(d.words[0].n, 2);
  CU_ASSERT_STRING_EQUAL(d.words[0].word[1], "lynx");
  cst_dataset_free(ctx, &d);
  CU_ASSERT_EQUAL(cst_dataset_build(ctx, cst_find(ctx, CST_KIND_DATASET, "set_twice"), NULL, 9, &d),
                  CST_EEXISTS);
  expect_message("dataset 'models.set_twice' makes tensor 't' twice");
  CU_ASSERT_EQUAL(cst_dataset_build(ctx, cst_find(ctx, CST_KIND_DATASET, "words_twice"), NULL, 9, &d),
                  CST_EEXISTS);
  expect_message("dataset 'models.words_twice' makes word list 't' twice");
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, live);
}

/* ---- memory that runs out ------------------------------------------------------------------------------------- */

typedef struct scarce {
  long left;    /* allocations that still succeed */
  bool for_ever; /* after the first failure all fail; otherwise only two */
  size_t live;
} scarce;

static void *scarce_resize(void *user, void *ptr, size_t old_size, size_t new_size) {
  scarce *s = user;
  (void)old_size;
  if (!new_size) {
    if (ptr) s->live--;
    free(ptr);
    return NULL;
  }
  s->left--;
  if (s->left < 0 && (s->for_ever || s->left >= -2)) return NULL;
  if (!ptr) s->live++;
  return realloc(ptr, new_size);
}

static cst_status make_things(cst_context *c) {
  static const double list[] = {1, 2};
  static const cst_option schema[] = {{"sizes", CST_LIST, .help = ""}, {.kind = CST_OPTION_END}};
  cst_given given = {.name = "sizes", .kind = CST_LIST, .list = list, .n_list = 2};
  cst_options *o;
  CST_TRY(cst_options_new(c, "x", schema, &given, 1, &o));
  cst_options_free(c, o);
  cst_layout l;
  CST_TRY(cst_model_declare(c, cst_find(c, CST_KIND_MODEL, "all"), NULL, CST_F64, &l));
  double *theta = cst_alloc(c, l.count * sizeof *theta);
  cst_status st = theta ? cst_layout_initialise(c, &l, CST_F64, 1, "x", theta) : CST_ENOMEM;
  cst_free(c, theta);
  cst_layout_free(c, &l);
  CST_TRY(st);
  cst_dataset d;
  CST_TRY(cst_dataset_build(c, cst_find(c, CST_KIND_DATASET, "set"), NULL, 1, &d));
  cst_dataset_free(c, &d);
  return CST_OK;
}

static cst_status scenario(scarce *s) {
  cst_context *c = cst_context_new(&(cst_allocator){scarce_resize, s});
  if (!c) return CST_ENOMEM;
  cst_status st = cst_set_threads(c, 2);
  if (st == CST_OK) st = cst_plugin_load(c, "good");
  if (st == CST_OK) st = cst_plugin_add(c, &models, "(test)");
  if (st == CST_OK) st = make_things(c);
  if (st != CST_OK) CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(c), "out of memory"));
  cst_context_free(c);
  return st;
}

static void sweep(bool for_ever) {
  long k = 0;
  for (;; k++) {
    scarce s = {.left = k, .for_ever = for_ever};
    cst_status st = scenario(&s);
    CU_ASSERT_EQUAL_FATAL(s.live, 0);
    if (st == CST_OK) break;
    CU_ASSERT_EQUAL_FATAL(st, CST_ENOMEM);
  }
  CU_ASSERT(k > 50);
}

static void test_memory_runs_out(void) {
  sweep(true);
  sweep(false);
}

int cst_suite_plugin(void) {
  CU_pSuite s = CU_add_suite_with_setup_and_teardown("plugin", begin_suite, end_suite, begin, end);
  if (!s) return 1;
  CU_ADD_TEST(s, test_good_plugin);
  CU_ADD_TEST(s, test_same_file_twice);
  CU_ADD_TEST(s, test_full_name_loads_and_fsal_is_seen);
  CU_ADD_TEST(s, test_loading_waits_for_solves);
  CU_ADD_TEST(s, test_two_contexts);
  CU_ADD_TEST(s, test_broken_descriptors);
  CU_ADD_TEST(s, test_broken_inits);
  CU_ADD_TEST(s, test_duplicate_plugin);
  CU_ADD_TEST(s, test_files_that_are_no_libraries);
  CU_ADD_TEST(s, test_truncated_library);
  CU_ADD_TEST(s, test_not_found);
  CU_ADD_TEST(s, test_search_path);
  CU_ADD_TEST(s, test_ambiguity_and_fini);
  CU_ADD_TEST(s, test_tableau_orders);
  CU_ADD_TEST(s, test_tableau_mistakes);
  CU_ADD_TEST(s, test_trees);
  CU_ADD_TEST(s, test_tableau_dense);
  CU_ADD_TEST(s, test_tableau_own);
  CU_ADD_TEST(s, test_model_start);
  CU_ADD_TEST(s, test_model_mistakes);
  CU_ADD_TEST(s, test_appended_fields_are_checked);
  CU_ADD_TEST(s, test_dataset);
  CU_ADD_TEST(s, test_memory_runs_out);
  return 0;
}
