/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a type must have before it enters the registry. Everything that C cannot check is checked
 * here once, so nobody after it tests a required slot.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "plugin/plugin_internal.h"

typedef struct needed {
  const char *name;
  size_t offset;
} needed;

/* How a kind of type is laid out. `size` reaches to the last field of ABI 1 and stays as it is when
 * fields are appended. */
typedef struct layout {
  size_t size;
  needed slot[5]; /* function pointers that are required */
} layout;

#define SIZE(type, last) (offsetof(type, last) + sizeof(((type *)NULL)->last))
#define SLOT(type, f) {#f, offsetof(type, f)}

static const layout layouts[CST_KIND_COUNT] = {
    [CST_KIND_OP] = {SIZE(cst_op, state_free), {{NULL, 0}}},
    [CST_KIND_SOLVER] = {SIZE(cst_solver_type, reverse),
                         {SLOT(cst_solver_type, create), SLOT(cst_solver_type, destroy),
                          SLOT(cst_solver_type, step)}},
    [CST_KIND_CONTROLLER] = {SIZE(cst_controller_type, factor), {SLOT(cst_controller_type, factor)}},
    [CST_KIND_GRADIENT] = {SIZE(cst_gradient_type, pullback),
                           {SLOT(cst_gradient_type, accepts), SLOT(cst_gradient_type, create),
                            SLOT(cst_gradient_type, destroy), SLOT(cst_gradient_type, pullback)}},
    [CST_KIND_MODEL] = {SIZE(cst_model_type, build),
                        {SLOT(cst_model_type, declare), SLOT(cst_model_type, build)}},
    [CST_KIND_LOSS] = {SIZE(cst_loss_type, build), {SLOT(cst_loss_type, build)}},
    [CST_KIND_OPTIMIZER] = {SIZE(cst_optimizer_type, update), {SLOT(cst_optimizer_type, update)}},
    [CST_KIND_DATASET] = {SIZE(cst_dataset_type, build), {SLOT(cst_dataset_type, build)}},
    [CST_KIND_EXPORTER] = {SIZE(cst_exporter_type, write), {SLOT(cst_exporter_type, write)}},
    [CST_KIND_COMMUNICATOR] = {SIZE(cst_communicator_type, sum),
                               {SLOT(cst_communicator_type, create),
                                SLOT(cst_communicator_type, destroy),
                                SLOT(cst_communicator_type, rank), SLOT(cst_communicator_type, size),
                                SLOT(cst_communicator_type, sum)}},
};

/* Every type starts with these two. */
typedef struct head {
  uint32_t struct_size;
  const char *name;
} head;
_Static_assert(offsetof(cst_op, name) == offsetof(head, name) &&
                   offsetof(cst_solver_type, name) == offsetof(head, name),
               "types start with struct_size and name");

bool cst_name_valid(const char *name) {
  size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
  return n > 0 && n < 64 && name[n] == 0;
}

static bool slot_is_set(const void *type, size_t offset) {
  void (*f)(void);
  memcpy(&f, (const unsigned char *)type + offset, sizeof f);
  return f != NULL;
}

/* ---- option schemas ------------------------------------------------------------------------------ */

enum { LONGEST_SCHEMA = 100 };

static bool among_choices(const char *word, const char *choices) {
  size_t n = strlen(word);
  for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
    if (strcspn(c, "|") == n && strncmp(c, word, n) == 0) return true;
  return false;
}

static const char *fault_of_default(const cst_option *o) {
  bool ranged = o->range[0] != 0 || o->range[1] != 0;
  if (o->range[0] > o->range[1]) return "has a range that is empty";
  if (o->required || o->kind == CST_LIST) return NULL;
  if (o->kind == CST_STRING)
    return o->string && o->choices && !among_choices(o->string, o->choices)
               ? "has a default that is not among its choices"
               : NULL;
  if (isnan(o->number)) return "has no number as its default";
  if (o->kind == CST_INTEGER && o->number != floor(o->number)) return "has a fraction as default";
  if (ranged && !(o->number >= o->range[0] && o->number <= o->range[1]))
    return "has a default outside its range";
  return NULL;
}

static cst_status check_schema(cst_context *ctx, const char *what, const char *name,
                               const cst_option *schema) {
  for (size_t i = 0; schema && schema[i].kind != CST_OPTION_END; i++) {
    const cst_option *o = &schema[i];
    if (i == LONGEST_SCHEMA)
      return cst_fail(ctx, CST_EPLUGIN, "the option schema of %s '%s' does not end", what, name);
    if (!cst_name_valid(o->name) || (unsigned)o->kind > CST_LIST)
      return cst_fail(ctx, CST_EPLUGIN, "option %zu of %s '%s' has no legal name and kind", i + 1,
                      what, name);
    const char *fault = fault_of_default(o);
    for (size_t j = 0; j < i; j++)
      if (strcmp(schema[j].name, o->name) == 0) fault = "is declared twice";
    if (fault)
      return cst_fail(ctx, CST_EPLUGIN, "option '%s' of %s '%s' %s", o->name, what, name, fault);
  }
  return CST_OK;
}

static const cst_option *schema_of(cst_kind kind, const void *type) {
  /* All kinds but ops have struct_size, name, help, options in this order. */
  _Static_assert(offsetof(cst_solver_type, options) == offsetof(cst_loss_type, options) &&
                     offsetof(cst_communicator_type, options) == offsetof(cst_loss_type, options),
                 "one place for the options");
  return kind == CST_KIND_OP ? NULL : ((const cst_loss_type *)type)->options;
}

/* ---- what is particular to a kind ------------------------------------------------------------------ */

static const char *fault_of_solver(const cst_solver_type *t) {
  if (t->order < 1) return "has no order";
  if ((t->traits & CST_ADAPTIVE) && t->error_order < 1)
    return "is ADAPTIVE, which needs an error_order";
  if ((t->traits & CST_REVERSIBLE) && !t->reverse) return "is REVERSIBLE, which needs the slot reverse";
  if ((t->traits & CST_SELF_CONTROLLED) && !(t->traits & CST_ADAPTIVE && t->dense))
    return "is SELF_CONTROLLED, which needs ADAPTIVE and the slot dense";
  if (CST_HAS(t, carry) && !((t->traits & CST_FSAL) && CST_HAS(t, start)))
    return "carries vectors, which needs FSAL and the slot start";
  if (CST_HAS(t, carry) && t->vjp && !CST_HAS(t, start_vjp))
    return "carries vectors, and vjp needs the slot start_vjp";
  if (t->dense_vjp && !(t->dense && t->vjp)) return "has dense_vjp, which needs dense and vjp";
  return NULL;
}

static const char *fault_of_op(const cst_op *t, bool core) {
  bool elementwise = t->flags & CST_OP_ELEMENTWISE;
  if (t->n_in_min > t->n_in_max) return "has n_in_min above n_in_max";
  if (!elementwise && !t->infer) return "lacks the required slot infer";
  if (core) return NULL; /* sources and the like are run by the program itself */
  if (elementwise && !t->map && !t->map_fn[0] && !t->map_fn[1] && !t->kernel[0] && !t->kernel[1])
    return "lacks the required slot map_fn";
  if (!elementwise && !t->kernel[0] && !t->kernel[1] && !(t->flags & CST_OP_ALIAS))
    return "lacks the required slot kernel";
  return NULL;
}

static const char *fault_of_optimizer(const cst_optimizer_type *t) {
  if (t->slots > 4) return "wants more than 4 slots";
  for (const cst_option *o = t->options; o && o->kind != CST_OPTION_END; o++)
    if (strcmp(o->name, "lr") == 0) return NULL;
  return "must have an option 'lr'";
}

static const char *fault_of_loss(const cst_loss_type *t) {
  uint32_t optional = CST_HAS(t, n_optional) ? t->n_optional : 0;
  return t->n_in <= optional ? "takes no inputs" : NULL;
}

static const char *fault_of_model(const cst_model_type *t) {
  if (!CST_HAS(t, n_out) || t->n_out <= 1) return NULL;
  return CST_HAS(t, build_all) && t->signature ? NULL : "has several outputs and lacks build_all or a signature";
}

static const char *fault_of(cst_kind kind, const void *type, bool core) {
  switch (kind) {
    case CST_KIND_OP: return fault_of_op(type, core);
    case CST_KIND_SOLVER: return fault_of_solver(type);
    case CST_KIND_OPTIMIZER: return fault_of_optimizer(type);
    case CST_KIND_LOSS: return fault_of_loss(type);
    case CST_KIND_MODEL: return fault_of_model(type);
    default: return NULL;
  }
}

cst_status cst_type_check(cst_context *ctx, cst_kind kind, const void *type, bool core) {
  const char *what = cst_kind_name(kind);
  if (!type) return cst_fail(ctx, CST_EPLUGIN, "a %s of nothing was registered", what);
  const layout *l = &layouts[kind];
  const head *h = type;
  if (h->struct_size < l->size)
    return cst_fail(ctx, CST_EPLUGIN, "a %s has struct_size %u, but the least is %zu", what,
                    h->struct_size, l->size);
  if (!cst_name_valid(h->name))
    return cst_fail(ctx, CST_EPLUGIN, "a %s has the name '%.80s': names are [a-z0-9_]+, at most 63",
                    what, h->name ? h->name : "");
  for (size_t i = 0; i < sizeof l->slot / sizeof *l->slot && l->slot[i].name; i++)
    if (!slot_is_set(type, l->slot[i].offset))
      return cst_fail(ctx, CST_EPLUGIN, "%s '%s' lacks the required slot %s", what, h->name,
                      l->slot[i].name);
  CST_TRY(check_schema(ctx, what, h->name, schema_of(kind, type)));
  const char *fault = fault_of(kind, type, core);
  return fault ? cst_fail(ctx, CST_EPLUGIN, "%s '%s' %s", what, h->name, fault) : CST_OK;
}
