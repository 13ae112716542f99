/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/trees.h"

#include <stdbool.h>

#include "base/text.h"

/* Whether base may take `child`: children come by falling number. */
static bool follows(const cst_tree *tree, int base, int child) {
  return base == 0 || child <= tree[base].child;
}

static cst_tree join(const cst_tree *tree, int base, int child) {
  const cst_tree *b = &tree[base], *c = &tree[child];
  int nodes = b->nodes + c->nodes;
  return (cst_tree){(uint8_t)base, (uint8_t)child, (uint8_t)nodes,
                    nodes * (b->gamma / b->nodes) * c->gamma};
}

int cst_trees_list(int order, cst_tree tree[CST_TREES]) {
  int n = 1;
  tree[0] = (cst_tree){0, 0, 1, 1};
  for (int nodes = 2; nodes <= order && nodes <= CST_TREE_ORDER; nodes++)
    for (int smaller = n, base = n - 1; base >= 0; base--) /* bushy trees first */
      for (int child = 0; child < smaller; child++)
        if (tree[base].nodes + tree[child].nodes == nodes && follows(tree, base, child))
          tree[n++] = join(tree, base, child);
  return n;
}

/* ---- as text ------------------------------------------------------------------------------------ */

typedef struct writer {
  const cst_tree *tree;
  char *text;
  size_t size, used;
} writer;

static void put(writer *w, const char *s) {
  if (w->used < w->size)
    w->used += cst_format_text(w->text + w->used, w->size - w->used, "%s", s);
}

/* The child of a root with one child, else 0. */
static int only_child(const writer *w, int k) {
  return w->tree[k].base == 0 ? w->tree[k].child : 0;
}

static bool all_alike(const writer *w, int k) {
  int first = w->tree[k].child;
  for (; k; k = w->tree[k].base)
    if (w->tree[k].child != first) return false;
  return true;
}

static void product(writer *w, int k);

/* What stands in (a ...): "a c" for the chain (a a c), products in brackets. */
static void inside(writer *w, int k) {
  int only = only_child(w, k);
  if (only) {
    put(w, "a ");
    inside(w, only);
  } else if (all_alike(w, k)) {
    product(w, k);
  } else {
    put(w, "(");
    product(w, k);
    put(w, ")");
  }
}

static void factor(writer *w, int k) {
  if (k == 0) {
    put(w, "c");
    return;
  }
  put(w, "(a ");
  inside(w, k);
  put(w, ")");
}

/* One factor a child, equal ones as a power. */
static void product(writer *w, int k) {
  for (bool first = true; k; first = false) {
    int child = w->tree[k].child, power = 0;
    for (; k && w->tree[k].child == child; k = w->tree[k].base) power++;
    if (!first) put(w, " ");
    factor(w, child);
    if (power > 1) put(w, (const char[]){'^', (char)('0' + power), 0});
  }
}

void cst_tree_text(const cst_tree *tree, int k, char *text, size_t size) {
  writer w = {tree, text, size, 0};
  put(&w, k ? "b " : "b");
  product(&w, k);
}
