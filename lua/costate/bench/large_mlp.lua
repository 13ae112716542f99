-- SPDX-License-Identifier: GPL-3.0-or-later
-- A field that products dominate. The bound is the flops of its matrix products over the rate of one
-- large product measured in the same run.
local cs = require "costate"
local core = require "costate.core"

local ROWS <const>, STEPS <const> = 4096, 5
local sizes <const> = { 64, 256, 256, 64 }

local function run(b)
  local net = cs.nn.mlp { 64, 256, 256, 64, activation = "tanh", name = "large" }
  local y0 = cs.rows(core.rng(core.seed(), "large_mlp"):normal { ROWS, sizes[1] })
  b:input("weights", net.flat)
  b:input("y0", y0)
  local rate = b.product_rate()
  local flow = cs.ode { field = net, solver = "rk4", step = 1 / STEPS, gradient = "discrete" }
  local function loss() return (flow(y0, { 0, 1 }):slice(2, 2, 2) ^ 2):mean() end
  for _, gradient in ipairs { "none", "discrete" } do
    b:measure(b:iteration(loss, gradient ~= "none" and { net } or nil), { gradient = gradient,
      product_gflops = rate / 1e9, product_share = b.product_share(b.product_flops(ROWS, sizes), rate) })
  end
end

return { help = "MLP 64-256-256-64 tanh, batch 4096, rk4 in 5 steps; against the rate of a large product", run = run }
