/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tensors and types as text.
 *
 *   f64 [3, 2]
 *     1.0000   2.5000
 *    -3.2500   0.0000
 *     4.0000   7.1250
 *
 * Higher ranks print matrix by matrix, each under its index; the middle of long axes is left out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "costate/context.h"
#include "costate/tensor.h"

/* Text that grows past its buffer only in `length`: the length needed. */
typedef struct writer {
  char *text;
  size_t size, length;
} writer;

static void put(writer *w, const char *s) {
  for (; *s; s++, w->length++)
    if (w->length + 1 < w->size) w->text[w->length] = *s;
}

static void finish(writer *w) {
  if (w->size) w->text[w->length < w->size ? w->length : w->size - 1] = 0;
}

static void put_integer(writer *w, int64_t x) {
  char s[24];
  cst_format_text(s, sizeof s, "%lld", (long long)x);
  put(w, s);
}

static void put_shape(writer *w, const cst_type *t) {
  put(w, "[");
  for (int i = 0; i < t->rank; i++) {
    if (i) put(w, ", ");
    if (i == 0 && t->space == CST_ROW) put(w, "B");
    else put_integer(w, t->dim[i]);
  }
  put(w, "]");
}

const char *cst_type_format(const cst_type *t, char *text, size_t size) {
  writer w = {text, size, 0};
  put_shape(&w, t);
  finish(&w);
  return text;
}

/* ---- which entries of an axis are shown --------------------------------------------------------- */

enum { LONGEST = 10, EDGE = 4, LONGEST_OUTER = 4, EDGE_OUTER = 2 };

typedef struct span {
  int64_t n, head, tail; /* shown: [0, head) and [n - tail, n) */
} span;

static span shown(int64_t n, bool inner) {
  int64_t longest = inner ? LONGEST : LONGEST_OUTER, edge = inner ? EDGE : EDGE_OUTER;
  return n <= longest ? (span){n, n, 0} : (span){n, edge, edge};
}

/* After i comes the next one shown; *gap tells that some were left out between. */
static int64_t next_shown(const span *s, int64_t i, bool *gap) {
  *gap = i + 1 == s->head && s->tail > 0;
  return *gap ? s->n - s->tail : i + 1;
}

/* ---- one style for all numbers shown -------------------------------------------------------------- */

typedef struct style {
  bool integral, scientific;
  int decimals, width;
  double largest, smallest; /* magnitudes of finite non-zero elements */
} style;

static size_t element(const cst_tensor *t, const style *st, size_t index, char text[48]) {
  if (st->integral)
    return cst_format_text(text, 48, "%lld", (long long)((const int64_t *)t->data)[index]);
  double x = cst_tensor_get(t, index);
  if (!isfinite(x)) return cst_format_double(x, text, 48);
  return cst_format_text(text, 48, st->scientific ? "%.*e" : "%.*f", st->decimals, x);
}

/* Digits after the point that x has among its first five. */
static int decimals_of(double x) {
  char text[48];
  cst_format_text(text, sizeof text, "%.4e", x);
  int digits = 4, exponent = atoi(strchr(text, 'e') + 1);
  for (const char *p = strchr(text, 'e') - 1; digits > 0 && *p == '0'; p--) digits--;
  return digits - exponent > 1 ? digits - exponent : 1;
}

static void look_at_magnitude(const cst_tensor *t, size_t index, style *st) {
  double x = fabs(cst_tensor_get(t, index));
  if (!isfinite(x) || x == 0) return;
  if (x > st->largest) st->largest = x;
  if (x < st->smallest) st->smallest = x;
  int decimals = decimals_of(x);
  if (decimals > st->decimals) st->decimals = decimals;
}

static void look_at_width(const cst_tensor *t, size_t index, style *st) {
  char text[48];
  int width = (int)element(t, st, index, text);
  if (width > st->width) st->width = width;
}

/* ---- walking over what is shown --------------------------------------------------------------------- */

typedef void look(const cst_tensor *t, size_t index, style *st);

static void look_at_axis(const cst_tensor *t, int axis, size_t index, style *st, look *f) {
  if (axis == t->type.rank) {
    f(t, index, st);
    return;
  }
  span s = shown(t->type.dim[axis], axis >= t->type.rank - 2);
  bool gap;
  for (int64_t i = 0; i < s.n; i = next_shown(&s, i, &gap))
    look_at_axis(t, axis + 1, index * (size_t)s.n + (size_t)i, st, f);
}

static style choose_style(const cst_tensor *t) {
  style st = {.integral = t->type.dtype == CST_I64, .decimals = 1, .smallest = (double)INFINITY};
  if (!st.integral) {
    look_at_axis(t, 0, 0, &st, look_at_magnitude);
    st.scientific = st.largest >= 1e7 || (st.smallest < 1e-3 && st.decimals > 7);
    if (st.decimals > 5) st.decimals = 5;
    if (st.scientific) st.decimals = 4;
  }
  look_at_axis(t, 0, 0, &st, look_at_width);
  return st;
}

static void put_row(writer *w, const cst_tensor *t, const style *st, size_t index, int64_t n) {
  span s = shown(n, true);
  bool gap = false;
  for (int64_t i = 0; i < n; i = next_shown(&s, i, &gap)) {
    char text[48], padded[64];
    if (gap) put(w, "  ...");
    element(t, st, index + (size_t)i, text);
    cst_format_text(padded, sizeof padded, "  %*s", st->width, text);
    put(w, padded);
  }
}

static void put_matrix(writer *w, const cst_tensor *t, const style *st, size_t index, int64_t rows,
                       int64_t columns) {
  span s = shown(rows, true);
  bool gap = false;
  for (int64_t i = 0; i < rows; i = next_shown(&s, i, &gap)) {
    put(w, gap ? "\n  ...\n" : "\n");
    put_row(w, t, st, index + (size_t)(i * columns), columns);
  }
}

static void put_index(writer *w, const int64_t *at, int n) {
  put(w, "\n[");
  for (int i = 0; i < n; i++) {
    put_integer(w, at[i]);
    put(w, ", ");
  }
  put(w, ":, :]");
}

static void put_blocks(writer *w, const cst_tensor *t, const style *st, int axis, size_t index,
                       int64_t *at) {
  const cst_type *y = &t->type;
  int64_t columns = y->rank > 0 ? y->dim[y->rank - 1] : 1;
  int64_t rows = y->rank > 1 ? y->dim[y->rank - 2] : 1;
  if (axis >= y->rank - 2) {
    if (axis > 0) put_index(w, at, axis);
    put_matrix(w, t, st, index * (size_t)(rows * columns), rows, columns);
    return;
  }
  span s = shown(y->dim[axis], false);
  bool gap = false;
  for (int64_t i = 0; i < s.n; i = next_shown(&s, i, &gap)) {
    if (gap) put(w, "\n...");
    at[axis] = i;
    put_blocks(w, t, st, axis + 1, index * (size_t)s.n + (size_t)i, at);
  }
}

static void put_scalar(writer *w, const cst_tensor *t) {
  char text[48];
  if (t->type.dtype == CST_I64) element(t, &(style){.integral = true}, 0, text);
  else cst_format_text(text, sizeof text, "%.6g", cst_tensor_get(t, 0));
  put(w, " ");
  put(w, text);
}

size_t cst_tensor_format(const cst_tensor *t, char *text, size_t size) {
  static const char *const name[] = {"f32 ", "f64 ", "i64 ", "opaque "};
  writer w = {text, size, 0};
  put(&w, name[t->type.dtype]);
  cst_type plain = t->type;
  plain.space = CST_SHARED; /* a tensor knows how many rows it has */
  put_shape(&w, &plain);
  if (t->count == 0) put(&w, " (empty)");
  else if (t->type.rank == 0) put_scalar(&w, t);
  else {
    style st = choose_style(t);
    int64_t at[CST_MAX_RANK];
    put_blocks(&w, t, &st, 0, 0, at);
  }
  finish(&w);
  return w.length;
}
