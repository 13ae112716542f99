-- SPDX-License-Identifier: GPL-3.0-or-later
-- Log-likelihoods by row, the divergence and log mean exp against formulas written out; masks; misuse.
local cs = require "costate"
local loss = cs.loss

local rng = cs.rng(11)
local B <const>, T <const>, C <const> = 3, 4, 2
local function rows(...) return cs.rows(rng:normal { ... }) end
local mu, y, sigma = rows(B, T, C), rows(B, T, C), cs.exp(rows(B, T, C) * 0.3)
local zero_one = cs.rows(cs.cast(cs.lt(rng:uniform { B, T, C }, 0.5), "f64"))
local mask = cs.rows(cs.cast(cs.lt(rng:uniform { B, T, C }, 0.6), "f64"))

--- Sums f(i, t, c) by row over what the mask shows.
local function by_row(f, seen)
  local out = {}
  for i = 1, B do
    out[i] = 0
    for t = 1, T do
      for c = 1, C do
        if not seen or seen:get(i, t, c) ~= 0 then out[i] = out[i] + f(i, t, c) end
      end
    end
  end
  return out
end

local function gaussian(i, t, c)
  local s, r = sigma:get(i, t, c), mu:get(i, t, c) - y:get(i, t, c)
  return -0.5 * (r / s) ^ 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
end
local function bernoulli(i, t, c)
  local p = 1 / (1 + math.exp(-mu:get(i, t, c)))
  return math.log(zero_one:get(i, t, c) == 1 and p or 1 - p)
end

describe("log-likelihoods by row", function()
  it("have closed forms", function()
    for _, seen in ipairs { false, mask } do
      near(loss.gaussian_log_likelihood(mu, sigma, y, seen or nil), by_row(gaussian, seen), 1e-13)
      near(loss.bernoulli_log_likelihood(mu, zero_one, seen or nil), by_row(bernoulli, seen), 1e-13)
    end
    near(loss.gaussian_log_likelihood(mu, 0.3, y):sum(), loss.gaussian_nll_fixed(mu, y, { std = 0.3 }) * (-B * T * C), 1e-12)
  end)

  it("of classes take indices or probabilities, by series and by point", function()
    local z, index = rows(B, T, 3), cs.rows(cs.tensor({ { 0, 1, 2, 2 }, { 1, 1, 0, 2 }, { 2, 0, 0, 1 } }, "i64"))
    local seen = cs.rows(cs.tensor { { 1, 0, 1, 1 }, { 0, 0, 0, 0 }, { 1, 1, 1, 0 } })
    local expected, hot = {}, cs.zeros(B, T, 3)
    for i = 1, B do
      expected[i] = 0
      for t = 1, T do
        local sum, k = 0, index:get(i, t) + 1
        for c = 1, 3 do sum = sum + math.exp(z:get(i, t, c)) end
        hot:set(i, t, k, 1)
        expected[i] = expected[i] + seen:get(i, t) * (z:get(i, t, k) - math.log(sum))
      end
    end
    near(loss.categorical_log_likelihood(z, index, seen), expected, 1e-13)
    near(loss.categorical_log_likelihood(z, cs.rows(hot), seen), expected, 1e-13)
    near(loss.categorical_log_likelihood(z:slice(2, 1, 1):reshape(B, 3), index:slice(2, 1, 1):reshape(B)),
      loss.categorical_log_likelihood(z:slice(2, 1, 1), index:slice(2, 1, 1)), 1e-14)
  end)

  it("are of every sample when two axes stay", function()
    local samples = rows(B, 5, T, C)
    local each = loss.gaussian_log_likelihood(samples, 0.2, cs.reshape(y, { B, 1, T, C }) * cs.ones(5, 1, 1),
      { keep = 2 })
    assert(each.rows and #each.shape == 2 and each.shape[2] == 5)
    near(each:sum(2), loss.gaussian_log_likelihood(samples, 0.2, cs.reshape(y, { B, 1, T, C }) * cs.ones(5, 1, 1)), 1e-13)
  end)

  it("do not see what the mask hides, not even NaN, in value or gradient", function()
    local point = mask:slice(3, 1, 1)
    local function both(f, seen, target)
      target = cs.where(seen, y, target)
      return f(mu, target), cs.grad(function(m) return f(m, target):sum() end)(mu)
    end
    for _, of in ipairs {
      { mask, function(m, t) return loss.gaussian_log_likelihood(m, sigma, t, mask) end },
      { point, function(m, t) return loss.categorical_log_likelihood(m, t, point:reshape(B, T)) end },
      { mask, function(m, t) return loss.bernoulli_log_likelihood(m, t, mask) end },
    } do
      local v, g = both(of[2], of[1], 7)
      local v2, g2 = both(of[2], of[1], 0 / 0)
      assert(tostring(v) == tostring(v2) and tostring(g) == tostring(g2))
      assert(cs.abs(cs.where(of[1], 0, g)):max():item() == 0 and cs.abs(g):max():item() > 0.1)
    end
  end)

  it("have the gradients of differences", function()
    local v = rng:normal { B, T, C }
    for _, f in ipairs {
      function(m) return loss.gaussian_log_likelihood(m, sigma, y, mask) end,
      function(m) return loss.gaussian_log_likelihood(y, cs.exp(m), mu, mask) end,
      function(m) return loss.bernoulli_log_likelihood(m, zero_one, mask) end,
      function(m) return loss.kl_standard_normal(m, cs.exp(m)) end,
      function(m) return loss.log_mean_exp(m, { axis = 3 }) end,
    } do
      local function total(m) return (f(m) * f(m)):sum() end
      local h = 1e-5
      local difference = (total(mu + v * h) - total(mu - v * h)) / (2 * h)
      near((cs.grad(total)(mu) * v):sum():item(), difference:item(), 1e-7)
    end
  end)
end)

describe("parts of evidence bounds", function()
  it("the divergence from N(0, I) has a closed form and is zero there", function()
    near(loss.kl_standard_normal(mu, sigma), by_row(function(i, t, c)
      local m, s = mu:get(i, t, c), sigma:get(i, t, c)
      return 0.5 * (m * m + s * s - 1) - math.log(s)
    end), 1e-13)
    near(loss.kl_standard_normal(cs.rows(cs.zeros(2, 3)), 1), { 0, 0 })
  end)

  it("log mean exp is stable and of any axis but that of rows", function()
    local x = cs.rows(cs.tensor { { 0, math.log(3) }, { 1000, 1000 }, { -1000, -1000 + math.log(3) },
      { -math.huge, 0 }, { -math.huge, -math.huge } })
    near(loss.log_mean_exp(x):slice(1, 1, 4), { math.log(2), 1000, -1000 + math.log(2), -math.log(2) }, 1e-14)
    assert(loss.log_mean_exp(x):get(5) == -math.huge)
    near(loss.log_mean_exp(mu, { axis = 3 }), cs.log(cs.exp(mu):sum(3) / C), 1e-13)
    raises(function() loss.log_mean_exp(mu, { axis = 1 }) end, "axis 1", "axis of the samples")
    raises(function() loss.log_mean_exp(mu, { axis = 4 }) end, "axis 4")
  end)

  it("misuse is named", function()
    raises(function() loss.gaussian_log_likelihood(mu, sigma) end, "takes 4 values", "got 2")
    raises(function() loss.gaussian_log_likelihood(mu, sigma, cs.rows(cs.zeros(B, T, 1))) end, "does not fit")
    raises(function() loss.bernoulli_log_likelihood(mu, zero_one, cs.rows(cs.ones(B, T, 3))) end, "does not fit")
    raises(function() loss.kl_standard_normal(mu, sigma, { axis = 2 }) end, "unknown option 'axis'", "it has keep")
  end)
end)
