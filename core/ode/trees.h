/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rooted trees, which number the order conditions of Runge-Kutta methods (Butcher; Hairer, Norsett,
 * Wanner I, II.2): 1, 1, 2, 4, 9, 20, 48, 115 of 1 .. 8 nodes.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { CST_TREE_ORDER = 8, CST_TREES = 200 };

/* The root of `base` with one more child. A tree lists its children by number, falling, and `child`
 * is the last; so every tree stands in the list once, after all it consists of. Tree 0 is one node. */
typedef struct cst_tree {
  uint8_t base, child, nodes;
  int gamma; /* [t1 .. tk]: nodes * gamma(t1) .. gamma(tk) */
} cst_tree;

/* All trees of at most `order` <= CST_TREE_ORDER nodes, smallest first. Returns how many. */
int cst_trees_list(int order, cst_tree tree[CST_TREES]);
/* The left side of the condition in vector notation: "b c^2 (a c)", where (a c) is the vector
 * sum_j a_ij c_j. */
void cst_tree_text(const cst_tree *tree, int k, char *text, size_t size);
