-- SPDX-License-Identifier: GPL-3.0-or-later
-- Latent ODEs: bounds against closed forms and integrals, gradients against differences, masks, ragged rows.
local cs = require "costate"
local core = require "costate.core"

local function rows(x, dtype) return cs.rows(cs.tensor(x, dtype)) end

--- A batch of lists: series { t = { .. }, y = { { .. }, .. }, mask = { { .. }, .. } }, padded as data sets do it.
local function batch(list, more)
  local b, longest = { t = {}, y = {}, mask = {}, lengths = {} }, 0
  for _, s in ipairs(list) do longest = math.max(longest, #s.t) end
  for i, s in ipairs(list) do
    b.t[i], b.y[i], b.mask[i], b.lengths[i] = {}, {}, {}, #s.t
    for k = 1, longest do
      local c = #s.y[1]
      b.t[i][k] = s.t[math.min(k, #s.t)]
      b.y[i][k], b.mask[i][k] = {}, {}
      for j = 1, c do
        b.y[i][k][j] = s.y[k] and s.y[k][j] or 0
        b.mask[i][k][j] = s.y[k] and (s.mask and s.mask[k][j] or not s.mask and 1) or 0
      end
    end
  end
  local out = { t = rows(b.t, "f64"), y = rows(b.y), mask = rows(b.mask), lengths = rows(b.lengths, "f64") }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local series <const> = {
  { t = { 0, 0.5, 0.8 }, y = { { 1, 0 }, { 0.3, -0.5 }, { 0.2, 1 } }, mask = { { 1, 1 }, { 1, 0 }, { 0, 1 } } },
  { t = { 0.2, 0.3, 0.9, 2 }, y = { { 0, 1 }, { 1, 0 }, { 0, 1 }, { 1, 1 } } },
  { t = { -1 }, y = { { 0.5, 0.7 } } },
}
local ragged = batch(series)
local full = batch { { t = { 0, 0.5, 0.8 }, y = { { 1, 0 }, { 0.3, 0 }, { 0.2, 1 } }, mask = { { 1, 1 }, { 0, 0 }, { 1, 1 } } },
  { t = { 0.2, 0.3, 0.9 }, y = { { 0, 1 }, { 1, 0 }, { 0, 1 } } } }

local function make(o)
  local given = { channels = 2, latent = 2, hidden = 3, units = 4, noise = 0.5, name = "latent spec" }
  for k, v in pairs(o or {}) do given[k] = v end
  local kind = given.kind or "model"
  given.kind = nil
  if kind ~= "model" and kind ~= "rnn_vae" then given.latent, given.solver = nil, nil end
  return cs.model("latent_ode." .. kind)(given)
end

local function set(m, name, x) m.parameters[name]:copy(cs.tensor(x)) end

--- dg/dtheta of a number that a model gives, against central differences.
local function check_gradient(m, f, tolerance)
  local g, worst = cs.grad(f)(m), 0
  for i = 1, #m do
    local x, h = m.flat[i], 1e-5
    m.flat[i] = x + h
    local up = f(m):item()
    m.flat[i] = x - h
    local down = f(m):item()
    m.flat[i] = x
    worst = math.max(worst, math.abs((up - down) / (2 * h) - g[i]) / (1 + math.abs(g[i])))
  end
  assert(worst < tolerance, ("gradient off by %g"):format(worst))
end

-- dz/dt = a z, x(t) = c z(t) + d + s e: everything is Gaussian. q(z0 | x) = N(mean, std^2) whatever x is.
local linear <const> = { a = -0.4, c = 1.5, d = 0.2, s = 0.6, mean = 0.3, std = 0.7 }

local function linear_model(o)
  local given = { channels = 1, latent = 1, layers = 0, noise = linear.s, solver = { rtol = 1e-10, atol = 1e-12 } }
  for k, v in pairs(o or {}) do given[k] = v end
  local m = make(given)
  set(m, "field.0.weight", { { linear.a } })
  set(m, "field.0.bias", { 0 })
  set(m, "decoder.0.weight", { { linear.c } })
  set(m, "decoder.0.bias", { linear.d })
  m.parameters["encoder_head.1.weight"]:fill(0)
  set(m, "encoder_head.1.bias", { linear.mean, math.log(math.exp(linear.std - 1e-6) - 1) + 3 })
  return m
end

local one <const> = { t = { 0, 0.4, 1.1 }, y = { { 1.2 }, { 0.1 }, { 0.9 } } }

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

--- One series many times: as many independent draws.
local function copies(n)
  local list = {}
  for i = 1, n do list[i] = one end
  return batch(list, { shared_times = cs.tensor(one.t, "f64") })
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
      local result = cs.check { loss = function() return (m:elbo(full, { samples = 2 })) end, at = m, quiet = true }
      for _, r in ipairs(result.rows) do assert(r.ok, ("%s: %s"):format(r.method, r.message or r.parameters)) end
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

describe("a Poisson process", function()
  --- The rate does not depend on z: g = softplus(bias).
  local function homogeneous(rate, o)
    local m = make(o)
    m.parameters["intensity.1.weight"]:fill(0)
    m.parameters["intensity.1.bias"]:fill(math.log(math.exp(rate) - 1))
    return m
  end
  local span = rows({ { 0, 3 }, { 0, 2.5 }, { 0, 1 } }, "f64")

  it("that is homogeneous has its closed form", function()
    local b = batch(series, { span = span })
    for _, o in ipairs { { poisson = "times", count = { 3, 4, 1 } }, { poisson = "channels", count = { 4, 8, 2 } } } do
      local count, channels = o.count, o.poisson == "channels" and 2 or 1
      o.count, o.origin = nil, -1
      local rate, expected = 1.7, 0
      for i, n in ipairs(count) do
        expected = expected + n * math.log(rate) - channels * rate * (({ 3, 2.5, 1 })[i] + 1)
      end
      local _, terms = homogeneous(rate, o):elbo(b)
      near(terms.process:item(), expected / 3, 1e-10)
    end
  end)

  it("has the integral of a rate that changes", function()
    -- g(z(t)) = softplus(w z + v), z = z0 e^(a t), z0 = mean since std is next to nothing
    local m = linear_model { poisson = "times", units = 1, activation = "relu" }
    set(m, "intensity.0.weight", { { 1 } })
    set(m, "intensity.1.weight", { { 2 } })
    set(m, "intensity.1.bias", { -0.5 })
    set(m, "encoder_head.1.bias", { linear.mean, -25 })
    local function rate(t) return math.log(1 + math.exp(2 * linear.mean * math.exp(linear.a * t) - 0.5)) end
    local expected, n = 0, 2000
    for i = 1, n do expected = expected - 2 / n * rate((i - 0.5) * 2 / n) end
    for _, t in ipairs(one.t) do expected = expected + math.log(rate(t)) end
    local _, terms = m:elbo(batch({ one }, { span = rows({ { 0, 2 } }, "f64") }))
    near(terms.process:item(), expected, 1e-5)
  end)

  it("is most likely at the rate that made it", function()
    local rng, rate, horizon, list, count = core.rng(5, "process"), 2.5, 8, {}, 0
    local spans = {}
    for i = 1, 60 do
      local s, t = { t = { 0 }, y = { { 0, 0 } }, mask = { { 0, 0 } } }, 0
      while true do
        t = t - math.log(rng:uniform()) / rate
        if t > horizon then break end
        s.t[#s.t + 1], s.y[#s.y + 1], s.mask[#s.mask + 1] = t, { 0, 0 }, { 1, 1 }
        count = count + 1
      end
      list[i], spans[i] = s, { 0, horizon }
    end
    local b = batch(list, { span = rows(spans, "f64") })
    local estimate = count / (60 * horizon)
    local function process(x)
      local _, terms = x:elbo(b, { samples = 0 })
      return terms.process
    end
    local m = homogeneous(estimate, { poisson = "times", origin = 0 })
    local best = process(m):item()
    for _, p in ipairs(m.list) do
      if p.name == "intensity.1.bias" then near(cs.grad(process)(m)[p.offset + 1], 0, 1e-9) end
    end
    for _, factor in ipairs { 0.9, 1.1 } do
      assert(process(homogeneous(estimate * factor, { poisson = "times", origin = 0 })):item() < best)
    end
    -- the estimate has standard deviation sqrt(rate / (60 horizon))
    assert(math.abs(estimate - rate) < 3 * math.sqrt(rate / (60 * horizon)))
  end)
end)

describe("likelihoods and heads", function()
  it("of zeros and ones", function()
    local m = make { likelihood = "bernoulli" }
    local mean, std = m:predict(full, { samples = 0 })
    local _, terms = m:elbo(full, { samples = 0 })
    local each = full.mask * (full.y * cs.log(mean) + (1 - full.y) * cs.log(1 - mean))
    near(terms.likelihood:item(), each:sum():item() / 2, 1e-12)
    near(std, cs.sqrt(mean * (1 - mean)), 1e-12)
  end)

  it("of one class in several", function()
    local m = make { likelihood = "categorical" }
    local b = batch { { t = { 0, 1 }, y = { { 1, 0 }, { 0, 1 } } } }
    local mean = m:predict(b, { samples = 0 })
    near(mean:sum(3), { { 1, 1 } }, 1e-14)
    local _, terms = m:elbo(b, { samples = 0 })
    near(terms.likelihood:item(), (b.y * cs.log(mean)):sum():item(), 1e-12)
  end)

  it("classes of series and of points", function()
    local m = make { classes = 3, class_weight = 2 }
    local b = batch(series, { label = cs.rows(cs.index { 1, 3, 2 }) })
    local loss, terms = m:loss(b, { samples = 0 })
    near(terms.class:item(), cs.loss.cross_entropy(m:classify(b), b.label):item(), 1e-12)
    near(loss:item(), 2 * terms.class:item() - m:elbo(b, { samples = 0 }):item(), 1e-12)
    local points = make { classes = 3, classify = "point", solver = { rtol = 1e-9, atol = 1e-11 } }
    local label = cs.rows(cs.zeros(3, 4, "i64"))
    local _, each = points:loss(batch(series, { label = label }), { samples = 0 })
    local logits, sum = points:classify(ragged), 0
    assert(table.concat(logits.shape, ",") == "3,4,3")
    for i, s in ipairs(series) do
      for k = 1, #s.t do sum = sum + cs.loss.cross_entropy(logits[i][k], cs.index(1):reshape {}):item() end
    end
    near(each.class:item(), sum / 8, 1e-12)
    check_gradient(points, function(x) return (x:loss(batch(series, { label = label }))) end, 1e-5)
  end)

  it("samples and bands", function()
    local m = linear_model()
    m.parameters["encoder_head.1.bias"]:copy(cs.tensor { 0, math.log(math.exp(1 - 1e-6) - 1) + 3 }) -- q is the prior
    local _, std = m:predict(copies(50), { samples = 400 })
    for k, t in ipairs(one.t) do
      local variance = (linear.c * math.exp(linear.a * t)) ^ 2 + linear.s ^ 2
      near((std ^ 2):mean(1)[k][1], variance, 0.02)
    end
    local y = m:sample(4000, one.t)
    assert(table.concat(y.shape, ",") == "4000,3,1")
    near((y - linear.d):mean(1), cs.zeros(3, 1), 0.1)
    near(((y - linear.d) ^ 2):mean(1)[1][1], linear.c ^ 2, 0.1)
  end)
end)

describe("models that go forward", function()
  for _, kind in ipairs { "rnn_dt", "rnn_decay", "gru_d", "ode_rnn" } do
    it("see the past alone, and have gradients: " .. kind, function()
      local m = make { kind = kind, noise = "learn", means = kind == "gru_d" and { 0.3, -0.2 } or nil }
      check_gradient(m, function(x) return (x:loss(ragged)) end, 1e-5)
      local changed = batch { series[1], { t = series[2].t, y = { { 0, 1 }, { 1, 0 }, { 5, 5 }, { 1, 1 } } }, series[3] }
      local a, b = m:predict(ragged), m:predict(changed)
      near(b[2]:slice(1, 1, 3), a[2]:slice(1, 1, 3), 0)
      assert(not b[2][4]:near(a[2][4], 1e-6))
      -- with `seen`, an observation at the very time is known
      local now = m:predict(batch(series, { seen = ragged }))
      assert(not now[2][1]:near(a[2][1], 1e-6))
      check_gradient(m, function(x) return (x:loss(batch(series, { seen = batch(series) }))) end, 1e-5)
    end)
  end
end)

describe("models made of models", function()
  it("have one flat vector", function()
    local m = make { noise = "learn" }
    local count = 0
    for _, part in pairs(m.parts) do count = count + part.flat.count end
    assert(count == #m)
    m.flat:fill(0.25)
    near(m.parts.decoder.parameters["0.bias"], { 0.25, 0.25 }, 0)
    near(m.parameters["noise.log_std"], { 0.25, 0.25 }, 0)
    near(make({ name = "again" }).flat, make({ name = "again" }).flat, 0)
  end)

  it("train", function()
    local m = make { noise = 0.3 }
    local before = m:mse(full)
    local result = cs.train { parameters = m, steps = 200, quiet = true, optimizer = cs.optim.adam { lr = 2e-2 },
      batch = function() return full end, loss = function(b) return (m:loss(b, { samples = 4 })) end,
      validate = function() return m:mse(full) end }
    assert(result.status == "ok" and m:mse(full) < 0.5 * before, m:mse(full))
  end)
end)

describe("what cannot be right", function()
  local m = make()
  local function with(more)
    local b = {}
    for k, v in pairs(ragged) do b[k] = v end
    for k, v in pairs(more) do b[k] = v end
    return b
  end
  it("in data", function()
    raises(function() m:elbo { y = ragged.y } end, "lacks the field 't'", "t, y, mask and lengths")
    near(m:mse { all = function() return ragged end }, m:mse(ragged), 0)
    raises(function() m:elbo(3) end, "batch of series", "number")
    raises(function() m:elbo(with { lengths = rows({ 3, 0, 1 }, "f64") }) end, "row 2", "length 0", "empty")
    raises(function() m:elbo(with { lengths = rows({ 3, 9, 1 }, "f64") }) end, "row 2", "1 to 4")
    local t = ragged.t:clone()
    t:set(2, 3, 0.25)
    raises(function() m:elbo(with { t = cs.rows(t) }) end, "time 3 of row 2", "ascend")
    local y = ragged.y:clone()
    y:set(2, 2, 1, 0 / 0)
    raises(function() m:elbo(with { y = cs.rows(y) }) end, "channel 1 at time 2 of row 2", "mask")
    raises(function() m:elbo(with { y = cs.rows(cs.zeros(3, 4, 5)) }) end, "5 channels", "2")
    raises(function() m:elbo(with { mask = cs.rows(cs.zeros(3, 4)) }) end, "'mask'", "[3, 4]")
    raises(function() m:elbo(with { seen = with { t = cs.rows(t) } }) end, "'seen'", "ascend")
    raises(function() make({ classes = 2 }):loss(ragged) end, "label")
    raises(function() m:classify(ragged) end, "no classes")
  end)
  it("in options", function()
    raises(function() make { encoder = "ode_rn" } end, "ode_rn", "did you mean 'ode_rnn'")
    raises(function() make { latents = 3 } end, "latents", "did you mean 'latent'")
    raises(function() make { channels = {} } end, "channels")
    raises(function() make { noise = 0 } end, "noise", "positive")
    raises(function() make { noise = { 1, 1, 1 } } end, "noise", "3 numbers for 2")
    raises(function() make { units = 0 } end, "units", "whole number")
    raises(function() make { likelihood = "poisson" } end, "likelihood")
    raises(function() make { kind = "rnn_vae", poisson = "times" } end, "poisson", "latent_ode.model")
    raises(function() m:elbo(ragged, { samples = -1 }) end, "samples")
    raises(function() m:elbo(ragged, { sample = 1 }) end, "sample", "did you mean 'samples'")
    raises(function() m:elbo(ragged, { samples = 0, iwae = true }) end, "iwae")
    raises(function() m:sample(0, { 0, 1 }) end, "sample")
    raises(function() m(ragged) end, "not called")
  end)
end)
