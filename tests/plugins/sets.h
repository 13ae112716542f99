/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Data sets in tests: built by name, read from bytes, their fields compared.
 */
#pragma once
#include <CUnit/CUnit.h>

#include "costate/registry.h"

extern cst_context *set_ctx; /* with the plugin datasets, between set_open and set_close */
int set_open(void);
int set_close(void);

#define TEXT(n, s) \
  { .name = n, .kind = CST_STRING, .string = s }
#define COUNT(n, x) \
  { .name = n, .kind = CST_INTEGER, .integer = x }
#define NUMBER(n, x) \
  { .name = n, .kind = CST_NUMBER, .number = x }

cst_status set_build(const char *name, const cst_given *given, size_t n, uint64_t seed,
                     cst_dataset *d);
/* The set `name` read from a file of these bytes with more options. */
cst_status set_read(const char *name, const char *bytes, size_t size, const cst_given *more,
                    size_t n, cst_dataset *d);
void set_write_file(const char *path, const char *bytes, size_t size);

const cst_tensor *set_tensor(const cst_dataset *d, const char *name); /* NULL: there is none */
const cst_words *set_words(const cst_dataset *d, const char *name);
void set_expect(const cst_dataset *d, const char *name, const double *x, size_t n);
void set_expect_words(const cst_dataset *d, const char *name, size_t n, const char *const *word);
#define EXPECT(d, name, ...)                         \
  set_expect(d, name, (const double[]){__VA_ARGS__}, \
             sizeof((const double[]){__VA_ARGS__}) / sizeof(double))
#define WORDS(d, name, ...)                                                              \
  set_expect_words(d, name, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), \
                   (const char *const[]){__VA_ARGS__})
/* A refusal: the last message has this text; it is printed when it has not. */
void set_expect_message(const char *text);

/* What every set of series satisfies, whatever it was made from: lengths, ascending times, nothing
 * outside the mask. */
void set_check(const cst_dataset *d);
