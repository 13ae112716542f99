-- SPDX-License-Identifier: GPL-3.0-or-later
-- A ball that bounces: gravity and restitution learned from noisy heights, through the bounces.
--
-- The height falls through zero at a time that depends on everything before it, and there the velocity turns,
-- v+ = -e v-. The gradient goes through the time of each bounce: it is compared with finite differences first, and
-- then used. The start is far enough off that the model bounces at quite other times than the ball.
--
--   costate run examples/bouncing_ball.lua --out runs/bouncing_ball
local cs = require "costate"

local opt = cs.options { steps = 600, points = 60, noise = 0.02, lr = 0.02 }

local truth = { g = 9.81, e = 0.85 }
local drop = cs.tensor { 1.5, 0 }      -- height and velocity at time 0
local times = cs.linspace(0, 3, opt.points)

local function ball(p)
  return cs.ode { solver = "dopri5", rtol = 1e-8, atol = 1e-10,
    field = function(_, s)
      local _, velocity = s:columns()
      return cs.stack { velocity, 0 * velocity - p.g }
    end,
    events = { {
      when = function(_, s) return s:column(1) end, direction = "falling", most = 16,
      reset = function(_, s) return cs.stack { 0 * s:column(1), -p.e * s:column(2) } end,
    } } }
end

local exact, bounces = ball(truth)(drop, times)
local seen = exact:column(1) + opt.noise * cs.rng(0, "noise"):normal { opt.points }

local p = cs.parameters { g = 7, e = 0.7, positive = true }
local flow = ball(p)

-- ---- the gradient, checked ------------------------------------------------------------------------------

local function misfit(q) return cs.loss.mse(ball(q)(drop, times):column(1), seen) end

local at = { g = 9, e = 0.8 }
local gradient = cs.grad(function(g, e) return misfit { g = g, e = e } end)
local by_adjoint = { gradient(cs.tensor(at.g), cs.tensor(at.e)) }
local worst = 0
for i, name in ipairs { "g", "e" } do
  local h, sides = 1e-5, {}
  for k, side in ipairs { 1, -1 } do
    local q = { g = cs.tensor(at.g), e = cs.tensor(at.e) }
    q[name] = q[name] + side * h
    sides[k] = misfit(q):item()
  end
  local by_difference = (sides[1] - sides[2]) / (2 * h)
  local off = math.abs(by_adjoint[i]:item() / by_difference - 1)
  worst = math.max(worst, off)
  print(("d misfit / d %s = %.8f, by finite differences %.8f (relative difference %.1e)"):format(name,
    by_adjoint[i]:item(), by_difference, off))
end

-- ---- learning ---------------------------------------------------------------------------------------------

-- Heights up to a horizon that grows: bounces that are not yet in order would pull the wrong way.
local function loss(_, run)
  local horizon = 0.6 + 2.4 * cs.minimum(1, 1.5 * run.step / opt.steps)
  local near = cs.le(times, horizon)
  local v = flow(drop, times):column(1)
  return (near * (v - seen) ^ 2):sum() / near:sum()
end

cs.train { parameters = p, optimizer = cs.optim.adam { lr = opt.lr }, steps = opt.steps, loss = loss,
  schedule = cs.schedule.cosine { steps = opt.steps, final = 0.05 } }

local g, e = p.g:item(), p.e:item()
local learned, found = flow(drop, times)
print(("gravity %.3f (%.2f), restitution %.4f (%.2f), %d bounces"):format(g, truth.g, e, truth.e, found.count:item()))
cs.result { gravity = g, restitution = e, gravity_error = math.abs(g - truth.g), restitution_error = math.abs(e - truth.e),
  bounces = found.count:item(), bounces_true = bounces.count:item(), gradient_difference = worst,
  misfit = cs.loss.mse(learned:column(1), seen):item() }

local fine = cs.linspace(0, 3, 601)
cs.plot.lines { file = "bouncing_ball.svg", xlabel = "time in s", ylabel = "height in m", series = {
  { x = fine, y = ball { g = 7, e = 0.7 }(drop, fine):column(1), name = "before", colour = "#999999" },
  { x = fine, y = flow(drop, fine):column(1), name = "learned", colour = "#D55E00" },
  { x = times, y = seen, name = "seen", style = "points", colour = "#000000" },
} }
