-- SPDX-License-Identifier: GPL-3.0-or-later
-- A neural ODE learns a cubic spiral, dy/dt = A (y1^3, y2^3), from short windows of one trajectory.
--
--   costate run examples/spiral.lua --out runs/spiral                  the settings of torchdiffeq's ode_demo
--   costate run examples/spiral.lua --recipe full --out runs/full      a field that follows the whole curve
--   costate run examples/spiral.lua --gradient backsolve               the same by the continuous adjoint
--
-- Figures: phase.svg and time.svg. Headline figure: trajectory_mae, the mean absolute error over the
-- 1000 points of t in [0, 25] when the learned field is followed from y(0) alone.
local cs = require "costate"

local opt = cs.options {
  recipe = "demo", -- "demo" or "full"
  steps = 0,       -- 0: as many as the recipe says
  gradient = "discrete",
  batch = 20,
  horizon = 10,    -- points in a window
}

-- The demo's constant rate keeps the field jumping about the solution. Squared errors, Adam and a
-- cosine from a high rate down to almost nothing bring it to rest on it; the looser tolerance costs
-- nothing there and halves the evaluations.
local recipes = {
  demo = { steps = 2000, lr = 1e-3, optimizer = "rmsprop", loss = "mae", rtol = 1e-7, atol = 1e-9 },
  full = { steps = 40000, lr = 2e-2, optimizer = "adam", loss = "mse", rtol = 1e-5, atol = 1e-7, final = 5e-4 },
}
local r = recipes[opt.recipe] or error("--recipe is 'demo' or 'full'", 0)
local steps = opt.steps > 0 and opt.steps or r.steps

local data = cs.dataset "cubic_spiral" { points = 1000, t1 = 25 }
local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1 }
local function field(t, y) return net(y ^ 3) end
local flow = cs.ode { field = field, solver = "dopri5", rtol = r.rtol, atol = r.atol, gradient = opt.gradient }

local trained = cs.train {
  parameters = net,
  optimizer = cs.optim[r.optimizer] { lr = r.lr },
  schedule = r.final and cs.schedule.cosine { steps = steps, final = r.final },
  steps = steps,
  batch = function(rng) return data:windows(rng, opt.batch, opt.horizon) end,
  loss = function(b) return cs.loss[r.loss](flow(b.y0, b.t), b.y) end,
}

-- Follow the learned field from the first point over all 25 time units.
local whole = flow:solve(data.y[1], data.t)
if whole.status ~= "ok" then print(whole.message) end
local mae = whole.status == "ok" and cs.mean(cs.abs(whole.values - data.y)):item() or math.huge
cs.result { trajectory_mae = mae, loss = trained.loss, steps = trained.steps, seconds = trained.seconds }
print(("trajectory_mae %.4f after %d steps in %.1f s"):format(mae, trained.steps, trained.seconds))

if whole.status == "ok" then
  local truth, learned = data.y, whole.values
  cs.plot.lines { file = "phase.svg", xlabel = "y_1", ylabel = "y_2", equal = true, width = 640,
    series = {
      { x = truth:column(1), y = truth:column(2), name = "truth", style = "points", colour = "#999999" },
      { x = learned:column(1), y = learned:column(2), name = "learned field", colour = "#D55E00" },
    } }
  cs.plot.lines { file = "time.svg", xlabel = "t", ylabel = "y",
    series = {
      { x = data.t, y = truth:column(1), name = "y_1, truth", style = "points", colour = "#bbbbbb" },
      { x = data.t, y = truth:column(2), name = "y_2, truth", style = "points", colour = "#777777" },
      { x = data.t, y = learned:column(1), name = "y_1, learned", colour = "#D55E00" },
      { x = data.t, y = learned:column(2), name = "y_2, learned", colour = "#0072B2" },
    } }
end
