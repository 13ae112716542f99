-- SPDX-License-Identifier: GPL-3.0-or-later
-- Training steps of a latent ODE with an ODE-RNN encoder on the toy set of Rubanova, Chen, Duvenaud (2019), fifty of
-- a hundred times seen: the settings of their program. An epoch is sixteen of these steps, `seconds_per_epoch`.
local cs = require "costate"

local STEPS <const> = 16

local function run(b)
  local data = cs.dataset "periodic" { series = 800, points = 100 }
  local m = cs.model "latent_ode.model" { channels = data.channels, latent = 10, layers = 2, encoder_layers = 2, hidden = 20,
    units = 100, gru_units = 100, noise = 0.01, origin = 0, name = "latent_periodic" }
  local it = b:training { parameters = m, optimizer = cs.optim.adamax { lr = 1e-2 }, steps = STEPS, clip = 10,
    batch = data:task { kind = "interpolation", count = 50 }:batches { size = 50, shuffle = true },
    loss = function(batch) return m:loss(batch, { samples = 3, kl = 0.5 }) end }
  b:measure(it, { gradient = "discrete", seconds_per_epoch = function(row) return STEPS * row.median_ms / 1e3 end })
end

return { help = "a latent ODE on 800 sines of 100 irregular times, batches of 50, 3 samples: steps of training", run = run }
