-- SPDX-License-Identifier: GPL-3.0-or-later
-- Memory against the number of steps, for the gradients that promise a bound: peak resident memory, and what
-- the solve kept: bytes of its record, states in place of records, bytes of its schedule. `growth` is the peak
-- over that of the fewest steps. What grows comes last, since freed memory may stay resident.
local cs = require "costate"
local core = require "costate.core"

local STEPS <const> = { 100, 1000, 10000, 100000 }

local function series(b, name, options, iteration)
  local first
  for _, n in ipairs(STEPS) do
    collectgarbage() -- the iteration before is free only now
    local it = iteration(n, options)
    it.seconds = 0.2
    local function kept(what) return function() return it.program:stats()[what] end end
    b:measure(it, { gradient = name, variant = n .. " steps",
      tape_bytes = kept "tape_bytes", states = kept "checkpoints", schedule_bytes = kept "schedule_bytes",
      growth = function(row)
        first = first or row.peak_rss_kib
        return row.peak_rss_kib / first
      end })
  end
end

local function run(b)
  local net = cs.nn.mlp { 4, 32, 4, activation = "tanh", name = "memory" }
  local y0 = cs.rows(core.rng(core.seed(), "memory"):normal { 16, 4 })
  local function iteration(n, options)
    local given = { field = net, max_steps = 10 * n }
    for k, v in pairs(options) do given[k] = v end
    if options.max_step then given.max_step = options.max_step / n else given.step = 1 / n end
    local flow = cs.ode(given)
    return b:iteration(function() return flow(y0, { 0, 1 }):mean() end, { net })
  end
  -- Rounding grows on the way back by 1 / coupling a step.
  local undone, chosen = { "reversible.rk4", coupling = 1 }, { "reversible.dopri5", coupling = 1 }
  series(b, "backsolve", { solver = "rk4", gradient = "backsolve" }, iteration)
  series(b, "reversible", { solver = undone, gradient = "reversible" }, iteration)
  for _, k in ipairs { 10, 100 } do
    series(b, ("discrete, %d states"):format(k), { solver = "rk4", gradient = "discrete", checkpoints = k }, iteration)
  end
  series(b, "reversible, steps chosen", { solver = chosen, gradient = "reversible", rtol = 0.01, max_step = 1 },
    iteration)
  series(b, "discrete, 8 MiB", { solver = "rk4", gradient = "discrete", memory = 8 * 2 ^ 20 }, iteration)
  series(b, "discrete", { solver = "rk4", gradient = "discrete", memory = 4 * 2 ^ 30 }, iteration)
end

return { help = "MLP 4-32-4, 16 rows, 100 to 100,000 steps: peak memory of each gradient", run = run }
