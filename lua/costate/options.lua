-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.options { steps = 2000, lr = 1e-3 }: what a script lets the command line change.
local core = require "costate.core"
local run = require "costate.run"
local trace = require "costate._trace"

local M = { given = {}, order = {}, taken = false }

--- Raised to end a script early: the command line was wrong, or only asked what there is.
local function stop(kind, message) error({ costate_exit = kind, message = message }, 0) end

local parsers = {
  integer = function(s) return math.tointeger(tonumber(s)) end,
  float = function(s) return tonumber(s) and tonumber(s) + 0.0 end,
  string = function(s) return s end,
  boolean = function(s)
    local words = { ["true"] = true, ["yes"] = true, ["1"] = true, ["false"] = false, ["no"] = false, ["0"] = false }
    return words[s]
  end,
}

local function kind_of(x) return type(x) == "number" and math.type(x) or type(x) end

local function parse(name, default, text)
  if text == true and type(default) == "boolean" then return true end
  if text == true then stop("usage", ("--%s needs a value"):format(name)) end
  local kind = kind_of(default)
  local value = parsers[kind](text)
  if value == nil then
    local word = kind == "float" and "number" or kind
    local article = word:find("^[aeiou]") and "an" or "a"
    stop("usage", ("--%s must be %s %s, got '%s'"):format(name, article, word, text))
  end
  return value
end

function M.listing(declared)
  local lines = {}
  for _, name in ipairs(trace.sorted_keys(declared)) do
    local kind = kind_of(declared[name])
    lines[#lines + 1] = ("  --%-16s %s (default %s)"):format((name:gsub("_", "-")),
      kind == "float" and "number" or kind, tostring(declared[name]))
  end
  return table.concat(lines, "\n")
end

--- Each entry is a default: a number, a string or a boolean. The result is a plain table.
function M.declare(declared)
  if type(declared) ~= "table" then core.fail("options takes a table of defaults: cs.options { steps = 2000 }") end
  local out, names = {}, {}
  for name, default in pairs(declared) do
    if type(name) ~= "string" or not parsers[kind_of(default)] then
      core.fail(("option '%s': a default is a number, a string or a boolean"):format(tostring(name)))
    end
    out[name] = default
    names[#names + 1] = name
  end
  if M.help then stop("help", M.listing(declared)) end
  for _, given in ipairs(M.order) do
    local name = declared[given] ~= nil and given or given:gsub("-", "_")
    if declared[name] == nil then
      table.sort(names)
      local near = core.suggest(given, names)
      stop("usage", ("unknown option '--%s': %s"):format(given, near and ("did you mean '--%s'?"):format(near)
        or "the script takes " .. (#names > 0 and "--" .. table.concat(names, ", --") or "no options")))
    end
    out[name] = parse(name, declared[name], M.given[given])
  end
  M.taken = true
  for k, v in pairs(out) do run.options[k] = v end
  return out
end

return M
