-- SPDX-License-Identifier: GPL-3.0-or-later
-- Lagrange multipliers: what a constraint costs.
--
-- The least of J = x^2 + y^2 where x + y = 1 is a stationary point of L = J + lambda (x + y - 1): there the gradients
-- of J and of the constraint are parallel. The multiplier is the price of the constraint: relaxed to x + y = 1 + eps,
-- the optimum moves by dJ*/d eps = -lambda. The adjoint of a differential equation is this multiplier, one for every
-- instant. Here: the linear case by one system of equations, then a nonlinear one by the implicit function theorem.
--
--   costate run examples/lagrange.lua --out runs/lagrange
local cs = require "costate"

-- ---- min x^2 + y^2 where x + y = 1 + eps ----------------------------------------------------------------

--- z = (x, y, lambda)
local function L(z, eps)
  local x, y, lambda = z:columns()
  return x ^ 2 + y ^ 2 + lambda * (x + y - 1 - eps)
end

--- Where the gradient of L vanishes. L is quadratic, so that is a linear system: its matrix is the Hessian of L.
local function optimum(eps)
  local gradient = cs.grad(function(z) return L(z, eps) end)
  local zero = cs.zeros(3)
  return cs.linalg.solve(cs.jacobian(gradient)(zero), -gradient(zero))
end

local x, y, lambda = optimum(0):columns()
x, y, lambda = x:item(), y:item(), lambda:item()
local best = x ^ 2 + y ^ 2
local grad_J, grad_g = { 2 * x, 2 * y }, { 1, 1 }
print(("min x^2 + y^2 where x + y = 1:      x = %.6f, y = %.6f, lambda = %.6f, J* = %.6f"):format(x, y, lambda, best))
print(("gradients there are parallel:       grad J = (%.6f, %.6f) = -lambda grad g = (%.6f, %.6f)"):format(grad_J[1],
  grad_J[2], -lambda * grad_g[1], -lambda * grad_g[2]))

print("\n       eps        J*(eps)   J* - lambda eps          error    error / eps^2")
local function relaxed(eps)
  local px, py = optimum(eps):columns()
  return px ^ 2 + py ^ 2
end
for _, eps in ipairs { 0.5, 0.1, 0.01, 0.001 } do
  local exact, predicted = relaxed(eps):item(), best - lambda * eps
  print(("%10g %14.9f %17.9f %14.3e %16.6f"):format(eps, exact, predicted, exact - predicted, (exact - predicted) / eps ^ 2))
end
local slope = cs.grad(relaxed)(cs.tensor(0)):item() -- through the linear solve
print(("dJ*/d eps by cs.grad through the system: %.15f, -lambda = %.15f"):format(slope, -lambda))

-- ---- min e^x - 2 y where x^2 + 2 y^2 = s -------------------------------------------------------------------

-- Stationary points of e^x - 2 y + mu (x^2 + 2 y^2 - s): three equations for (x, y, mu), solved by Newton's method and
-- differentiated by the implicit function theorem.
local kkt = cs.implicit { constraint = function(z, s)
  local a, b, mu = z:columns()
  return cs.stack { cs.exp(a) + 2 * mu * a, 4 * mu * b - 2, a ^ 2 + 2 * b ^ 2 - s }
end }
local start = cs.tensor { -0.5, 0.5, 0.5 }
local function cost(s)
  local a, b = kkt(start, s):columns()
  return cs.exp(a) - 2 * b
end

local s, h = 1.5, 1e-4
local _, _, mu = kkt(start, s):columns()
local by_theorem = cs.grad(cost)(cs.tensor(s)):item()
local by_differences = (cost(s + h):item() - cost(s - h):item()) / (2 * h)
local curvature = cs.hvp(cost)(cs.tensor(s), cs.tensor(1)):item()
local bend = (cs.grad(cost)(cs.tensor(s + h)):item() - cs.grad(cost)(cs.tensor(s - h)):item()) / (2 * h)
print(("\nmin e^x - 2 y where x^2 + 2 y^2 = %g:  J* = %.9f"):format(s, cost(s):item()))
print(("dJ*/ds    -multiplier             %.12f"):format(-mu:item()))
print(("          implicit function       %.12f"):format(by_theorem))
print(("          optima solved again     %.12f   (differences, h = %g)"):format(by_differences, h))
print(("d2J*/ds2  reverse over forward    %.9f\n          differences of dJ*/ds   %.9f"):format(curvature, bend))

cs.result { lambda = lambda, optimum = best, slope_error = math.abs(slope + lambda),
  multiplier_difference = math.abs(by_theorem + mu:item()), difference = math.abs(by_theorem - by_differences),
  second_difference = math.abs(curvature - bend) }

-- ---- pictures ------------------------------------------------------------------------------------------------

local function circle(value)
  local angle = cs.linspace(0, 2 * math.pi, 181)
  return { x = math.sqrt(value) * cs.cos(angle), y = math.sqrt(value) * cs.sin(angle) }
end

--- A shaft and a head. Gradients are drawn at 0.4 of their length, which the key says.
local function arrow(from, along, name, colour)
  local tip = { from[1] + along[1], from[2] + along[2] }
  local function back(turn) -- a point behind the tip, to one side
    return { tip[1] - 0.16 * along[1] - turn * 0.08 * along[2], tip[2] - 0.16 * along[2] + turn * 0.08 * along[1] }
  end
  local line = { from, tip, back(1), tip, back(-1) }
  local out = { x = {}, y = {}, name = name, colour = colour }
  for i, p in ipairs(line) do out.x[i], out.y[i] = p[1], p[2] end
  return out
end

local series = {}
for _, value in ipairs { 0.125, 0.25, 1, 1.5, 2 } do
  local c = circle(value)
  series[#series + 1] = { x = c.x, y = c.y, colour = "#bbbbbb", name = value == 2 and "levels of J = x² + y²" or nil }
end
local touching = circle(best)
for _, one in ipairs {
  { x = touching.x, y = touching.y, colour = "#0072B2", name = "level J* = 1/2" },
  { x = { -0.5, 1.5 }, y = { 1.5, -0.5 }, colour = "#000000", name = "x + y = 1" },
  arrow({ x, y }, { 0.4 * grad_J[1], 0.4 * grad_J[2] }, "0.4 grad J", "#D55E00"),
  arrow({ x, y }, { 0.4 * lambda * grad_g[1], 0.4 * lambda * grad_g[2] }, "0.4 λ grad (x + y - 1)",
    "#009E73"),
  { x = { x }, y = { y }, style = "points", colour = "#000000", name = "optimum" },
} do series[#series + 1] = one end
cs.plot.lines { file = "lagrange.svg", equal = true, xrange = { -0.6, 1.6 }, yrange = { -0.6, 1.6 }, xlabel = "x",
  ylabel = "y", key = "outside right top Left reverse", series = series }

local eps, values = cs.linspace(-0.6, 0.6, 61), {}
for i = 1, eps.count do values[i] = relaxed(eps[i]):item() end
cs.plot.lines { file = "lagrange_price.svg", xlabel = "eps, of x + y = 1 + eps", ylabel = "least x² + y²",
  key = "left top Left reverse", series = {
    { x = eps, y = values, name = "optimum solved again", colour = "#0072B2" },
    { x = eps, y = best - lambda * eps, name = "predicted, J* - λ eps", style = "dashes", colour = "#D55E00" },
  } }
