-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.loss.mae(prediction, target [, options]): losses of plugins and of scripts by name.
local core = require "costate.core"
local options = require "costate._options"
local trace = require "costate._trace"
local model = require "costate.model"

local M = { registered = {} }

local function is_plain(x) return type(x) == "table" and not getmetatable(x) end

--- Splits the arguments into values and a trailing table of options.
local function split(...)
  local values = { ... }
  local given = is_plain(values[#values]) and table.remove(values) or nil
  for i, v in ipairs(values) do
    if not core.kind(v) and type(v) ~= "number" then
      core.fail(("argument %d of a loss must be a tensor or a value, got a %s"):format(i, type(v)))
    end
  end
  return values, given
end

local function from_plugin(entry)
  local function builder(given)
    local o = core.options("loss", entry.name, given)
    return trace.eager(function(...) return core.build_loss(entry.name, o, { ... }) end)
  end
  local plain
  return function(...)
    local values, given = split(...)
    if given then return builder(given)(table.unpack(values)) end
    plain = plain or builder()
    return plain(table.unpack(values))
  end
end

local function from_script(t)
  return function(...)
    local values, given = split(...)
    local o = model.resolve_lua_options("loss", t, given or {})
    return t.build(o, table.unpack(values))
  end
end

local function find(name)
  if M.registered[name] then return from_script(M.registered[name]) end
  local entry, message = core.find("loss", name:find(".", 1, true) and name or "losses." .. name)
  if not entry then entry = core.find("loss", name) end
  if not entry then core.fail(message) end
  return from_plugin(entry)
end

--- cs.register.loss { name = "mine.pinball", options = {...}, build = function(o, y, target) ... end }
function M.register(given)
  local t = options.check("register.loss", given,
    { name = "string!", options = "table", build = "callable!", help = "string" })
  if M.registered[t.name] then core.fail(("a loss '%s' is registered already"):format(t.name)) end
  M.registered[t.name] = t
end

local cache = {}
M.loss = setmetatable({}, {
  __index = function(_, name)
    cache[name] = cache[name] or find(tostring(name))
    return cache[name]
  end,
  __call = function(self, name) return self[name] end, -- cs.loss "mine.pinball" (y, target)
})

return M
