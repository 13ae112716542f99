-- SPDX-License-Identifier: GPL-3.0-or-later
-- Tables of named options: unknown names are errors with a suggestion, tables are never changed.
local core = require "costate.core"

local M = {}

local function is_tensor(x) return core.kind(x) ~= nil end

local checks = {
  number = function(x) return type(x) == "number" end,
  integer = function(x) return math.type(x) == "integer" or (type(x) == "number" and x % 1 == 0) end,
  string = function(x) return type(x) == "string" end,
  boolean = function(x) return type(x) == "boolean" end,
  table = function(x) return type(x) == "table" end,
  ["function"] = function(x) return type(x) == "function" end,
  callable = function(x)
    local meta = getmetatable(x)
    return type(x) == "function" or (type(meta) == "table" and meta.__call ~= nil)
  end,
  tensor = is_tensor,
  any = function() return true end,
}

--- Whether x can be called: a function, a model, ..
M.is_callable = checks.callable

--- A new table of what the tables have, of two that have a name the later one's.
function M.joined(...)
  local out = {}
  for _, t in ipairs { ... } do
    for k, v in pairs(t) do out[k] = v end
  end
  return out
end

--- The table without `key`, and what stood there.
function M.without(t, key)
  local rest = M.joined(t)
  rest[key] = nil
  return rest, t[key]
end

--- Raises unless x is one of the names; `what` is "option 'method' of the divergence".
function M.one_of(what, x, names)
  for _, name in ipairs(names) do if name == x then return end end
  local near = core.suggest(tostring(x), names)
  core.fail(("%s is one of %s, got '%s'%s"):format(what, table.concat(names, ", "), tostring(x),
    near and (": did you mean '%s'?"):format(near) or ""))
end

--- Raises for a name that `what` does not know; `names` are those it does.
function M.unknown(what, name, names)
  table.sort(names)
  local near = core.suggest(name, names)
  local hint = near and ("did you mean '%s'?"):format(near) or "it takes " .. table.concat(names, ", ")
  core.fail(("unknown option '%s' of %s: %s"):format(name, what, hint))
end

local words = { integer = "an integer", callable = "a function" }

--- "string|table!" as people say it.
local function wanted(kinds)
  local list = {}
  for kind in kinds:gmatch("[^|!]+") do list[#list + 1] = words[kind] or "a " .. kind end
  return table.concat(list, " or ")
end

local function fits(kinds, x)
  for kind in kinds:gmatch("[^|]+") do
    if checks[kind](x) then return true end
  end
  return false
end

--- M.check("train", given, { steps = "integer", loss = "callable!" , ...}): "!" marks what is
--- required, "a|b" either. Returns a new table.
function M.check(what, given, spec)
  if type(given) ~= "table" or getmetatable(given) then
    core.fail(("%s takes one table of named options, got a %s"):format(what, type(given)))
  end
  local out, names = {}, {}
  for name in pairs(spec) do names[#names + 1] = name end
  for name, x in pairs(given) do
    local kinds = spec[name]
    if not kinds then M.unknown(what, tostring(name), names) end
    if not fits(kinds:gsub("!", ""), x) then
      core.fail(("option '%s' of %s must be %s, got %s"):format(name, what,
        wanted(kinds), type(x) == "number" and core.format(x) or "a " .. (core.kind(x) or type(x))))
    end
    out[name] = x
  end
  for name, kinds in pairs(spec) do
    if kinds:find("!", 1, true) and out[name] == nil then
      core.fail(("option '%s' of %s is required"):format(name, what))
    end
  end
  return out
end

--- Raises unless the number `name` of a checked table is absent or fits.
function M.positive(what, name, x)
  if x == nil or x > 0 then return end
  core.fail(("option '%s' of %s must be positive, got %s"):format(name, what, core.format(x)))
end

--- Raises unless the arguments beyond those that `usage` shows are nil: nothing that was given is to be ignored.
function M.no_more(usage, ...)
  for i = 1, select("#", ...) do
    local x = select(i, ...)
    if x ~= nil then core.fail(("%s takes no more, got a %s besides"):format(usage, core.kind(x) or type(x))) end
  end
end

return M
