-- SPDX-License-Identifier: GPL-3.0-or-later
-- The same specs inside the `costate` program.
local here = (...):match("^(.*[/\\])") or "./"
arg = { [0] = here .. "run.lua" } -- luacheck: ignore
dofile(here .. "run.lua")
