/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole files.
 */
#pragma once
#include <costate/plugin.h>

/* All bytes of a file, unpacked if it is compressed by gzip, and one more that *n does not count.
 * *bytes is the caller's to free, also after a failure. */
cst_status bytes_read(const cst_host *host, const char *path, char **bytes, size_t *n);
