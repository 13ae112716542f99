-- SPDX-License-Identifier: GPL-3.0-or-later
-- Arguments of what draws from a data set: a generator, then positive integers.
local core = require "costate.core"

return function(what, rng, ...)
  if type(rng) ~= "userdata" then
    core.fail(("%s needs a generator first, as batch = function(rng) gets it, got a %s"):format(what, type(rng)))
  end
  for i = 1, select("#", ...) do
    local n = select(i, ...)
    if math.type(n) ~= "integer" or n < 1 then
      core.fail(("%s takes positive integers, got %s"):format(what, tostring(n)))
    end
  end
end
