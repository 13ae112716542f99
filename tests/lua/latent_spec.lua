-- SPDX-License-Identifier: GPL-3.0-or-later
-- Latent ODEs: bounds against closed forms and integrals, gradients against differences, masks, ragged rows.
local cs = require "costate"
local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local given = dofile(here .. "latent_helpers.lua")
local batch, make, check_gradient, linear_model = given.batch, given.make, given.check_gradient, given.linear_model
local series = given.series
local ragged, full, linear, one = given.ragged, given.full, given.linear, given.one
local copies = given.copies

local function log_normal(x, s) return -0.5 * (x / s) ^ 2 - math.log(s) - 0.5 * math.log(2 * math.pi) end

local function log_joint(z)
  local sum = 0
  for k, t in ipairs(one.t) do
    sum = sum + log_normal(one.y[k][1] - linear.c * math.exp(linear.a * t) * z - linear.d, linear.s)
  end
  return sum
end

--- log p(x), and Var w / (E w)^2 of the weights w = p(x, z) / q(z), by the trapezoidal rule, which converges
--- exponentially for these integrands.
local function evidence()
  local first, second, h = 0, 0, 0.01
  for i = -1000, 1000 do
    local log_p = log_joint(i * h) + log_normal(i * h, 1)
    first = first + h * math.exp(log_p)
    second = second + h * math.exp(2 * log_p - log_normal(i * h - linear.mean, linear.std))
  end
  return math.log(first), second / first ^ 2 - 1
end

describe("the evidence bound", function()
  it("is that of a linear Gaussian model", function()
    -- E_q log p(x | z) = log p(x | mean) - std^2 / 2 sum (c e^(a t) / s)^2, and KL(q || p) in closed form
    local curvature = 0
    for _, t in ipairs(one.t) do curvature = curvature + (linear.c * math.exp(linear.a * t) / linear.s) ^ 2 end
    local expected = log_joint(linear.mean) - 0.5 * linear.std ^ 2 * curvature
    local kl = 0.5 * (linear.mean ^ 2 + linear.std ^ 2 - 1) - math.log(linear.std)
    local function estimate(weight) -- draws are keyed by the line
      local value, parts = linear_model():elbo(copies(50), { samples = 400, kl = weight })
      return value, parts
    end
    local bound, terms = estimate(1)
    near(terms.kl:item(), kl, 1e-6)
    -- the estimate of 20000 draws: four of its standard deviations, of a quadratic form in e
    local slope = (log_joint(linear.mean + 1e-4) - log_joint(linear.mean - 1e-4)) / 2e-4 * linear.std
    local sigma = math.sqrt((slope ^ 2 + 0.5 * (curvature * linear.std ^ 2) ^ 2) / 20000)
    assert(math.abs(bound:item() - (expected - kl)) < 4 * sigma, bound:item() - (expected - kl))
    near(estimate(0.25):item(), bound:item() + 0.75 * kl, 1e-6)
  end)

  it("of many samples tends to the evidence, from below", function()
    local m, b, last = linear_model(), copies(2000), -math.huge
    local truth, variance = evidence()
    for _, k in ipairs { 1, 3, 9, 81 } do
      local bound = m:elbo(b, { samples = k, iwae = true }):item()
      assert(bound > last, ("%d samples: %g after %g"):format(k, bound, last))
      last = bound
    end
    -- to first order in 1/81 it is variance / 162 below; 2000 rows see that to sqrt(variance / 81 / 2000)
    local off = last - (truth - variance / 162)
    assert(math.abs(off) < 4 * math.sqrt(variance / 81 / 2000), ("%g, the evidence is %g"):format(last, truth))
  end)

  it("has a gradient with every encoder, dynamics and likelihood", function()
    local kinds = {
      { encoder = "ode_rnn" }, { encoder = "gru_dt", gru_units = 3 }, { encoder = "rnn", noise = "learn" },
      { encoder_solver = { solver = "dopri5", rtol = 1e-10 } }, { autonomous = false, decoder_layers = 1, layers = 2 },
      { poisson = "times" }, { poisson = "channels", likelihood = "bernoulli" }, { likelihood = "categorical" },
      { kind = "rnn_vae" }, { origin = -2 },
    }
    for _, o in ipairs(kinds) do
      o.solver = { rtol = 1e-9, atol = 1e-11 }
      local m = make(o)
      check_gradient(m, function(x) return (x:elbo(ragged, { samples = 2, kl = 0.7 })) end, 1e-5)
      check_gradient(m, function(x) return (x:elbo(full, { samples = 2, iwae = true })) end, 1e-5)
    end
  end)

  it("has it by every gradient method", function()
    for _, o in ipairs { {}, { poisson = "times", noise = "learn", encoder_solver = { solver = "dopri5" } } } do
      local m = make(o)
      for _, b in ipairs { full, ragged } do
        local result = cs.check { loss = function() return (m:elbo(b, { samples = 2 })) end, at = m, quiet = true }
        for _, r in ipairs(result.rows) do assert(r.ok, ("%s: %s"):format(r.method, r.message or r.parameters)) end
        assert((result.rows[2].times ~= nil) == (b == full)) -- by differences: times that repeat stay where they are
      end
    end
  end)
end)

describe("masks and rows", function()
  local kinds = { "model", "rnn_vae", "rnn_dt", "rnn_decay", "gru_d", "ode_rnn" }

  --- The same batch, other numbers where nothing is observed.
  local function disturbed(b, x)
    local y = cs.where(b.mask, b.y, x)
    return { t = b.t, y = y, mask = b.mask, lengths = b.lengths }
  end

  for _, kind in ipairs(kinds) do
    it("nothing comes from what is not observed: " .. kind, function()
      local m = make { kind = kind }
      local function f(b) return function(x) return (x:loss(b)) end end
      local value, g = m:loss(ragged), cs.grad(f(ragged))(m)
      for _, x in ipairs { 7, 0 / 0 } do
        local other = disturbed(ragged, x)
        near((m:loss(other)), value, 0)
        near(cs.grad(f(other))(m), g, 0)
        near(m:mse(other), m:mse(ragged), 0)
      end
    end)

    it("a row is what it is alone: " .. kind, function()
      local m = make { kind = kind }
      local mean, std = m:predict(ragged, { samples = 0 })
      for i, s in ipairs(series) do
        local alone, spread = m:predict(batch { s }, { samples = 0 })
        near(mean[i]:slice(1, 1, #s.t), alone[1], 1e-14)
        near(std[i]:slice(1, 1, #s.t), spread[1], 1e-14)
      end
    end)
  end

  it("shared times give what times of each row give", function()
    local t = { 0.1, 0.4, 1, 1.7 }
    local list = {}
    for i = 1, 3 do list[i] = { t = t, y = { { i, 0 }, { 0, 1 }, { 1, 1 }, { 0.5, i } } } end
    for _, origin in ipairs { false, 0 } do
      local m = make { origin = origin or nil, solver = { rtol = 1e-10, atol = 1e-12 } }
      local apart = m:predict(batch(list), { samples = 0 })
      local shared = m:predict(batch(list, { shared_times = cs.tensor(t, "f64") }), { samples = 0 })
      near(shared, apart, 1e-8)
    end
  end)

  it("times may repeat, within a row and for z0", function()
    local once = batch { { t = { 0, 0.5 }, y = { { 1, 0 }, { 0.3, -0.5 } } } }
    local twice = batch { { t = { 0, 0.5, 0.5 }, y = { { 1, 0 }, { 0.3, 0 }, { 0, -0.5 } },
      mask = { { 1, 1 }, { 1, 0 }, { 0, 1 } } } }
    once.seen, twice.seen = twice, twice
    local m = make { origin = 0 }
    near((m:elbo(twice, { samples = 0 })), (m:elbo(once, { samples = 0 })), 1e-12) -- the same observations
    check_gradient(m, function(x) return (x:elbo(twice, { samples = 0 })) end, 1e-5)
  end)

  it("what is seen is all that an encoder gets", function()
    local m = make()
    local b = batch(series, { seen = batch { series[3], series[2], series[3] } })
    local changed = batch({ series[1], { t = series[2].t, y = { { 9, 9 }, { 9, 9 }, { 9, 9 }, { 9, 9 } } }, series[3] },
      { seen = b.seen })
    near((m:encode(changed)), (m:encode(b)), 0)
    near((m:predict(changed)), (m:predict(b)), 0)
    assert(m:mse(changed) ~= m:mse(b))
  end)

  it("written out, an Euler step across a gap is the solver's", function()
    local a = make { encoder_solver = { solver = "euler", step = 1 } }
    local b = make {}
    b.flat:copy(a.flat)
    near((a:encode(ragged)), (b:encode(ragged)), 1e-13)
  end)
end)
