/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Formatting that does not depend on the locale: a decimal comma never enters a file or a message.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* As snprintf in the C locale: at most `size` bytes with the NUL; returns the length needed. */
size_t cst_format_text(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t cst_format_args(char *text, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
