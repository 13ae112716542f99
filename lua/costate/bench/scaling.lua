-- SPDX-License-Identifier: GPL-3.0-or-later
-- How time grows with rows and with steps, for a gradient that keeps a record and for one that keeps none.
-- The last row of each series has the log-log slope.
local cs = require "costate"
local core = require "costate.core"

--- One series: iteration(n) for each n.
local function series(b, gradient, what, sizes, iteration)
  local times = {}
  for i, n in ipairs(sizes) do
    b:measure(iteration(n), { gradient = gradient, variant = ("%d %s"):format(n, what),
      slope = function(row)
        times[i] = row.median_ms
        return i == #sizes and b:slope(sizes, times) or nil
      end })
    collectgarbage()
  end
end

local function run(b)
  local net = cs.nn.mlp { 4, 32, 4, activation = "tanh", name = "scaling" }
  local rng = core.rng(core.seed(), "scaling")
  local few = cs.rows(rng:normal { 16, 4 })
  for _, gradient in ipairs { "discrete", "backsolve" } do
    local function iteration(y0, step)
      local flow = cs.ode { field = net, solver = "rk4", step = step, gradient = gradient, max_steps = 1000000,
        memory = 4 * 2 ^ 30 }
      return b:iteration(function() return flow(y0, { 0, 1 }):mean() end, { net })
    end
    series(b, gradient, "rows", { 100, 1000, 10000, 100000, 1000000 }, function(n)
      return iteration(cs.rows(rng:normal { n, 4 }), 0.5)
    end)
    series(b, gradient, "steps", { 100, 1000, 10000, 100000 }, function(n) return iteration(few, 1 / n) end)
  end
end

return { help = "MLP 4-32-4, rk4: rows from 100 to a million, steps from 100 to 100,000", run = run }
