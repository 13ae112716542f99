/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/checkpoint.h"

#include "ode/integrate_internal.h"

void cst_checkpoints_start(cst_checkpoints *c, cst_context *ctx, cst_tape *tape, size_t most, size_t bytes) {
  c->ctx = ctx, c->tape = tape, c->bytes = bytes, c->most = most ? most : SIZE_MAX;
  c->stride = 1, c->n = c->n_spare = c->peak = 0, c->turned = false;
}

void cst_checkpoints_free(cst_checkpoints *c) {
  if (!c->ctx) return;
  cst_free(c->ctx, c->kept);
  cst_free(c->ctx, c->spare);
}

/* ---- room ------------------------------------------------------------------------------------------------ */

/* Room of kept[i] becomes spare; the array of those is as long as that of the kept. */
static void drop(cst_checkpoints *c, size_t i) { c->spare[c->n_spare++] = c->kept[i].state; }

/* NULL: there is none. A tape that is full sets the limit. */
static void *room(cst_checkpoints *c) {
  if (c->n_spare) return c->spare[--c->n_spare];
  if (c->n >= c->most) return NULL;
  void *state = cst_tape_push_reserve(c->tape, c->bytes);
  if (!state) c->most = c->n;
  return state;
}

static cst_status append(cst_checkpoints *c, size_t step, void *state) {
  CST_TRY(cst_grow(c->ctx, &c->kept, &c->capacity, c->n + 1, sizeof *c->kept));
  CST_TRY(cst_grow(c->ctx, &c->spare, &c->spare_capacity, c->n + 1, sizeof *c->spare));
  c->kept[c->n++] = (cst_checkpoint){step, state};
  if (c->peak < c->n) c->peak = c->n;
  return CST_OK;
}

/* ---- forwards -------------------------------------------------------------------------------------------- */

static bool aligned(const cst_checkpoints *c, size_t step) { return (step - c->kept[0].step) % c->stride == 0; }

static void thin_out(cst_checkpoints *c) {
  size_t n = 0;
  c->stride *= 2;
  for (size_t i = 0; i < c->n; i++) {
    if (aligned(c, c->kept[i].step)) c->kept[n++] = c->kept[i];
    else drop(c, i);
  }
  c->n = n;
}

cst_status cst_checkpoints_offer(cst_checkpoints *c, size_t step, void **state) {
  *state = NULL;
  if (c->n && !aligned(c, step)) return CST_OK;
  *state = room(c);
  while (!*state && c->n && aligned(c, step)) {
    thin_out(c);
    if (aligned(c, step)) *state = room(c);
  }
  if (!*state) return c->n ? CST_OK : CST_ENOMEM;
  return append(c, step, *state);
}

/* ---- the binomial schedule ------------------------------------------------------------------------------- */

/* C(n, k), SIZE_MAX when it does not fit. */
static size_t binomial(size_t n, size_t k) {
  size_t b = 1;
  if (k > n) return 0;
  if (k > n - k) k = n - k;
  for (size_t i = 1; i <= k; i++) { /* b = C(n - k + i, i), an integer at every turn */
    if (b > SIZE_MAX / 2 / (n - k + i)) return SIZE_MAX;
    b = b * (n - k + i) / i;
  }
  return b;
}

static size_t less(size_t a, size_t b) { return a > b ? a - b : 0; }

/* With r the least number for which C(s + r, s) >= n, s counting the first state too: what lies before the
 * split is reversed with s and r - 1, what lies behind it with s - 1 and r. */
void cst_checkpoints_split(size_t n, size_t room, size_t *least, size_t *most) {
  size_t s = (room < n ? room : n) + 1, r = 1;
  while (binomial(s + r, s) < n) r++;
  size_t before = binomial(s + r - 2, s), after = binomial(s + r - 1, s - 1);
  *least = less(n, after) > before ? less(n, after) : before;
  if (*least < 1) *least = 1;
  before = binomial(s + r - 1, s), after = binomial(s + r - 2, s - 1);
  *most = less(n, after) < before ? less(n, after) : before;
  if (*most > n - 1) *most = n - 1;
}

static size_t outside(size_t x, size_t least, size_t most) { return x < least ? least - x : x > most ? x - most : 0; }

/* Of the states behind kept[i], the one next to where the schedule of the steps up to n would split. */
static size_t next_retained(const cst_checkpoints *c, size_t i, size_t from, size_t n, size_t s) {
  size_t least, most, best = i;
  cst_checkpoints_split(n - from, s, &least, &most);
  for (size_t k = i + 1; k < c->n; best = k++)
    if (outside(c->kept[k].step - from, least, most) >= outside(c->kept[best].step - from, least, most)) break;
  return best;
}

void cst_checkpoints_turn(cst_checkpoints *c, size_t n) {
  size_t retained = 1, from = c->n ? c->kept[0].step : 0, i = 1;
  c->turned = true;
  while (i < c->n) {
    size_t room = less(c->most, retained), best = i;
    if (room && n - from > 1) best = next_retained(c, i, from, n, room);
    for (; i < c->n && (i < best || !room || n - from <= 1); i++) drop(c, i);
    if (i == c->n) break;
    from = c->kept[i].step;
    c->kept[retained++] = c->kept[i++];
  }
  if (c->n) c->n = retained;
}

/* ---- backwards ------------------------------------------------------------------------------------------- */

const cst_checkpoint *cst_checkpoints_before(cst_checkpoints *c, size_t step) {
  while (c->n > 1 && c->kept[c->n - 1].step > step) drop(c, --c->n);
  return c->n ? &c->kept[c->n - 1] : NULL;
}

cst_status cst_checkpoints_place(cst_checkpoints *c, size_t from, size_t step, cst_checkpoint **next) {
  size_t least, most, free = less(c->most, c->n);
  *next = NULL;
  if (free == 0 || step - from < 2) return CST_OK;
  void *state = room(c);
  if (!state) return CST_OK;
  cst_checkpoints_split(step - from + 1, free, &least, &most); /* of three steps or more, never the last */
  CST_TRY(append(c, from + least, state));
  *next = &c->kept[c->n - 1];
  return CST_OK;
}
