-- SPDX-License-Identifier: GPL-3.0-or-later
-- A field that products dominate. The bound is the flops of its matrix products over the rate of one
-- large product measured in the same run.
local cs = require "costate"
local core = require "costate.core"
local trace = require "costate._trace"

local ROWS <const>, STEPS <const> = 4096, 5
local sizes <const> = { 64, 256, 256, 64 }

--- Flops of products in one evaluation of the field.
local function flops()
  local n = 0
  for i = 2, #sizes do n = n + 2 * ROWS * sizes[i - 1] * sizes[i] end
  return n
end

--- Flops a second of x W with x [4096, 256] and W [256, 256].
local function product_rate()
  local a = cs.rows(core.rng(0, "a"):normal { ROWS, 256 })
  local w = core.rng(0, "w"):normal { 256, 256 }
  local fn, captures = trace.record({}, function(tr) return { core.matmul(tr:value(a), tr:value(w)) } end)
  local p = core.program(fn, captures)
  p:fresh()
  local best = math.huge
  for i = 1, 30 do
    local began = core.clock()
    p:configure(i)
    p:run()
    best = math.min(best, core.clock() - began)
  end
  return 2 * ROWS * 256 * 256 / best
end

--- The product bound over the time taken. A pullback has two products where the field has one.
local function product_share(rate)
  return function(row)
    return 1e3 * (row.nfe_forward + 2 * row.nfe_backward) * flops() / rate / row.median_ms
  end
end

local function run(b)
  local net = cs.nn.mlp { 64, 256, 256, 64, activation = "tanh", name = "large" }
  local y0 = cs.rows(core.rng(core.seed(), "large_mlp"):normal { ROWS, sizes[1] })
  b:input("weights", net.flat)
  b:input("y0", y0)
  local rate = product_rate()
  local flow = cs.ode { field = net, solver = "rk4", step = 1 / STEPS, gradient = "discrete" }
  local function loss() return (flow(y0, { 0, 1 }):slice(2, 2, 2) ^ 2):mean() end
  for _, gradient in ipairs { "none", "discrete" } do
    b:measure(b:iteration(loss, gradient ~= "none" and { net } or nil), { gradient = gradient,
      product_gflops = rate / 1e9, product_share = product_share(rate) })
  end
end

return { help = "MLP 64-256-256-64 tanh, batch 4096, rk4 in 5 steps; against the rate of a large product", run = run }
