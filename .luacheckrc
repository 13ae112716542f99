-- SPDX-License-Identifier: GPL-3.0-or-later
std = "lua54"
unused_args = false
max_line_length = 130
files["tests/lua"] = { std = "+busted", globals = { "raises", "near" } }
files["lua/types"] = { ignore = { "211", "212", "221", "241" } }
