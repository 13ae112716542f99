-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.optim.adam { lr = 1e-3 }: an optimizer's name with its options, checked when it is made.
local core = require "costate.core"

local Optimizer = { __name = "costate.OptimizerChoice" }
Optimizer.__index = Optimizer
function Optimizer:__tostring()
  local parts = {}
  for k, v in pairs(self.resolved) do parts[#parts + 1] = k .. " " .. tostring(v) end
  table.sort(parts)
  return self.name .. ": " .. table.concat(parts, ", ")
end

--- The state of this optimizer for one flat vector of parameters.
function Optimizer:start(flat) return core.optimizer(self.name, self.options, flat) end

local function choose(name, given)
  local entry, message = core.find("optimizer", name:find(".", 1, true) and name or "optimizers." .. name)
  if not entry then entry = core.find("optimizer", name) end
  if not entry then core.fail(message) end
  local o = core.options("optimizer", entry.name, given)
  return setmetatable({ name = entry.name, options = o, resolved = o:table() }, Optimizer)
end

return {
  is = function(x) return getmetatable(x) == Optimizer end,
  optim = setmetatable({}, {
    __index = function(_, name)
      return function(given) return choose(tostring(name), given) end
    end,
  }),
}
