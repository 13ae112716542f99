-- SPDX-License-Identifier: GPL-3.0-or-later
-- The first training steps of torchdiffeq's latent_ode.py (Chen, Rubanova, Bettencourt, Duvenaud 2018, section 5.1), in
-- its settings: all spirals in one batch, z0 = mean + exp(logvar / 2) eps, minus the bound as loss. Its networks are
-- written out here, since those of the model latent_ode are told masks and gaps as well. eps is drawn once, so that
-- all programs do the same work.
local cs = require "costate"
local core = require "costate.core"

local STEPS <const> = 20
local SERIES <const>, POINTS <const>, LATENT <const>, HIDDEN <const>, UNITS <const> = 1000, 100, 4, 25, 20
local NOISE <const> = 0.3

--- The networks, in the order in which their weights are written; they start as PyTorch's linear layers do.
local function networks()
  return {
    cs.nn.mlp { 2 + HIDDEN, HIDDEN, final = "tanh", init = "fan_in_uniform", name = "spiral/cell" },
    cs.nn.mlp { HIDDEN, 2 * LATENT, init = "fan_in_uniform", name = "spiral/head" },
    cs.nn.mlp { LATENT, UNITS, UNITS, LATENT, activation = "elu", init = "fan_in_uniform", name = "spiral/field" },
    cs.nn.mlp { LATENT, UNITS, 2, activation = "relu", init = "fan_in_uniform", name = "spiral/decoder" },
  }
end

local function weights_of(list)
  local out = {}
  for _, net in ipairs(list) do table.move(net.flat:totable(), 1, net.flat.count, #out + 1, out) end
  return out
end

--- Mean and standard deviation of q(z0 | y), from the last point back to the first.
local function encode(cell, head, y)
  local first = core.reshape(core.slice(core.slice(y, 2, 1, 1), 3, 1, 1), { y.shape[1], 1 })
  local h0 = core.zeros_like(first) + core.zeros(HIDDEN)
  local out = head((cs.scan(function(h, x) return cell(core.concat { x, h }) end, h0, y, { reverse = true })))
  return core.slice(out, 2, 1, LATENT), core.exp(0.5 * core.slice(out, 2, LATENT + 1, 2 * LATENT))
end

local function loss_of(list, flow, t)
  local cell, head, _, decoder = table.unpack(list)
  return function(b)
    local mean, std = encode(cell, head, b.y)
    local y = decoder(flow(mean + std * b.eps, t))
    local seen = cs.loss.gaussian_log_likelihood(y, NOISE, b.y)
    return (cs.loss.kl_standard_normal(mean, std) - seen):mean()
  end
end

local function run(b)
  local rng = core.rng(core.seed(), "latent_spiral")
  local data = cs.dataset "spirals2d" { series = SERIES, points = POINTS, noise = NOISE }
  local list, eps = networks(), cs.rows(rng:normal { SERIES, LATENT })
  local y = cs.rows(core.cast(data.y, core.dtype()))
  b:input("weights", weights_of(list))
  b:input("times", data.shared_times)
  b:input("series", core.view(y, 0, { SERIES, POINTS * 2 }))
  b:input("eps", eps)
  b:input("steps", { STEPS })
  local flow = cs.ode { field = list[3], solver = "dopri5", rtol = 1e-7, atol = 1e-9, gradient = "discrete" }
  b:measure(b:training { parameters = list, optimizer = cs.optim.adam { lr = 1e-2 }, steps = STEPS,
    batch = function() return { y = y, eps = eps } end, loss = loss_of(list, flow, data.shared_times) },
    { gradient = "discrete" })
end

return { help = "training a latent ODE on 1000 spirals of 100 points in one batch, dopri5 1e-7/1e-9", run = run }
