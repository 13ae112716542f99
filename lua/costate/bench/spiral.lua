-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"
local core = require "costate.core"

local STEPS <const> = 60

--- The first training steps' batches as text, one a line: y0 [20, 2], then y [20, 10, 2].
local function keep_batches(b, data)
  local rng, lines = core.rng(core.seed(), "train/batch"), {}
  for i = 1, STEPS do
    local batch, line = data:windows(rng, 20, 10), {}
    for _, x in ipairs { batch.y0, batch.y } do
      local flat = core.view(x, 0, { x.count })
      for k = 1, x.count do line[#line + 1] = flat[k] end
    end
    lines[i] = line
    if i == 1 then b:input("times", batch.t) end
  end
  b:input("batches", lines)
end

local function run(b)
  local data = cs.dataset "cubic_spiral" { points = 1000, t1 = 25 }
  local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1, name = "spiral" }
  b:input("weights", net.flat)
  if b.inputs then keep_batches(b, data) end
  for _, gradient in ipairs { "discrete", "backsolve" } do
    local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "dopri5", rtol = 1e-7, atol = 1e-9,
      gradient = gradient }
    local start = net.flat:clone()
    b:measure(b:training { parameters = net, optimizer = cs.optim.rmsprop { lr = 1e-3 }, steps = STEPS,
      batch = function(rng) return data:windows(rng, 20, 10) end,
      loss = function(batch) return cs.loss.mae(flow(batch.y0, batch.t), batch.y) end }, { gradient = gradient })
    net.flat:copy(start)
  end
end

return { help = "training on the cubic spiral: 20 windows of 10 points, MLP 2-50-2, dopri5 1e-7/1e-9", run = run }
