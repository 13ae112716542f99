-- SPDX-License-Identifier: GPL-3.0-or-later
-- Robertson's reaction as a field of rows, with rates scaled by exp(p.a), exp(p.b), exp(p.c).
local cs = require "costate"

return function(p)
  return function(_, y)
    local u, v, w = y:columns()
    local a, b = 0.04 * cs.exp(p.a) * u, 1e4 * cs.exp(p.b) * v * w
    local c = 3e7 * cs.exp(p.c) * v ^ 2
    return cs.stack { b - a, a - b - c, c }
  end
end
