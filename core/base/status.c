/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names and advice of the status codes; the error text of a context; its log.
 */
#include <string.h>

#include "base/context_internal.h"
#include "base/text.h"

static const char *const names[] = {
#define NAME(code, name, advice) name,
    CST_STATUS_LIST(NAME)
#undef NAME
};

static const char *const advices[] = {
#define ADVICE(code, name, advice) advice,
    CST_STATUS_LIST(ADVICE)
#undef ADVICE
};

static bool known(cst_status s) { return (unsigned)s < CST_STATUS_COUNT; }
const char *cst_status_name(cst_status s) { return known(s) ? names[s] : "unknown"; }
const char *cst_status_advice(cst_status s) { return known(s) ? advices[s] : ""; }

/* Text that was cut ends in "..." instead of pretending to be whole. */
static void mark_cut(char text[CST_MESSAGE_SIZE], size_t needed) {
  if (needed >= CST_MESSAGE_SIZE) memcpy(text + CST_MESSAGE_SIZE - 4, "...", 4);
}

static _Thread_local char *diverted;

char *cst_message_divert(char text[CST_MESSAGE_SIZE]) {
  char *before = diverted;
  diverted = text;
  return before;
}

/* The message lives in the context, so failing needs no memory. Arguments may point into the
 * present message: it is replaced only after formatting. */
static cst_status record(cst_context *ctx, cst_status status, const char *text) {
  if (diverted) return memcpy(diverted, text, strlen(text) + 1), status;
  while (atomic_flag_test_and_set_explicit(&ctx->writing, memory_order_acquire)) {}
  ctx->status = status;
  memcpy(ctx->message, text, strlen(text) + 1);
  atomic_flag_clear_explicit(&ctx->writing, memory_order_release);
  return status;
}

cst_status cst_fail_args(cst_context *ctx, cst_status status, const char *format, va_list args) {
  char text[CST_MESSAGE_SIZE];
  mark_cut(text, cst_format_args(text, sizeof text, format, args));
  return record(ctx, status, text);
}

cst_status cst_fail(cst_context *ctx, cst_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  cst_fail_args(ctx, status, format, args);
  va_end(args);
  return status;
}

cst_status cst_fail_note(cst_context *ctx, cst_status status, const char *format, ...) {
  char note[CST_MESSAGE_SIZE], text[CST_MESSAGE_SIZE];
  va_list args;
  va_start(args, format);
  mark_cut(note, cst_format_args(note, sizeof note, format, args));
  va_end(args);
  mark_cut(text, cst_format_text(text, sizeof text, "%s: %s", note, cst_message(ctx)));
  return record(ctx, status, text);
}

void cst_message_clear(cst_context *ctx) { record(ctx, CST_OK, ""); }
const char *cst_message(const cst_context *ctx) { return diverted ? diverted : ctx->message; }
cst_status cst_last_status(const cst_context *ctx) { return ctx->status; }

void cst_set_log(cst_context *ctx, cst_log_fn *log, void *user) {
  ctx->log = log;
  ctx->log_user = user;
}

void cst_log_args(cst_context *ctx, cst_level level, const char *format, va_list args) {
  if (!ctx->log) return;
  char text[CST_MESSAGE_SIZE];
  mark_cut(text, cst_format_args(text, sizeof text, format, args));
  ctx->log(ctx->log_user, level, text);
}

void cst_log_message(cst_context *ctx, cst_level level, const char *format, ...) {
  va_list args;
  va_start(args, format);
  cst_log_args(ctx, level, format, args);
  va_end(args);
}
