-- SPDX-License-Identifier: GPL-3.0-or-later
-- The models that are written in Lua, by name.
local core = require "costate.core"
local trace = require "costate._trace"

local M = { registered = {} }

-- Modules of ours that register models, read when the first of theirs is asked for.
local homes <const> = { cnf = "costate.cnf", latent_ode = "costate.latent_ode" }

--- The model of that name; nil, and why not when it should be one of ours.
function M.find(name)
  local home = homes[name:match("^[^.]*")]
  if not home then return M.registered[name] end
  require(home)
  if M.registered[name] then return M.registered[name] end
  local near = core.suggest(name, trace.sorted_keys(M.registered))
  return nil, ("there is no model '%s'%s"):format(name, near and (": did you mean '%s'?"):format(near) or "")
end

--- All of them, ours included.
function M.all()
  for _, home in pairs(homes) do require(home) end
  return M.registered
end

return M
