-- SPDX-License-Identifier: GPL-3.0-or-later
-- The data sets that are written in Lua, by name.
--
-- With `options` ({ kind = { "moons", help = "..." } }: a default, or none, and a line of help) what a script gives is
-- checked; without, `build` gets the table as it is. `methods` are those of the set, beside or instead of the usual.
local core = require "costate.core"
local lua_options = require "costate._lua_options"
local options = require "costate._options"
local trace = require "costate._trace"

local M = { registered = {} }

-- Modules of ours that register a data set, read when it is asked for.
local homes <const> = { toy2d = "costate.data.toy2d" }

--- The data set of that name, or nil.
function M.find(name)
  if homes[name] then require(homes[name]) end
  return M.registered[name]
end

--- All of them, ours included.
function M.all()
  for _, home in pairs(homes) do require(home) end
  return M.registered
end

--- ": did you mean 'toy2d'?" for a name that is nearly one of them; nil otherwise.
function M.hint(name)
  local near = core.suggest(name, trace.sorted_keys(M.all()))
  return near and (": did you mean '%s'?"):format(near)
end

--- cs.register.dataset { name = "mine.data", build = function(options, rng) return { t =, y = } end }
function M.register(given)
  local t = options.check("register.dataset", given, { name = "string!", build = "callable!", help = "string",
    options = "table", methods = "table" })
  if M.registered[t.name] then core.fail(("a dataset '%s' is registered already"):format(t.name)) end
  M.registered[t.name] = t
end

--- The fields of a new set, and the options it was made with. `checked` are those given, but for the seed.
function M.build(own, given, checked, seed)
  local o = own.options and lua_options.resolve("dataset", own, checked) or given
  local fields = own.build(o, core.rng(seed, own.name))
  if type(fields) ~= "table" then
    core.fail(("dataset '%s': build must return a table of tensors, got a %s"):format(own.name, type(fields)))
  end
  return fields, o
end

--- The class of such sets, from that of all.
function M.class(own, Dataset)
  if not own.methods then return Dataset end
  if not own.class then
    own.class = setmetatable({ __name = Dataset.__name, __tostring = Dataset.__tostring }, { __index = Dataset })
    for name, f in pairs(own.methods) do own.class[name] = f end
    own.class.__index = own.class
  end
  return own.class
end

return M
