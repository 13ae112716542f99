-- SPDX-License-Identifier: GPL-3.0-or-later
-- The first training steps of FFJORD's toy run on eight Gaussians: batches of 100, concatsquash 2-64-64-64-2, exact
-- trace, end time learned from 0.5.
local cs = require "costate"
local core = require "costate.core"

local STEPS <const>, POINTS <const> = 60, 100

--- Flops of the products in one evaluation: of the points, and of both tangents from the second layer on; those of the
--- first are the same for all points.
local function flops(b) return b.product_flops(POINTS, { 2, 64, 64, 64, 2 }) + b.product_flops(2 * POINTS, { 64, 64, 64, 2 }) end

local function run(b)
  local data, rng = cs.dataset "toy2d" { kind = "8gaussians" }, core.rng(core.seed(), "train/batch")
  local batches, lines = {}, {}
  for i = 1, STEPS do
    batches[i] = data:draw(rng, POINTS)
    for _, point in ipairs(batches[i]:totable()) do lines[#lines + 1] = point end
  end
  b:input("points", lines)
  local rate = b.product_rate()
  for k, gradient in ipairs { "discrete", "backsolve" } do
    local net = cs.nn.concatsquash { 2, 64, 64, 64, 2, init = "fan_in_uniform", name = "cnf_8gaussians" }
    local m = cs.model "cnf.flow" { field = net, T = { 0.5, learn = true }, solver = { gradient = gradient } }
    if k == 1 then b:input("weights", m.flat) end
    b:measure(b:training { parameters = m, optimizer = cs.optim.adam { lr = 1e-3, weight_decay = 1e-5 }, steps = STEPS,
      batch = function(_, state) return batches[state.step] end,
      loss = function(x) return (m:loss(x)) end }, { gradient = gradient, product_gflops = rate / 1e9,
      product_share = b.product_share(flops(b), rate) })
  end
end

return { help = "training on eight Gaussians: batches of 100, concatsquash 2-64-64-64-2, learned end time", run = run }
