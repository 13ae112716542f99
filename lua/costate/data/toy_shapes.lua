-- SPDX-License-Identifier: GPL-3.0-or-later
-- The two-dimensional toy densities, with the scales of the FFJORD reference (Grathwohl et al. 2019), in part those
-- of scikit-learn, so that log-likelihoods compare. Points are independent: where the reference puts them at equal
-- distances along a curve, they are uniform on it.
--
-- Most are curves with noise: a component k = 0 .. K - 1, all equally likely, a place s in (0, 1) on its curve and
-- normal noise of deviation sigma,
--
--   x = curve(k, s) + spread sign u + sigma n,  s = sqrt(uniform) where `outward`, else uniform,  u uniform on the square
--
-- `knots` is how many quadrature panels follow the curve; `closed` curves take equal steps instead. `box` holds nearly
-- all points on both axes. `entropy` in nats is from tests/data/toy2d.lua but for checkerboard's, which is log 32.
local core = require "costate.core"
local cos, sin, floor, minimum = core.cos, core.sin, core.floor, core.minimum

local PI <const> = math.pi

--- Components 0 .. count - 1, equally likely. A uniform number of f32 may be rounded to 1.
local function component(rng, n, count)
  return minimum(floor(core.rows(rng:uniform(n)) * count), count - 1)
end

local function ring(radius, step)
  return function(k, s)
    local r, a = radius - step * k, 2 * PI * s
    return r * cos(a), r * sin(a)
  end
end

local list = {}

-- Centres at radius 4, noise 0.5, all divided by 1.414 (not by the root of 2).
list["8gaussians"] = { components = 8, sigma = 0.5 / 1.414, knots = 0, box = { -4, 4 }, entropy = 2.831880,
  help = "eight normal distributions on a circle, counted from the right, counter-clockwise",
  curve = function(k)
    local a = PI / 4 * k
    return 4 / 1.414 * cos(a), 4 / 1.414 * sin(a)
  end }

list.circles = { components = 2, sigma = 0.24, closed = true, knots = 120, box = { -4, 4 }, entropy = 3.268136,
  help = "two circles, the outer one first", curve = ring(3, 1.5) }

list.rings = { components = 4, sigma = 0.08, closed = true, knots = 340, box = { -3.5, 3.5 }, entropy = 2.623183,
  help = "four thin rings, the outer one first", curve = ring(3, 0.75) }

list.moons = { components = 2, sigma = 0.2, knots = 10, box = { -4, 4 }, entropy = 2.393879,
  help = "two half circles, the upper one first",
  curve = function(k, s)
    local sign, a = 1 - 2 * k, PI * s
    return 2 * (k + sign * cos(a)) - 1, 2 * (0.5 * k + sign * sin(a)) - 0.2
  end }

list["2spirals"] = { components = 2, sigma = 0.1, outward = true, spread = 1 / 6, knots = 45, box = { -4, 4 }, entropy = 2.645450,
  help = "two spirals of one and a half turns, one the other's image in the origin",
  curve = function(k, s)
    local sign, a = 1 - 2 * k, 3 * PI * s
    return -sign * a / 3 * cos(a), sign * a / 3 * sin(a)
  end }

list.swissroll = { components = 1, sigma = 0.2, knots = 40, box = { -4, 4 }, entropy = 2.669646, help = "one spiral",
  curve = function(_, s)
    local a = 1.5 * PI * (1 + 2 * s)
    return 0.2 * a * cos(a), 0.2 * a * sin(a)
  end }

-- Normal numbers (1 + 0.3 n, 0.1 n'), turned by the angle of their arm and the more the farther out.
list.pinwheel = { components = 5, box = { -4, 4 }, entropy = 2.317788, help = "five arms that bend",
  draw = function(rng, n)
    local k, z = component(rng, n, 5), core.rows(rng:normal(n, 2))
    local along, across = 1 + 0.3 * z:column(1), 0.1 * z:column(2)
    local a = 2 * PI / 5 * k + 0.25 * core.exp(along)
    return 2 * (along * cos(a) + across * sin(a)), 2 * (across * cos(a) - along * sin(a)), k
  end }

list.checkerboard = { components = 1, box = { -4, 4 }, entropy = math.log(32), help = "uniform on eight of sixteen squares",
  draw = function(rng, n)
    local u = minimum(core.rows(rng:uniform(n, 3)), 1 - 2 ^ -22) -- no point is rounded to the next square
    local x = 4 * u:column(1) - 2
    local odd = floor(x) - 2 * floor(0.5 * floor(x))
    return 2 * x, 2 * (u:column(2) - 2 * floor(2 * u:column(3)) + odd)
  end,
  log_density = function(x)
    local squares = floor(0.5 * x:column(1)) + floor(0.5 * x:column(2))
    local even = core.eq(squares, 2 * floor(0.5 * squares))
    local inside = core.lt(core.maximum(core.abs(x:column(1)), core.abs(x:column(2))), 4)
    return core.where(even * inside, -math.log(32), -math.huge)
  end }

local M = { list = list }

--- Points of a curve with noise: coordinates and component.
local function draw_curve(shape, rng, n)
  local k = component(rng, n, shape.components)
  local s = core.rows(rng:uniform(n))
  local x, y = shape.curve(k, shape.outward and core.sqrt(s) or s)
  if shape.spread then
    local u, sign = core.rows(rng:uniform(n, 2)), 1 - 2 * k
    x, y = x + shape.spread * sign * u:column(1), y + shape.spread * sign * u:column(2)
  end
  local noise = core.rows(rng:normal(n, 2))
  return x + shape.sigma * noise:column(1), y + shape.sigma * noise:column(2), k
end

--- x [n], y [n] and component [n] of n new points.
function M.draw(shape, rng, n)
  return (shape.draw or function(...) return draw_curve(shape, ...) end)(rng, n)
end

return M
