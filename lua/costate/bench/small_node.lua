-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"
local core = require "costate.core"

--- Every weight and bias uniform within 1 / sqrt(inputs), as PyTorch starts a linear layer.
local function start_like_linear(net, rng)
  for _, p in ipairs(net.list) do
    local inputs = p.name:match("^0") and 4 or 32
    local u = rng:uniform(p.tensor.shape)
    p.tensor:copy((u * 2 - 1) / math.sqrt(inputs))
  end
end

local function run(b)
  local rng = core.rng(core.seed(), "small_node")
  local net = cs.nn.mlp { 4, 32, 4, activation = "softplus", final = "tanh", name = "small" }
  start_like_linear(net, rng)
  local y0 = cs.rows(rng:normal { 64, 4 })
  b:input("weights", net.flat)
  b:input("y0", y0)
  local flow = cs.ode { field = net, solver = "dopri5", rtol = 1e-6, atol = 1e-6, gradient = "discrete" }
  for _, outputs in ipairs { 2, 100 } do
    local t = cs.linspace(0, 100, outputs)
    for _, gradient in ipairs { "none", "discrete" } do
      local it = b:iteration(function() return flow(y0, t):mean() end, gradient ~= "none" and { net } or nil)
      b:measure(it, { gradient = gradient, variant = outputs .. " outputs" })
    end
  end
end

return { help = "MLP 4-32-4 softplus, tanh; batch 64, t to 100, dopri5 1e-6; forward and with gradient", run = run }
