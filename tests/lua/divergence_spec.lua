-- SPDX-License-Identifier: GPL-3.0-or-later
-- Divergences: the exact one against the trace of a Jacobian, estimates against their theory: unbiased, and with the
-- variance that is claimed for them.
local cs = require "costate"
local core = require "costate.core"

local ROWS <const> = 20000

local function normal(name, shape) return core.rng(11, name):normal(shape) end

--- The same point in every row, so that rows are draws.
local function repeated(point, n) return cs.rows(cs.zeros { n, #point } + cs.tensor(point)) end

--- x -> tanh(x A) + sin of its neighbour, a field whose Jacobian is full and not symmetric.
local A = normal("A", { 4, 4 })
local function field(x)
  local shifted = cs.concat({ cs.slice(x, 2, 2, 4), cs.slice(x, 2, 1, 1) }, 2)
  return cs.tanh(cs.matmul(x, A)) * 1.5 + cs.sin(shifted) * x
end
local point <const> = { 0.4, -0.7, 0.2, 1.1 }

local function moments(x)
  local list = x:totable()
  local n, sum, square = #list, 0, 0
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / n
  for _, v in ipairs(list) do square = square + (v - mean) ^ 2 end
  return mean, square / (n - 1)
end

--- Trace, |J|_F^2, and the variance of one vector's estimate of the trace: for Gaussian vectors 2 |S|_F^2 with S the
--- symmetric part of J, for signs the same without the diagonal of S.
local function theory(f, at)
  local j = cs.jacobian(f)(cs.rows(cs.tensor { at }))
  local n = #at
  local trace, square, all, off = 0, 0, 0, 0
  local function entry(i, k) return j[1][i][k] end
  for i = 1, n do
    trace = trace + entry(i, i)
    for k = 1, n do
      local s = (entry(i, k) + entry(k, i)) / 2
      square, all, off = square + entry(i, k) ^ 2, all + s * s, off + (i ~= k and s * s or 0)
    end
  end
  return { trace = trace, square = square, gaussian = 2 * all, rademacher = 2 * off }
end

--- The sample mean of a quantity with this mean lies within 4.5 standard errors of it (7 in a million do not).
local function unbiased(x, expected)
  local mean, variance = moments(x)
  local limit = 4.5 * math.sqrt(variance / x.count)
  assert(math.abs(mean - expected) <= limit + 1e-12, ("%g is not %g within %g"):format(mean, expected, limit))
  return variance
end

describe("the exact divergence", function()
  it("is the trace of the Jacobian, and its norm the Frobenius norm", function()
    local x = cs.rows(normal("x", { 5, 4 }))
    local trace, y, square = cs.divergence(field)(x)
    local j = cs.jacobian(field)(x)
    for b = 1, 5 do
      local sum, norm = 0, 0
      for i = 1, 4 do
        sum = sum + j[b][i][i]
        for k = 1, 4 do norm = norm + j[b][i][k] ^ 2 end
      end
      near(trace[b], sum, 1e-13)
      near(square[b], norm, 1e-13)
    end
    near(y, field(x), 1e-14)
  end)

  it("has derivatives, of first and second order, also where an op has no batch rule", function()
    local m = cs.rows(normal("m", { 3, 4, 4 }) * 0.2 + core.eq(core.reshape(core.iota(4), { 4, 1 }), core.iota(4)) * 2)
    for name, f in pairs { field = field, solve = function(x) return cs.linalg.solve(m, x * x) end } do
      local x, v = cs.rows(normal("x", { 3, 4 })), cs.rows(normal("v", { 3, 4 }))
      local function total(p) return cs.divergence(f)(p):sum() end
      local h, g = 1e-5, cs.grad(total)
      local along = (g(x) * v):sum():item()
      local fd = (total(x + h * v):item() - total(x - h * v):item()) / (2 * h)
      assert(math.abs(along - fd) <= 1e-7 * (1 + math.abs(fd)), ("%s: %g is not %g"):format(name, along, fd))
      local hv = cs.hvp(total)(x, v)
      local fd2 = (g(x + h * v) - g(x - h * v)) / (2 * h)
      near(hv, fd2, 1e-6)
    end
  end)

  it("of a field that does not depend on the point is zero", function()
    near(cs.divergence(function(x) return cs.ones_like(x) end)(cs.rows(cs.zeros { 3, 2 })), { 0, 0, 0 }, 0)
  end)
end)

describe("an estimate of the divergence", function()
  for _, noise in ipairs { "gaussian", "rademacher" } do
    for _, samples in ipairs { 1, 3 } do
      it(("by Hutchinson with %d %s vectors is unbiased, with the variance of theory"):format(samples, noise), function()
        local expected = theory(field, point)
        local o = { method = "hutchinson", noise = noise, samples = samples }
        local trace, _, square = cs.divergence(field, o)(repeated(point, ROWS))
        local variance = unbiased(trace, expected.trace)
        unbiased(square, expected.square)
        -- the variance of a variance: with a kurtosis of at most 15 (a product of Gaussians has 9) 4.5 of its standard errors
        local off = math.abs(variance / (expected[noise] / samples) - 1)
        assert(off <= 4.5 * math.sqrt(14 / ROWS), ("variance is off by %g"):format(off))
      end)
    end
  end

  it("by Hutch++ is unbiased, and nearer than as many products by Hutchinson", function()
    local expected = theory(field, point)
    local x = repeated(point, ROWS)
    local trace, _, square = cs.divergence(field, { method = "hutch++", samples = 2 })(x)
    local variance = unbiased(trace, expected.trace)
    unbiased(square, expected.square)
    -- two products to find the range, two along it, two across
    assert(variance < 0.7 * expected.gaussian / 6, ("%g, Hutchinson with six has %g"):format(variance, expected.gaussian / 6))
  end)

  it("by Hutch++ is exact where the rank of the Jacobian is at most the number of vectors", function()
    local u, v = cs.tensor { 0.3, -1, 0.5, 2 }, cs.tensor { 1, 0.2, -0.4, 0.7 }
    local function rank_one(x) return cs.reshape(cs.tanh((x * u):sum(2)), { x.shape[1], 1 }) * v end
    local x = cs.rows(normal("x", { 6, 4 }))
    local exact = cs.divergence(rank_one)(x)
    for samples = 1, 4 do
      near(cs.divergence(rank_one, { method = "hutch++", samples = samples })(x), exact, 1e-12)
    end
    near(cs.divergence(field, { method = "hutch++", samples = 4 })(x), cs.divergence(field)(x), 1e-10)
    near(cs.divergence(function(p) return 0 * p end, { method = "hutch++" })(x), cs.zeros(6), 0)
  end)

  it("has the derivative of what it computes", function()
    local x, d = cs.rows(normal("x", { 3, 4 })), cs.rows(normal("d", { 3, 4 }))
    for _, o in ipairs { { "hutchinson", 1 }, { "hutch++", 1 } } do
      local vectors = cs.rows(normal("vectors", { 3, o[2] * 2, 4 }))
      local function total(p) return cs.divergence(field, { method = o[1], vectors = vectors })(p):sum() end
      local h = 1e-5
      local fd = (total(x + h * d):item() - total(x - h * d):item()) / (2 * h)
      near((cs.grad(total)(x) * d):sum():item(), fd, 1e-7)
    end
  end)

  it("says what is wrong", function()
    local x = cs.rows(cs.zeros { 2, 3 })
    raises(function() cs.divergence(field, { method = "hutchinsen" }) end, "did you mean 'hutchinson'?")
    raises(function() cs.divergence(field, { noise = "uniform" }) end, "gaussian, rademacher")
    raises(function() cs.divergence(field, { samples = 0 }) end, "positive")
    raises(function() cs.divergence(field, { sample = 2 }) end, "did you mean 'samples'?")
    raises(function() cs.divergence(cs.tanh)(cs.zeros { 3 }) end, "a batch of vectors")
    raises(function() cs.divergence(3) end, "takes a function, got a number")
    local v = cs.rows(cs.zeros { 2, 3, 3 })
    raises(function() cs.divergence(cs.tanh, { method = "hutch++", vectors = v })(x) end, "2 samples", "got [2, 3, 3]")
    raises(function() cs.divergence(cs.tanh, { vectors = v })(x) end, "is for estimates")
    raises(function() cs.divergence(function(p) return p:column(1) end)(x) end, "as many numbers a row as it takes")
    raises(function() cs.divergence(cs.tanh, { method = "hutch++", samples = 4 })(x) end, "at most the width")
    for _, method in ipairs { "exact", "hutchinson", "hutch++" } do -- a tangent of all rows is then not one of each
      raises(function() cs.divergence(function(p) return p - p:mean(1) end, { method = method })(x) end,
        "divergence: the rows of the batch depend on each other", "cs.rows")
    end
  end)
end)
