-- SPDX-License-Identifier: GPL-3.0-or-later
-- Trains with the solver and the loss of mine.c.
local cs = require "costate"
local data = cs.dataset "cubic_spiral" { points = 200, t1 = 5 }
local net = cs.nn.mlp { 2, 20, 2, activation = "tanh" }
local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "mine.heun3", step = 0.01 }
local pinball = cs.loss["mine.pinball"]
local first
local trained = cs.train {
  parameters = net, optimizer = cs.optim.adam { lr = 1e-2 }, steps = 200,
  batch = function(rng) return data:windows(rng, 10, 5) end,
  loss = function(b) return pinball(flow(b.y0, b.t), b.y, { q = 0.4 }) end,
  every = { [1] = function(run) first = first or run.loss end },
}
print(trained.status, first, trained.loss)
assert(trained.status == "ok" and trained.loss < 0.5 * first)
