-- SPDX-License-Identifier: GPL-3.0-or-later
-- Which parameters a gradient that is not finite is the gradient of: those that a training can tell from the others.
-- A solve that is to blame has failed before, with a message of its own.
local core = require "costate.core"

local NAMED <const> = 3

--- 0 x is NaN where x is not finite, and no sum of them overflows.
local function finite(x) return core.sum(x * 0):item() == 0 end

--- The message of a step, with names where it is about the gradient. t: models and their optimizers.
return function(t, message)
  if message ~= "the gradient is not finite" then return message end
  local names, bad, all = {}, 0, 0
  for i, m in ipairs(t.models) do
    local g = t.optimizers[i]:gradient()
    for _, p in ipairs(m.list) do
      all = all + 1
      if not finite(core.view(g, p.offset, p.tensor.shape)) then
        bad = bad + 1
        if bad <= NAMED then names[bad] = ("'%s' of %s"):format(p.name, m.name) end
      end
    end
  end
  return ("%s by %d of %d parameters: %s%s"):format(message, bad, all, table.concat(names, ", "), bad > NAMED and ", .." or "")
end
