/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The context: allocator, error text, log, threads and registry of one independent Costate. A
 * context is used by one thread at a time; contexts share nothing.
 */
#pragma once
#include <signal.h>

#include "costate/types.h"

/* Like realloc/free in one: size 0 frees; returns NULL on failure. */
typedef struct cst_allocator {
  void *(*resize)(void *user, void *ptr, size_t old_size, size_t new_size);
  void *user;
} cst_allocator;

typedef enum cst_level { CST_LOG_DEBUG, CST_LOG_INFO, CST_LOG_WARNING } cst_level;
typedef void cst_log_fn(void *user, cst_level level, const char *text);

/* allocator may be NULL (malloc). Returns NULL only when memory is exhausted. */
cst_context *cst_context_new(const cst_allocator *allocator);
/* Calls every plugin's fini in reverse order; mappings stay. All objects must be released before. */
void cst_context_free(cst_context *ctx);

/* Zeroed, 64-byte aligned; NULL (and CST_ENOMEM in the message) when memory is exhausted. Only on
 * the thread that owns the context. */
void *cst_alloc(cst_context *ctx, size_t size);
void *cst_realloc(cst_context *ctx, void *ptr, size_t size); /* the grown part is not zeroed */
void cst_free(cst_context *ctx, void *ptr);
char *cst_strdup(cst_context *ctx, const char *text);

typedef struct cst_memory {
  size_t live_blocks, live_bytes, peak_bytes;
  uint64_t allocations; /* calls since the context was made */
} cst_memory;
cst_memory cst_memory_of(const cst_context *ctx);
/* From now on the peak is that of what follows. */
void cst_memory_forget_peak(cst_context *ctx);

/* Records what went wrong and returns `status`. The message holds the formatted text; the advice of
 * the status is apart (cst_status_advice). Nested calls prepend context with cst_fail_note. */
cst_status cst_fail(cst_context *ctx, cst_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds "NOTE: " before the present message: who was at work when it happened. */
cst_status cst_fail_note(cst_context *ctx, cst_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *cst_message(const cst_context *ctx);
cst_status cst_last_status(const cst_context *ctx);

const char *cst_status_name(cst_status s);   /* "max_steps" */
const char *cst_status_advice(cst_status s); /* what to try */

void cst_set_log(cst_context *ctx, cst_log_fn *log, void *user);
void cst_log_message(cst_context *ctx, cst_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Worker threads used by programs and solves, counting the caller; 1 by default. Results do not
 * depend on it. */
cst_status cst_set_threads(cst_context *ctx, unsigned n);
unsigned cst_threads(const cst_context *ctx);
/* Runs f(arg, i, worker) for i < n, worker < cst_threads(ctx). Returns when all are done. The
 * assignment of i to workers is not fixed: f must not depend on it. */
void cst_parallel(cst_context *ctx, size_t n, void (*f)(void *arg, size_t i, unsigned worker),
                  void *arg);

/* Every solve looks at *flag between its steps and ends with CST_EBREAK when it is not 0: a signal handler may set
 * it. NULL, as at first: nothing ends a solve. */
void cst_set_stop(cst_context *ctx, const volatile sig_atomic_t *flag);

/* From now on every instruction of every program is timed, which costs some 50 ns each. */
cst_status cst_profile_start(cst_context *ctx);
/* One kind of instruction: `seconds` without those of instructions inside it (a solve contains its
 * field's), summed over threads. */
typedef struct cst_profile_row {
  const char *what; /* as cst_program_format prints it; lives as long as the context */
  uint64_t calls;
  double seconds;
} cst_profile_row;
/* Copies at most n rows, the longest first; returns how many there are. */
size_t cst_profile_rows(const cst_context *ctx, cst_profile_row *rows, size_t n);

/* The shortest decimal that reads back to the same double ("0.1", "1e-07", "25"; "nan", "inf"), in
 * any locale. At most `size` bytes with the NUL (32 always suffice); returns the length needed. */
size_t cst_format_double(double x, char *text, size_t size);

const cst_host *cst_host_of(const cst_context *ctx);
