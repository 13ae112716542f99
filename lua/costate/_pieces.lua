-- SPDX-License-Identifier: GPL-3.0-or-later
-- f(x) of many rows, at most `most` of them at a time: what f needs in memory goes with those.
local core = require "costate.core"

return function(f, x, most)
  local n = x.shape[1]
  if core.kind(x) == "value" or n <= most then return f(x) end
  local out
  for first = 1, n, most do
    local last = math.min(n, first + most - 1)
    local part = f(core.range(x, first, last))
    if not out then
      local shape = part.shape
      shape[1] = n
      out = core.zeros(shape, part.dtype)
    end
    core.range(out, first, last):copy(part)
  end
  return core.rows(out)
end
