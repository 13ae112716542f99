-- SPDX-License-Identifier: GPL-3.0-or-later
-- From nothing to the first training step of the workload `spiral`: what `compare startup` times.
local cs = require "costate"

local data = cs.dataset "cubic_spiral" { points = 1000, t1 = 25 }
local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1, name = "spiral" }
local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "dopri5", rtol = 1e-7, atol = 1e-9 }

cs.train { parameters = net, optimizer = cs.optim.rmsprop { lr = 1e-3 }, steps = 1,
  batch = function(rng) return data:windows(rng, 20, 10) end,
  loss = function(batch) return cs.loss.mae(flow(batch.y0, batch.t), batch.y) end }
