-- SPDX-License-Identifier: GPL-3.0-or-later
-- Latent models: point processes, likelihoods, classes, bands; models that go forward; what is refused.
local cs = require "costate"
local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local given = dofile(here .. "latent_helpers.lua")
local core = require "costate.core"
local rows, batch, make, set = given.rows, given.batch, given.make, given.set
local check_gradient, linear_model = given.check_gradient, given.linear_model
local series, ragged, full, linear = given.series, given.ragged, given.full, given.linear
local one, copies = given.one, given.copies

describe("a Poisson process", function()
  --- The rate does not depend on z: g = softplus(bias).
  local function homogeneous(rate, o)
    local m = make(o)
    m.parameters["intensity.1.weight"]:fill(0)
    m.parameters["intensity.1.bias"]:fill(math.log(math.exp(rate) - 1))
    return m
  end
  local span = rows({ 3, 2.5, 1 }, "f64")

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
      local at, total = homogeneous(rate, o):intensity(b)
      assert(table.concat(at.shape, ",") == "3,4," .. channels)
      near(at, cs.full(rate, 3, 4, channels), 1e-12)
      for i, n in ipairs { 3, 2.5, 1 } do near(total[i], cs.full(rate * (n + 1), channels), 1e-9) end
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
    local _, terms = m:elbo(batch({ one }, { span = rows({ 2 }, "f64") }))
    near(terms.process:item(), expected, 1e-5)
  end)

  it("has a finite gradient where the rate is rounded to zero", function()
    local before = cs.dtype()
    cs.dtype "f32"
    local ok, message = pcall(function()
      local m = make { channels = 1, poisson = "times", name = "rounded rate" }
      local list = m.parts.intensity.list
      for _, p in ipairs(list) do p.tensor:fill(0) end
      list[#list].tensor:fill(-200) -- the last bias
      local b = cs.dataset "poisson_sampled" { series = 3 }:all()
      local value, slope = m:elbo(b), cs.grad(function() return (m:elbo(b)) end)(m)
      assert(math.abs(value:item()) < math.huge)
      for _, x in ipairs(slope:reshape(-1):totable()) do assert(math.abs(x) < math.huge) end
    end)
    cs.dtype(before)
    assert(ok, message)
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
      list[i], spans[i] = s, horizon
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

  --- Series whose events are a process of rate `rate(t)` <= bound on [0, horizon], thinned from one of rate bound. At
  --- 0 all have a time at which nothing is observed, which is no event.
  local function simulated(n, horizon, rate, bound)
    local rng, list, spans = core.rng(11, "thinned"), {}, {}
    for i = 1, n do
      local s, t = { t = { 0 }, y = { { 0 } }, mask = { { 0 } } }, 0
      while true do
        t = t - math.log(rng:uniform()) / bound
        if t > horizon then break end
        if rng:uniform() * bound <= rate(t) then s.t[#s.t + 1], s.y[#s.y + 1], s.mask[#s.mask + 1] = t, { 0 }, { 1 } end
      end
      list[i], spans[i] = s, horizon
    end
    return batch(list, { span = rows(spans, "f64") })
  end

  --- The rate 2.5 at all times; and softplus(5 e^(-0.4 t) - 1), which falls from 4.02 to 0.70. Learned is
  --- softplus(b tanh(w z + c) + d), z = e^(a t) or so, from one that falls by a half.
  for name, truth in pairs {
    homogeneous = function() return 2.5 end,
    inhomogeneous = function(t) return math.log(1 + math.exp(5 * math.exp(-0.4 * t) - 1)) end,
  } do
    it("gives back the rate that made it: " .. name, function()
      local n, horizon = 200, 4
      local b = simulated(n, horizon, truth, 5)
      local m = linear_model { poisson = "times", units = 1, activation = "tanh", origin = 0,
        solver = { rtol = 1e-6, atol = 1e-8 } }
      set(m, "encoder_head.1.bias", { 1, -25 })
      set(m, "intensity.0.weight", { { 1 } })
      set(m, "intensity.1.weight", { { 1 } })
      set(m, "intensity.1.bias", { 0 })
      local r = cs.train { parameters = { m.parts.field, m.parts.intensity }, steps = 200, quiet = true,
        optimizer = cs.optim.adam { lr = 5e-2 }, batch = function() return b end, loss = function(x)
          local _, terms = m:elbo(x, { samples = 0 })
          return -terms.process
        end }
      assert(r.status == "ok")
      local grid = { t = {}, y = {}, mask = {} }
      for k = 0, 8 do grid.t[k + 1], grid.y[k + 1], grid.mask[k + 1] = k * horizon / 8, { 0 }, { 0 } end
      local at, total = m:intensity(batch({ grid }, { span = rows({ horizon }, "f64") }), { samples = 0 })
      local integral, steps = 0, 1000
      for i = 1, steps do integral = integral + truth((i - 0.5) * horizon / steps) * horizon / steps end
      -- deviations: of the integral sqrt(integral / n); of the rate, from a hundred events where they are rarest, 0.1
      assert(math.abs(total:item() - integral) < 3 * math.sqrt(integral / n))
      for k, t in ipairs(grid.t) do
        local error = math.abs(at[1][k][1] / truth(t) - 1)
        assert(error < 0.2, ("rate off by %.3f at %g"):format(error, t))
      end
    end)
  end
end)

describe("likelihoods and heads", function()
  it("of zeros and ones", function()
    local m = make { likelihood = "bernoulli", noise = "learn" } -- there is no noise to learn
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

  it("are the same in f32, to its precision", function()
    local m = make { poisson = "times" }
    local bound = m:elbo(ragged, { samples = 0 }):item()
    cs.dtype "f32"
    local ok, e = pcall(function()
      local small = make { poisson = "times" }
      small.flat:copy(m.flat:cast "f32")
      near(small:elbo(batch(series), { samples = 0 }):item(), bound, 1e-5)
    end)
    cs.dtype "f64"
    assert(ok, e)
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
    raises(function() m:elbo(with { span = rows({ { 0, 3 }, { 0, 3 }, { 0, 3 } }, "f64") }) end, "'span'", "[3, 2]")
    raises(function() make({ classes = 2 }):loss(ragged) end, "label")
    raises(function() m:intensity(ragged) end, "no point process", "poisson")
    local data = cs.dataset "poisson_sampled" { series = 5 }
    local process = make { channels = 1, poisson = "times", origin = 0 }
    raises(function() process:elbo(data:task { kind = "extrapolation" }:all()) end, "all times", "predict = \"all\"")
    assert(process:elbo(data:task { kind = "extrapolation", predict = "all" }:all()):item() < 0)
    raises(function() m:classify(ragged) end, "no classes")
  end)
  it("in options", function()
    raises(function() make { encoder = "ode_rn" } end, "ode_rn", "did you mean 'ode_rnn'")
    raises(function() cs.model "latent_ode.modle" {} end, "no model 'latent_ode.modle'", "did you mean 'latent_ode.model'")
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
