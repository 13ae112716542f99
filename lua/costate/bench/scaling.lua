-- SPDX-License-Identifier: GPL-3.0-or-later
-- How time grows with rows and with steps: the last row of each series has the log-log slope.
local cs = require "costate"
local core = require "costate.core"

--- One series: solve(n) gives an iteration for each n.
local function series(b, what, sizes, iteration)
  local times = {}
  for i, n in ipairs(sizes) do
    b:measure(iteration(n), { gradient = "discrete", variant = ("%d %s"):format(n, what),
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
  local function iteration(y0, step)
    local flow = cs.ode { field = net, solver = "rk4", step = step, max_steps = 1000000, memory = 4 * 2 ^ 30 }
    return b:iteration(function() return flow(y0, { 0, 1 }):mean() end, { net })
  end
  series(b, "rows", { 100, 1000, 10000, 100000, 1000000 }, function(n)
    return iteration(cs.rows(rng:normal { n, 4 }), 0.5)
  end)
  local y0 = cs.rows(rng:normal { 16, 4 })
  series(b, "steps", { 100, 1000, 10000, 100000 }, function(n) return iteration(y0, 1 / n) end)
end

return { help = "MLP 4-32-4, rk4, discrete: rows from 100 to a million, steps from 100 to 100,000", run = run }
