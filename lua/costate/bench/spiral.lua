-- SPDX-License-Identifier: GPL-3.0-or-later
-- The first training steps on the cubic spiral. Batches are drawn beforehand, as the peers and the floor
-- have them.
local cs = require "costate"
local core = require "costate.core"

local STEPS <const> = 60

--- The batches that cs.train would draw.
local function draw(data)
  local rng, list = core.rng(core.seed(), "train/batch"), {}
  for i = 1, STEPS do list[i] = data:windows(rng, 20, 10) end
  return list
end

--- A batch a line: y0 [20, 2], then y [20, 10, 2].
local function lines_of(batches)
  local lines = {}
  for i, batch in ipairs(batches) do
    local line = {}
    for _, x in ipairs { batch.y0, batch.y } do
      local flat = core.view(x, 0, { x.count })
      for k = 1, x.count do line[#line + 1] = flat[k] end
    end
    lines[i] = line
  end
  return lines
end

local function run(b)
  local data = cs.dataset "cubic_spiral" { points = 1000, t1 = 25 }
  local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1, name = "spiral" }
  local batches = draw(data)
  b:input("weights", net.flat)
  b:input("times", batches[1].t)
  b:input("batches", lines_of(batches))
  for _, gradient in ipairs { "discrete", "backsolve" } do
    local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "dopri5", rtol = 1e-7, atol = 1e-9,
      gradient = gradient }
    local start = net.flat:clone()
    b:measure(b:training { parameters = net, optimizer = cs.optim.rmsprop { lr = 1e-3 }, steps = STEPS,
      batch = function(_, state) return batches[state.step] end,
      loss = function(batch) return cs.loss.mae(flow(batch.y0, batch.t), batch.y) end }, { gradient = gradient })
    net.flat:copy(start)
  end
end

return { help = "training on the cubic spiral: 20 windows of 10 points, MLP 2-50-2, dopri5 1e-7/1e-9", run = run }
