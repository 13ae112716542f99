-- SPDX-License-Identifier: GPL-3.0-or-later
-- Options of types that are written in Lua (models, losses), by their schema.
local core = require "costate.core"
local options = require "costate._options"

local M = {}

--- Options of types written in Lua: { q = { 0.5, range = {0, 1}, help = "..." } }.
function M.resolve(kind, type_, given)
  local schema, out, names = type_.options or {}, {}, {}
  for name, s in pairs(schema) do
    out[name] = s[1]
    names[#names + 1] = name
  end
  for name, x in pairs(given) do
    local s = schema[name]
    if not s and math.type(name) == "integer" then
      out[name] = x
    elseif not s then
      options.unknown(("%s '%s'"):format(kind, type_.name), tostring(name), names)
    else
      if s[1] ~= nil and not s.any and type(s[1]) ~= type(x) then
        core.fail(("option '%s' of %s '%s' must be a %s"):format(name, kind, type_.name, type(s[1])))
      end
      if s.range and not (x >= s.range[1] and x <= s.range[2]) then
        core.fail(("option '%s' of %s '%s' must lie between %g and %g"):format(name, kind, type_.name,
          s.range[1], s.range[2]))
      end
      out[name] = x
    end
  end
  return out
end

return M
