/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which kernels this CPU runs. CST_HAVE_X86 says that the build made the three x86 sets;
 * otherwise there is one, "generic".
 */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#define PARTS(set)                                  \
  void cst_fill_maps_##set(cst_kernels *table);     \
  void cst_fill_products_##set(cst_kernels *table); \
  void cst_fill_reductions_##set(cst_kernels *table);
#define FILL(set)                             \
  do {                                        \
    cst_kernels *table = &tables[count];      \
    table->isa = #set;                        \
    cst_fill_maps_##set(table);               \
    cst_fill_products_##set(table);           \
    cst_fill_reductions_##set(table);         \
    usable[count++] = table;                  \
  } while (0)

#ifdef CST_HAVE_X86
PARTS(sse2)
PARTS(avx2)
PARTS(avx512)
#else
PARTS(generic)
#endif

static cst_kernels tables[3];
static const cst_kernels *usable[4], *chosen;

/* Before main or at dlopen, so that no later call needs a lock. */
__attribute__((constructor)) static void fill(void) {
  size_t count = 0;
#ifdef CST_HAVE_X86
  __builtin_cpu_init();
  FILL(sse2);
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) FILL(avx2);
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    FILL(avx512);
#else
  FILL(generic);
#endif
  chosen = usable[count - 1];
  const char *name = getenv("COSTATE_ISA");
  for (size_t i = 0; name && i < count; i++)
    if (strcmp(name, usable[i]->isa) == 0) chosen = usable[i];
}

const cst_kernels *cst_kernels_get(void) { return chosen; }

const cst_kernels *const *cst_kernels_all(void) { return usable; }
