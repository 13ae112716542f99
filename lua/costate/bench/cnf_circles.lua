-- SPDX-License-Identifier: GPL-3.0-or-later
-- Training steps of torchdiffeq's example of a continuous normalizing flow, on two noisy circles: a network of time
-- makes the weights of z -> mean over 64 of U tanh(W z + B), U gated; exact trace; t from 10 to 0.
local cs = require "costate"
local core = require "costate.core"

local STEPS <const>, POINTS <const>, WIDTH <const> = 20, 512, 64

--- Two circles of radii 1 and 0.5, both times 1, with noise 0.06: half of the points each.
local function circles(rng)
  local angle = rng:uniform { POINTS, 1 } * (2 * math.pi)
  local radius = 1 - 0.5 * core.lt(rng:uniform { POINTS, 1 }, 0.5)
  local point = core.concat({ core.cos(angle), core.sin(angle) }, 2) * radius
  return cs.rows(core.convert(point + 0.06 * rng:normal { POINTS, 2 }, core.dtype()))
end

local function field_of(hyper)
  local function part(p, first, shape)
    return core.reshape(core.slice(p, 1, first, first + shape[1] * (shape[2] or 1) - 1), shape)
  end
  return function(t, z)
    local p = hyper(core.cast(core.reshape(t, { 1 }), core.dtype()))
    local n = 2 * WIDTH
    local w, u, gate = part(p, 1, { WIDTH, 2 }), part(p, n + 1, { WIDTH, 2 }), part(p, 2 * n + 1, { WIDTH, 2 })
    local h = core.tanh(core.matmul(z, core.transpose(w)) + part(p, 3 * n + 1, { WIDTH }))
    return core.matmul(h, u * core.sigmoid(gate)) / WIDTH
  end
end

local function run(b)
  local rng, batches, lines = core.rng(core.seed(), "cnf_circles"), {}, {}
  for i = 1, STEPS do
    batches[i] = circles(rng)
    for _, point in ipairs(batches[i]:totable()) do lines[#lines + 1] = point end
  end
  local hyper = cs.nn.mlp { 1, 32, 32, 7 * WIDTH, activation = "tanh", init = "fan_in_uniform", name = "cnf_circles" }
  b:input("weights", hyper.flat)
  b:input("points", lines)
  local start = hyper.flat:clone()
  for _, gradient in ipairs { "discrete", "backsolve" } do
    hyper.flat:copy(start)
    local m = cs.model "cnf.flow" { field = field_of(hyper), dim = 2, span = { 10, 0 }, base = { "normal", std = math.sqrt(0.1) },
      solver = { solver = "dopri5", rtol = 1e-5, atol = 1e-5, gradient = gradient } }
    b:measure(b:training { parameters = hyper, optimizer = cs.optim.adam { lr = 1e-3 }, steps = STEPS,
      batch = function(_, state) return batches[state.step] end,
      loss = function(x) return (m:loss(x)) end }, { gradient = gradient })
  end
  hyper.flat:copy(start)
end

return { help = "training on two circles: 512 points, weights by a network of time 1-32-32, width 64, t 10 to 0", run = run }
