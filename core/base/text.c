/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text in the C locale, and the shortest decimal of a double.
 */
#include "base/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costate/context.h"

size_t cst_format_args(char *text, size_t size, const char *format, va_list args) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a static object: nothing is allocated */
  locale_t before = c ? uselocale(c) : (locale_t)0;
  int n = vsnprintf(text, size, format, args);
  if (c) {
    uselocale(before);
    freelocale(c);
  }
  if (n < 0 && size) text[0] = 0;
  return n < 0 ? 0 : (size_t)n;
}

size_t cst_format_text(char *text, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t n = cst_format_args(text, size, format, args);
  va_end(args);
  return n;
}

/* "1.2345e-07" with `digits` significant digits. Returns whether it reads back as x. */
static bool reads_back(double x, int digits, char text[40]) {
  snprintf(text, 40, "%.*e", digits - 1, x);
  return strtod(text, NULL) == x;
}

/* The least number of digits that identifies x. Any decimal of 15 digits survives the way through a
 * normal double, so when 15 suffice the shortest is those without their trailing zeros. */
static int shortest_digits(double x, char text[40]) {
  int digits = fabs(x) < DBL_MIN ? 1 : 15;
  while (digits < 17 && !reads_back(x, digits, text)) digits++;
  if (digits == 17) reads_back(x, 17, text);
  const char *mark = strchr(text, 'e');
  while (digits > 1 && mark[-1] == '0') mark--, digits--;
  return digits;
}

static void write_shortest(double x, char text[40]) {
  int digits = shortest_digits(x, text), exponent = atoi(strchr(text, 'e') + 1);
  int decimals = digits - 1 - exponent;
  if (exponent >= -4 && exponent < 16)
    snprintf(text, 40, "%.*f", decimals > 0 ? decimals : 0, x);
  else
    snprintf(text, 40, "%.*e", digits - 1, x);
}

size_t cst_format_double(double x, char *text, size_t size) {
  char own[40];
  if (isnan(x)) strcpy(own, "nan");
  else if (isinf(x)) strcpy(own, x < 0 ? "-inf" : "inf");
  else {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c ? uselocale(c) : (locale_t)0;
    write_shortest(x, own);
    if (c) {
      uselocale(before);
      freelocale(c);
    }
  }
  size_t n = strlen(own);
  if (size) {
    size_t kept = n < size ? n : size - 1;
    memcpy(text, own, kept);
    text[kept] = 0;
  }
  return n;
}
