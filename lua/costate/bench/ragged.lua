-- SPDX-License-Identifier: GPL-3.0-or-later
-- What rows of different length cost together: a latent ODE, its bound and gradient, on 32 series of 1 to 500
-- observations, each at times of its own, as one batch and then one by one. `ratio` is the batch over the sum of
-- its parts.
local cs = require "costate"
local core = require "costate.core"

local ROWS <const>, LONGEST <const> = 32, 500

local function length_of(row) return math.floor(LONGEST ^ ((row - 1) / (ROWS - 1)) + 0.5) end

local function times_of(rng, n)
  local t = rng:uniform({ n, 1 }):totable()
  for i, x in ipairs(t) do t[i] = x[1] end
  table.sort(t)
  return t
end

--- Series [first .. last] of the lists, as long as the longest of them.
local function batch_of(times, values, first, last)
  local b, longest = { t = {}, y = {}, mask = {}, lengths = {} }, 0
  for row = first, last do longest = math.max(longest, #times[row]) end
  for row = first, last do
    local t, y, mask, n = {}, {}, {}, #times[row]
    for i = 1, longest do
      t[i], y[i], mask[i] = 5 * times[row][math.min(i, n)], { i <= n and values[row][i] or 0 }, { i <= n and 1 or 0 }
    end
    local k = row - first + 1
    b.t[k], b.y[k], b.mask[k], b.lengths[k] = t, y, mask, n
  end
  return { t = cs.rows(cs.tensor(b.t, "f64")), y = cs.rows(cs.tensor(b.y)), mask = cs.rows(cs.tensor(b.mask)),
    lengths = cs.rows(cs.tensor(b.lengths, "f64")) }
end

--- Several iterations as one; the loss is their mean.
local function one_by_one(list)
  return { length = 1, step = function(i)
    local sum = { 0, 0, 0, 0 }
    for _, it in ipairs(list) do
      for k, x in ipairs { it.step(i) } do sum[k] = sum[k] + x end
    end
    return sum[1] / #list, sum[2], sum[3], sum[4]
  end }
end

local function run(b)
  local rng = core.rng(core.seed(), "ragged")
  local times, values = {}, {}
  for row = 1, ROWS do
    times[row], values[row] = times_of(rng, length_of(row)), {}
    for i, t in ipairs(times[row]) do values[row][i] = math.sin(2 * math.pi * t + row) end
  end
  local m = cs.model "latent_ode.model" { channels = 1, hidden = 20, gru_units = 50, units = 50, latent = 10, origin = 0,
    noise = 0.1, name = "ragged" }
  local function iteration(first, last)
    local batch = batch_of(times, values, first, last)
    return b:iteration(function() return m:loss(batch, { samples = 3 }) end, { m })
  end
  local parts = {}
  for row = 1, ROWS do parts[row] = iteration(row, row) end
  local alone = b:measure(one_by_one(parts), { gradient = "discrete", variant = "one by one" }).median_ms
  b:measure(iteration(1, ROWS), { gradient = "discrete", variant = "one batch",
    ratio = function(row) return row.median_ms / alone end })
end

return { help = "a latent ODE on 32 series of 1 to 500 observations: one batch beside the sum of its rows", run = run }
