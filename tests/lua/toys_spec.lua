-- SPDX-License-Identifier: GPL-3.0-or-later
-- The toy densities in the plane: moments against their definitions, densities against draws. Bounds are standard errors
-- of the samples themselves; seeds are fixed.
local cs = require "costate"

local kinds = { "8gaussians", "checkerboard", "moons", "2spirals", "pinwheel", "circles", "swissroll", "rings" }
local N <const>, ERRORS <const> = 40000, 4.5
local PI <const> = math.pi

local function toy(kind) return cs.dataset "toy2d" { kind = kind } end

--- The mean of a sample [n] lies within a few standard errors of what it should be.
local function expect(what, x, wanted)
  local mean = x:mean():item()
  local error_ = math.sqrt(((x - mean) ^ 2):mean():item() / x.count)
  assert(math.abs(mean - wanted) <= ERRORS * error_ + 1e-12,
    ("%s: %.6f is not %.6f +- %.6f"):format(what, mean, wanted, error_))
end

--- Moments { E x, E y, E x^2, E y^2, E xy } of points on a curve f(u), u uniform, with independent noise of a variance.
local function along(f, variance)
  local m, n = { 0, 0, 0, 0, 0 }, 20000
  for i = 1, n do
    local x, y = f((i - 0.5) / n)
    for k, z in ipairs { x, y, x * x + variance, y * y + variance, x * y } do m[k] = m[k] + z / n end
  end
  return m
end

local function isotropic(second) return { 0, 0, second, second, 0 } end

-- By hand from the definitions.
local moments = {
  ["8gaussians"] = isotropic((16 / 2 + 0.25) / 1.414 ^ 2),
  checkerboard = { 0, 0, 16 / 3, 16 / 3, 1 },
  circles = isotropic((9 + 2.25) / 4 + 0.24 ^ 2),
  rings = isotropic((9 + 2.25 ^ 2 + 1.5 ^ 2 + 0.75 ^ 2) / 8 + 0.08 ^ 2),
  pinwheel = isotropic(4 * (1 + 0.3 ^ 2 + 0.1 ^ 2) / 2),
  moons = { 0, 0.3, 3 + 0.04, 0.5 * (2 - 1.6 / PI + 0.04 + 0.64 - 6.4 / PI + 2) + 0.04, 0.5 - 4 / PI },
  swissroll = along(function(u)
    local t = 1.5 * PI * (1 + 2 * u)
    return t * math.cos(t) / 5, t * math.sin(t) / 5
  end, 0.04),
  ["2spirals"] = (function() -- both arms are images of each other: the means vanish
    local m = along(function(u)
      local t = 3 * PI * math.sqrt(u)
      return (0.25 - t * math.cos(t)) / 3, (0.25 + t * math.sin(t)) / 3
    end, 0.01 + (1 / 6) ^ 2 / 12)
    m[1], m[2] = 0, 0
    return m
  end)(),
}

describe("toy densities", function()
  it("have the moments of their definitions", function()
    for _, kind in ipairs(kinds) do
      local x, y = toy(kind):draw(cs.rng(7), N):columns()
      for k, sample in ipairs { x, y, x * x, y * y, x * y } do expect(kind .. " " .. k, sample, moments[kind][k]) end
    end
  end)

  it("have densities that fit what is drawn: entropies", function()
    for _, kind in ipairs(kinds) do
      local d = toy(kind)
      local x = d:draw(cs.rng(3), kind == "2spirals" and 5000 or N)
      if kind == "pinwheel" then
        raises(function() d:log_density(x) end, "pinwheel", "no closed form")
      else
        expect(kind, -d:log_density(x), d.entropy)
      end
    end
    near(toy "checkerboard".entropy, math.log(32), 0)
  end)

  it("have densities that integrate to one", function()
    for kind, cells in pairs { ["8gaussians"] = 80, moons = 80, circles = 80, swissroll = 90, checkerboard = 80 } do
      local h, at = 10 / cells, {}
      for i = 1, cells do for j = 1, cells do at[#at + 1] = { -5 + h * (i - 0.5), -5 + h * (j - 0.5) } end end
      local p = cs.exp(toy(kind):log_density(cs.rows(cs.tensor(at))))
      near(p:sum():item() * h * h, 1, 1e-5)
    end
  end)

  it("lie in their box", function()
    for _, kind in ipairs(kinds) do
      local d = toy(kind)
      local out = cs.gt(cs.abs(d:draw(cs.rng(1), N)), d.box[2]):sum():item()
      assert(d.box[1] == -d.box[2] and out <= 0.002 * N, kind .. " " .. out)
    end
  end)

  it("are the same bits for the same seed, and nearly the same numbers in f32", function()
    local function draws(kind) return (toy(kind):draw(cs.rng(5), 512)) end
    for _, kind in ipairs(kinds) do
      local x = draws(kind)
      assert(x.rows and x.dtype == "f64" and x.shape[1] == 512 and x.shape[2] == 2)
      near(draws(kind), x, 0)
      assert(not toy(kind):draw(cs.rng(6), 512):near(x, 0.1))
      cs.dtype "f32"
      local single = draws(kind)
      local finite = kind == "pinwheel" or cs.isfinite(toy(kind):log_density(single)):min():item() == 1
      cs.dtype "f64"
      assert(single.dtype == "f32" and finite, kind)
      near(single:cast "f64", x, 1e-5)
    end
  end)

  it("tell components: label", function()
    local wanted = { ["8gaussians"] = 8, moons = 2, ["2spirals"] = 2, pinwheel = 5, circles = 2, rings = 4 }
    for kind, components in pairs(wanted) do
      local d = toy(kind)
      local x, label = d:draw(cs.rng(2), N, { label = true })
      near(x, d:draw(cs.rng(2), N), 0)
      assert(d.components == components and label.dtype == "i64" and label.rows and #label == N)
      for k = 0, components - 1 do expect(kind, cs.eq(label:cast "f64", k), 1 / components) end
    end
    local function right(kind, guess)
      local x, label = toy(kind):draw(cs.rng(2), N, { label = true })
      local share = cs.eq(guess(x:columns()), label:cast "f64"):mean():item()
      assert(share > 0.99, kind .. share)
    end
    right("circles", function(x, y) return cs.lt(x * x + y * y, 2.25 ^ 2) end)
    right("rings", function(x, y) return 4 - cs.floor(cs.sqrt(x * x + y * y) / 0.75 + 0.5) end)
    right("8gaussians", function(x, y) -- the angle from its half
      local turn = 2 * cs.atan(y / (cs.sqrt(x * x + y * y) + x)) / (PI / 4)
      local k = cs.floor(turn + 0.5)
      return k + 8 * cs.lt(k, 0)
    end)
    raises(function() toy "swissroll":draw(cs.rng(1), 3, { label = true }) end, "swissroll", "no components")
  end)

  it("have a score: densities are differentiable", function()
    for _, kind in ipairs { "8gaussians", "moons", "rings" } do
      local d = toy(kind)
      local x = d:draw(cs.rng(1), 20)
      local score = cs.grad(function(z) return d:log_density(z):sum() end)(x)
      local step = cs.tensor { 1e-5, 0 }
      local difference = (d:log_density(x + step) - d:log_density(x - step)) / 2e-5
      near(score:column(1), difference, 1e-5)
    end
  end)

  it("refuse what they do not know", function()
    raises(function() toy "moon" end, "did you mean 'moons'?")
    raises(function() toy "zebra" end, "it has 2spirals, 8gaussians, checkerboard")
    raises(function() cs.dataset "toy2d" { sort = "moons" } end, "unknown option 'sort'")
    raises(function() cs.dataset "toy2" {} end, "did you mean 'toy2d'?")
    raises(function() toy "moons":draw(7) end, "generator first")
    raises(function() toy "moons":draw(cs.rng(1), 0) end, "positive integers, got 0")
    raises(function() toy "moons":draw(cs.rng(1), 2, { labels = true }) end, "did you mean 'label'?")
    raises(function() toy "moons":log_density(cs.zeros(3, 3)) end, "rows [n, 2]")
    raises(function() toy "moons":split { test = 0.1 } end, "neither rows nor a trajectory")
    raises(function() toy "moons":batches { size = 2 } end, "no rows")
    assert(tostring(toy "rings"):find("rings, four thin rings, the outer one first; entropy 2.62318 nats", 1, true))
  end)
end)

describe("weighted draws", function()
  it("follow the weights and skip those that are zero", function()
    local place = cs.rng(1):weighted(cs.tensor({ 0, 1, 1, 4 }, "f64"), N)
    assert(place.dtype == "i64" and #place == N)
    for k, p in pairs { [0] = 0, 0.25, 0, 0.75 } do expect("place " .. k, cs.eq(place:cast "f64", k), p) end
    raises(function() cs.rng(1):weighted(cs.tensor({ 0, 0 }, "f64"), 2) end, "positive sum")
    raises(function() cs.rng(1):weighted(cs.zeros(0), 2) end, "f64 list")
  end)
end)
