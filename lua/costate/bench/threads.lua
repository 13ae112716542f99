-- SPDX-License-Identifier: GPL-3.0-or-later
-- The same work on one thread and on several (--threads, or 2), in turn.
local cs = require "costate"
local core = require "costate.core"

local function run(b)
  local many = math.max(2, core.threads())
  local function compare(variant, sizes, rows, steps)
    local net = cs.nn.mlp { sizes = sizes, activation = "tanh", name = "threads" }
    local y0 = cs.rows(core.rng(core.seed(), "threads"):normal { rows, sizes[1] })
    local flow = cs.ode { field = net, solver = "rk4", step = 1 / steps, gradient = "discrete" }
    local alone
    for _, threads in ipairs { 1, many } do
      b:with_threads(threads, function()
        b:measure(b:iteration(function() return flow(y0, { 0, 1 }):mean() end, { net }), { gradient = "discrete",
          variant = variant, speedup = function(row)
            alone = alone or row.median_ms
            return threads > 1 and alone / row.median_ms or nil
          end })
      end)
    end
  end
  compare("MLP 2-50-2, 20 rows", { 2, 50, 2 }, 20, 5)
  compare("MLP 4-32-4, 64 rows", { 4, 32, 4 }, 64, 20)
  compare("MLP 4-32-4, 1000 rows", { 4, 32, 4 }, 1000, 20)
  compare("MLP 16-64-64-16, 1000 rows", { 16, 64, 64, 16 }, 1000, 10)
  compare("MLP 4-32-4, 4096 rows", { 4, 32, 4 }, 4096, 20)
  compare("MLP 64-256-256-64, 4096 rows", { 64, 256, 256, 64 }, 4096, 2)
end

return { help = "one thread against several on small and large batches", run = run }
