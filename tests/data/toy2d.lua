-- SPDX-License-Identifier: GPL-3.0-or-later
-- Entropies of the toy densities, - int p log p, in nats: costate run tests/data/toy2d.lua (four minutes).
--
-- The rule is the midpoint rule with step sigma / 4, which converges faster than any power for what is smooth and
-- vanishes at the rim. Beside each entropy: int p - 1, and the change when the step is halved.
--
-- A pinwheel's arm maps normal numbers (s, z) to rho (cos b, sin b) with rho = 2 |(s, z)|, b = arg(s, z) - arm - e^s / 4.
-- So at (rho, b) s is a root of s = rho / 2 cos(b + arm + e^s / 4), z = rho / 2 sin(..), and the density of a root is
-- that of (s, z) over the determinant 4 |1 + z e^s / 4|.
local cs = require "costate"

local function plogp(p) return p > 0 and p * math.log(p) or 0 end

--- int p and - int p log p of a data set with a log density, over the square of half length L.
local function by_grid(data, L, h)
  local n = math.ceil(2 * L / h)
  h = 2 * L / n
  local mass, entropy = 0, 0
  local x = h * (cs.rows(cs.iota(n)) + 0.5) - L
  for i = 1, n do
    local log_p = data:log_density(cs.stack { x, 0 * x + (h * (i - 0.5) - L) })
    local p = cs.exp(log_p)
    mass = mass + p:sum():item()
    entropy = entropy - (p * cs.maximum(log_p, -700)):sum():item()
  end
  return mass * h * h, entropy * h * h
end

local function normal(s, z)
  return math.exp(-0.5 * ((s - 1) / 0.3) ^ 2 - 0.5 * (z / 0.1) ^ 2) / (2 * math.pi * 0.03)
end

--- The root of f between a and b, whose values have different signs.
local function bisect(f, a, b)
  local fa = f(a)
  for _ = 1, 45 do
    local c = 0.5 * (a + b)
    local fc = f(c)
    if (fc > 0) == (fa > 0) then a, fa = c, fc else b = c end
  end
  return 0.5 * (a + b)
end

local S, LOW <const> = {}, -1.1
for i = 0, 220 do S[i] = LOW + 0.02 * i end

local function pinwheel_density(x, y)
  local half, b, p = 0.5 * math.sqrt(x * x + y * y), math.atan(y, x), 0
  for arm = 0, 4 do
    local function angle(s) return b + arm * 2 * math.pi / 5 + 0.25 * math.exp(s) end
    local function f(s) return s - half * math.cos(angle(s)) end
    local before = f(S[0])
    for i = 1, 220 do
      local now = f(S[i])
      if (now > 0) ~= (before > 0) then
        local s = bisect(f, S[i - 1], S[i])
        local z = half * math.sin(angle(s))
        p = p + normal(s, z) / (20 * math.abs(1 + 0.25 * math.exp(s) * z))
      end
      before = now
    end
  end
  return p
end

local function pinwheel(h)
  local mass, entropy, n = 0, 0, math.ceil(5.2 / h)
  for i = -n, n do
    for j = -n, n do
      local p = pinwheel_density(h * i, h * j)
      mass, entropy = mass + p, entropy - plogp(p)
    end
  end
  return mass * h * h, entropy * h * h
end

local function report(kind, integrate, h)
  local _, coarse = integrate(h)
  local mass, entropy = integrate(h / 2)
  print(("%-12s %.6f   int p - 1 %8.1e   change %8.1e"):format(kind, entropy, mass - 1, entropy - coarse))
end

for kind, sigma in pairs { ["8gaussians"] = 0.35, circles = 0.24, rings = 0.08, moons = 0.2, ["2spirals"] = 0.1, swissroll = 0.2 } do
  local data = cs.dataset "toy2d" { kind = kind }
  report(kind, function(h) return by_grid(data, 5.5, h) end, sigma / 4)
end
report("pinwheel", pinwheel, 0.04)
