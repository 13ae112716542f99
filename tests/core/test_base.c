/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory, messages, threads, numbers as text, random numbers, files.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context_internal.h"
#include "costate/rng.h"
#include "costate/run.h"

int cst_suite_base(void);

/* ---- memory --------------------------------------------------------------------------------------- */

/* An allocator that never returns an aligned address and counts what it has given out. */
typedef struct crooked {
  size_t live, bytes;
} crooked;

static void *crooked_resize(void *user, void *ptr, size_t old_size, size_t new_size) {
  crooked *c = user;
  unsigned char *fresh = NULL;
  if (new_size) {
    unsigned char *raw = malloc(new_size + 9);
    if (!raw) return NULL;
    fresh = raw + 9;
    c->live++;
    c->bytes += new_size;
  }
  if (ptr) {
    if (fresh) memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
    free((unsigned char *)ptr - 9);
    c->live--;
    c->bytes -= old_size;
  }
  return fresh;
}

static bool is_zero(const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}

static void test_alloc_is_aligned_and_zero(void) {
  crooked c = {0};
  cst_context *ctx = cst_context_new(&(cst_allocator){crooked_resize, &c});
  CU_ASSERT_PTR_NOT_NULL_FATAL(ctx);
  CU_ASSERT_EQUAL((uintptr_t)ctx % 64, 0);
  cst_memory before = cst_memory_of(ctx);
  for (size_t n = 0; n < 300; n += 7) {
    unsigned char *p = cst_alloc(ctx, n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
    CU_ASSERT(is_zero(p, n));
    memset(p, 0xa5, n);
    cst_free(ctx, p);
  }
  cst_memory after = cst_memory_of(ctx);
  CU_ASSERT_EQUAL(after.live_blocks, before.live_blocks);
  CU_ASSERT_EQUAL(after.live_bytes, before.live_bytes);
  CU_ASSERT_EQUAL(after.allocations, before.allocations + 43);
  CU_ASSERT(after.peak_bytes >= before.live_bytes + 294);
  cst_memory_forget_peak(ctx);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).peak_bytes, after.live_bytes);
  cst_free(ctx, NULL);
  cst_context_free(ctx);
  CU_ASSERT_EQUAL(c.live, 0);
  CU_ASSERT_EQUAL(c.bytes, 0);
}

static void test_realloc_keeps_bytes(void) {
  crooked c = {0};
  cst_context *ctx = cst_context_new(&(cst_allocator){crooked_resize, &c});
  cst_memory before = cst_memory_of(ctx);
  unsigned char *p = cst_realloc(ctx, NULL, 5);
  for (unsigned char i = 0; i < 5; i++) p[i] = i;
  for (size_t n = 6; n < 5000; n = n * 3 / 2 + 1) {
    p = cst_realloc(ctx, p, n);
    CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < 5; i++) CU_ASSERT_EQUAL(p[i], i);
    CU_ASSERT_EQUAL(cst_memory_of(ctx).live_bytes, before.live_bytes + n);
    CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, before.live_blocks + 1);
  }
  p = cst_realloc(ctx, p, 3);
  for (size_t i = 0; i < 3; i++) CU_ASSERT_EQUAL(p[i], i);
  cst_free(ctx, p);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_bytes, before.live_bytes);
  cst_context_free(ctx);
  CU_ASSERT_EQUAL(c.live, 0);
}

static void test_alloc_too_large(void) {
  cst_context *ctx = cst_context_new(NULL);
  size_t live = cst_memory_of(ctx).live_bytes;
  CU_ASSERT_PTR_NULL(cst_alloc(ctx, SIZE_MAX));
  CU_ASSERT_EQUAL(cst_last_status(ctx), CST_ENOMEM);
  CU_ASSERT_PTR_NULL(cst_alloc(ctx, SIZE_MAX - 70));
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "out of memory"));
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_bytes, live);
  cst_context_free(ctx);
}

/* ---- messages ------------------------------------------------------------------------------------- */

static void test_messages(void) {
  cst_context *ctx = cst_context_new(NULL);
  CU_ASSERT_EQUAL(cst_fail(ctx, CST_EINVAL, "rtol is %d", -1), CST_EINVAL);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), "rtol is -1");
  CU_ASSERT_EQUAL(cst_fail_note(ctx, CST_EINVAL, "solver '%s'", "x"), CST_EINVAL);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), "solver 'x': rtol is -1");
  cst_fail(ctx, CST_EIO, "again: %s", cst_message(ctx));
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), "again: solver 'x': rtol is -1");
  CU_ASSERT_EQUAL(cst_last_status(ctx), CST_EIO);
  char long_text[4000];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  cst_fail(ctx, CST_EIO, "%s", long_text);
  CU_ASSERT_EQUAL(strlen(cst_message(ctx)), CST_MESSAGE_SIZE - 1);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx) + CST_MESSAGE_SIZE - 4, "...");
  cst_fail_note(ctx, CST_EIO, "%s", long_text);
  CU_ASSERT_EQUAL(strlen(cst_message(ctx)), CST_MESSAGE_SIZE - 1);
  cst_context_free(ctx);
}

static void test_status_names(void) {
  CU_ASSERT_STRING_EQUAL(cst_status_name(CST_EMAXSTEPS), "max_steps");
  for (int s = 0; s < CST_STATUS_COUNT; s++) CU_ASSERT(strlen(cst_status_advice((cst_status)s)) > 3);
  CU_ASSERT_STRING_EQUAL(cst_status_name((cst_status)9999), "unknown");
}

static void note_log(void *user, cst_level level, const char *text) {
  if (level == CST_LOG_WARNING) strcpy(user, text);
}

static void test_log(void) {
  char seen[100] = "";
  cst_context *ctx = cst_context_new(NULL);
  cst_log_message(ctx, CST_LOG_WARNING, "nobody listens");
  cst_set_log(ctx, note_log, seen);
  cst_log_message(ctx, CST_LOG_WARNING, "%d readings", 7);
  CU_ASSERT_STRING_EQUAL(seen, "7 readings");
  cst_context_free(ctx);
}

/* ---- threads ---------------------------------------------------------------------------------------- */

typedef struct tally {
  cst_context *ctx;
  unsigned threads;
  atomic_uint wrong;
  atomic_uchar count[10000];
  double part[10000];
} tally;

static void count_one(void *arg, size_t i, unsigned worker) {
  tally *t = arg;
  atomic_fetch_add(&t->count[i], 1);
  if (worker >= t->threads) atomic_fetch_add(&t->wrong, 1);
  double x = 0;
  for (int k = 1; k < 50; k++) x += 1.0 / (double)(k * (int)(i + 1));
  t->part[i] = x;
}

static double sum_with(cst_context *ctx, unsigned threads, size_t n) {
  static tally t;
  memset(&t, 0, sizeof t);
  t.ctx = ctx;
  t.threads = threads;
  CU_ASSERT_EQUAL(cst_set_threads(ctx, threads), CST_OK);
  CU_ASSERT_EQUAL(cst_threads(ctx), threads);
  cst_parallel(ctx, n, count_one, &t);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += t.part[i];
  for (size_t i = 0; i < 10000; i++) CU_ASSERT_FATAL(t.count[i] == (i < n));
  CU_ASSERT_EQUAL(t.wrong, 0);
  return sum;
}

static void test_parallel_is_exact(void) {
  cst_context *ctx = cst_context_new(NULL);
  static const unsigned threads[] = {1, 2, 3, 8, 2, 1, 5};
  static const size_t length[] = {0, 1, 2, 7, 1000, 10000};
  for (size_t k = 0; k < sizeof length / sizeof *length; k++) {
    double first = sum_with(ctx, 1, length[k]);
    for (size_t j = 0; j < sizeof threads / sizeof *threads; j++)
      CU_ASSERT_EQUAL(sum_with(ctx, threads[j], length[k]), first);
  }
  cst_context_free(ctx);
}

static void add_one(void *arg, size_t i, unsigned worker) {
  (void)i, (void)worker;
  atomic_fetch_add((atomic_uint *)arg, 1);
}

static void nest(void *arg, size_t i, unsigned worker) {
  tally *t = arg;
  (void)i;
  atomic_uint inner = 0;
  cst_parallel(t->ctx, 10, add_one, &inner);
  if (inner != 10 || worker >= t->threads) atomic_fetch_add(&t->wrong, 1);
}

static void test_parallel_many_and_nested(void) {
  cst_context *ctx = cst_context_new(NULL);
  static tally t;
  t.ctx = ctx;
  t.threads = 4;
  CU_ASSERT_EQUAL(cst_set_threads(ctx, 4), CST_OK);
  atomic_uint sum = 0;
  for (int k = 0; k < 20000; k++) cst_parallel(ctx, 3, add_one, &sum);
  CU_ASSERT_EQUAL(sum, 60000);
  cst_parallel(ctx, 100, nest, &t);
  CU_ASSERT_EQUAL(t.wrong, 0);
  cst_context_free(ctx); /* stops the workers */
}

static void test_threads_refused(void) {
  cst_context *ctx = cst_context_new(NULL);
  CU_ASSERT_EQUAL(cst_set_threads(ctx, 0), CST_EINVAL);
  CU_ASSERT_EQUAL(cst_set_threads(ctx, 100000), CST_EINVAL);
  cst_context_enter(ctx);
  CU_ASSERT_EQUAL(cst_set_threads(ctx, 2), CST_EBUSY);
  cst_context_leave(ctx);
  CU_ASSERT_EQUAL(cst_threads(ctx), 1);
  cst_context_free(ctx);
}

/* ---- numbers as text -------------------------------------------------------------------------------- */

static const char *text_of(double x) {
  static char text[40];
  CU_ASSERT_EQUAL(cst_format_double(x, text, sizeof text), strlen(text));
  return text;
}

static void test_format_double(void) {
  CU_ASSERT_STRING_EQUAL(text_of(0.1), "0.1");
  CU_ASSERT_STRING_EQUAL(text_of(1e-7), "1e-07");
  CU_ASSERT_STRING_EQUAL(text_of(25), "25");
  CU_ASSERT_STRING_EQUAL(text_of(0), "0");
  CU_ASSERT_STRING_EQUAL(text_of(-0.0), "-0");
  CU_ASSERT_STRING_EQUAL(text_of(100), "100");
  CU_ASSERT_STRING_EQUAL(text_of(123456789), "123456789");
  CU_ASSERT_STRING_EQUAL(text_of(1e15), "1000000000000000");
  CU_ASSERT_STRING_EQUAL(text_of(1e16), "1e+16");
  CU_ASSERT_STRING_EQUAL(text_of(0.0001), "0.0001");
  CU_ASSERT_STRING_EQUAL(text_of(1.0 / 3), "0.3333333333333333");
  CU_ASSERT_STRING_EQUAL(text_of(-1.5e300), "-1.5e+300");
  CU_ASSERT_STRING_EQUAL(text_of(5e-324), "5e-324");
  CU_ASSERT_STRING_EQUAL(text_of(1.7976931348623157e308), "1.7976931348623157e+308");
  CU_ASSERT_STRING_EQUAL(text_of(strtod("nan", NULL)), "nan");
  CU_ASSERT_STRING_EQUAL(text_of(-(double)INFINITY), "-inf");
  char small[4];
  CU_ASSERT_EQUAL(cst_format_double(123456, small, sizeof small), 6);
  CU_ASSERT_STRING_EQUAL(small, "123");
}

static void test_format_double_reads_back(void) {
  cst_rng r = {.seed = 5, .stream = cst_rng_stream("format")};
  for (int i = 0; i < 20000; i++) {
    uint32_t w[4];
    cst_rng_at(r.seed, r.stream, (uint64_t)i, 0, w);
    uint64_t bits = (uint64_t)w[0] << 32 | w[1];
    double x;
    memcpy(&x, &bits, sizeof x);
    if (isfinite(x)) CU_ASSERT_FATAL(strtod(text_of(x), NULL) == x);
    x = (double)(w[2] % 100000) / 1000; /* short decimals stay short */
    CU_ASSERT_FATAL(strtod(text_of(x), NULL) == x && strlen(text_of(x)) <= 6);
  }
}

static void test_format_ignores_locale(void) {
  const char *comma = NULL;
  static const char *const candidates[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
  for (size_t i = 0; i < 4 && !comma; i++) comma = setlocale(LC_ALL, candidates[i]);
  cst_context *ctx = cst_context_new(NULL);
  cst_fail(ctx, CST_EINVAL, "h = %g", 0.25);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), "h = 0.25");
  CU_ASSERT_STRING_EQUAL(text_of(0.25), "0.25");
  setlocale(LC_ALL, "C");
  cst_context_free(ctx);
}

/* ---- random numbers ---------------------------------------------------------------------------------- */

/* Known answers of philox4x32-10: Random123 1.14, tests/kat_vectors (Salmon, Moraes, Dror, Shaw). */
static void test_philox_known_answers(void) {
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint32_t out[4];
    cst_philox(known[i].counter, known[i].key, out);
    for (int k = 0; k < 4; k++) CU_ASSERT_EQUAL(out[k], known[i].out[k]);
  }
}

static void test_random_moments(void) {
  cst_rng r = {.seed = 1, .stream = cst_rng_stream("moments")};
  enum { N = 100000 };
  double u1 = 0, z1 = 0, z2 = 0, z4 = 0;
  size_t below[7] = {0};
  for (int i = 0; i < N; i++) {
    double u = cst_rng_uniform(&r), z = cst_rng_normal(&r);
    CU_ASSERT_FATAL(u > 0 && u < 1 && isfinite(z));
    u1 += u, z1 += z, z2 += z * z, z4 += z * z * z * z;
    below[cst_rng_below(&r, 7)]++;
  }
  CU_ASSERT_DOUBLE_EQUAL(u1 / N, 0.5, 5 * 0.2887 / sqrt((double)N));
  CU_ASSERT_DOUBLE_EQUAL(z1 / N, 0, 5 / sqrt((double)N));
  CU_ASSERT_DOUBLE_EQUAL(z2 / N, 1, 5 * sqrt(2.0 / N));
  CU_ASSERT_DOUBLE_EQUAL(z4 / N, 3, 5 * sqrt(96.0 / N));
  for (int k = 0; k < 7; k++) CU_ASSERT_DOUBLE_EQUAL((double)below[k], N / 7.0, 5 * sqrt(N / 7.0));
  CU_ASSERT(cst_rng_to_unit(0, 0) > 0);
  CU_ASSERT(cst_rng_to_unit(0xffffffff, 0xffffffff) < 1);
}

/* ---- files and hashes ---------------------------------------------------------------------------------- */

static void test_sha256(void) {
  char hex[CST_SHA256_HEX];
  /* FIPS 180-4 examples of NIST: the empty message, "abc", two blocks, a million times "a". */
  cst_sha256("", 0, hex);
  CU_ASSERT_STRING_EQUAL(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  cst_sha256("abc", 3, hex);
  CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  cst_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
  CU_ASSERT_STRING_EQUAL(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  char *many = malloc(1000000);
  memset(many, 'a', 1000000);
  cst_sha256(many, 1000000, hex);
  CU_ASSERT_STRING_EQUAL(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(many);
}

static char directory[64];

static int make_directory(void) {
  strcpy(directory, "/tmp/costate-base-XXXXXX");
  return mkdtemp(directory) ? 0 : 1;
}

static int remove_directory(void) { return rmdir(directory) == 0 ? 0 : 1; }

static void test_write_file(void) {
  char path[100], hex[CST_SHA256_HEX];
  snprintf(path, sizeof path, "%s/a.txt", directory);
  cst_context *ctx = cst_context_new(NULL);
  CU_ASSERT_EQUAL(cst_write_file(ctx, path, "first", 5), CST_OK);
  CU_ASSERT_EQUAL(cst_write_file(ctx, path, "abc", 3), CST_OK);
  CU_ASSERT_EQUAL(cst_sha256_file(ctx, path, hex), CST_OK);
  CU_ASSERT_NSTRING_EQUAL(hex, "ba7816bf", 8);
  void *data;
  size_t n;
  CU_ASSERT_EQUAL(cst_read_file(ctx, path, 100, &data, &n), CST_OK);
  CU_ASSERT_EQUAL(n, 3);
  CU_ASSERT_STRING_EQUAL(data, "abc");
  cst_free(ctx, data);
  CU_ASSERT_EQUAL(cst_read_file(ctx, path, 2, &data, &n), CST_EIO);
  unlink(path);
  CU_ASSERT_EQUAL(cst_read_file(ctx, path, 100, &data, &n), CST_ENOTFOUND);
  CU_ASSERT_EQUAL(cst_write_file(ctx, directory, "x", 1), CST_EIO);
  CU_ASSERT_EQUAL(cst_write_file(ctx, "/dev/full", "x", 1), CST_EIO);
  snprintf(path, sizeof path, "%s/none/a.txt", directory);
  CU_ASSERT_EQUAL(cst_write_file(ctx, path, "x", 1), CST_ENOTFOUND);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "none/a.txt"));
  cst_context_free(ctx);
}

/* A disk that is full after 1000 bytes: the old file stays and nothing is left beside it. */
static void test_write_file_on_full_disk(void) {
  char path[100];
  snprintf(path, sizeof path, "%s/b.txt", directory);
  static const char large[100000];
  cst_context *ctx = cst_context_new(NULL);
  CU_ASSERT_EQUAL(cst_write_file(ctx, path, "old", 3), CST_OK);
  struct rlimit before, little;
  getrlimit(RLIMIT_FSIZE, &before);
  little = before;
  little.rlim_cur = 1000;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little);
  CU_ASSERT_EQUAL(cst_write_file(ctx, path, large, sizeof large), CST_EIO);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  void *data;
  size_t n;
  CU_ASSERT_EQUAL(cst_read_file(ctx, path, 100, &data, &n), CST_OK);
  CU_ASSERT_STRING_EQUAL(data, "old");
  cst_free(ctx, data);
  unlink(path); /* remove_directory fails when a temporary file was left */
  cst_context_free(ctx);
}

int cst_suite_base(void) {
  CU_pSuite s = CU_add_suite("base", make_directory, remove_directory);
  if (!s) return 1;
  CU_ADD_TEST(s, test_alloc_is_aligned_and_zero);
  CU_ADD_TEST(s, test_realloc_keeps_bytes);
  CU_ADD_TEST(s, test_alloc_too_large);
  CU_ADD_TEST(s, test_messages);
  CU_ADD_TEST(s, test_status_names);
  CU_ADD_TEST(s, test_log);
  CU_ADD_TEST(s, test_parallel_is_exact);
  CU_ADD_TEST(s, test_parallel_many_and_nested);
  CU_ADD_TEST(s, test_threads_refused);
  CU_ADD_TEST(s, test_format_double);
  CU_ADD_TEST(s, test_format_double_reads_back);
  CU_ADD_TEST(s, test_format_ignores_locale);
  CU_ADD_TEST(s, test_philox_known_answers);
  CU_ADD_TEST(s, test_random_moments);
  CU_ADD_TEST(s, test_sha256);
  CU_ADD_TEST(s, test_write_file);
  CU_ADD_TEST(s, test_write_file_on_full_disk);
  return 0;
}
