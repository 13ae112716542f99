-- SPDX-License-Identifier: GPL-3.0-or-later
-- Scans over rows of different lengths against scans whose body keeps the rows that have ended: values, derivatives
-- of first and second order, solves in the body by every gradient; what it costs; that rows do not see each other.
local cs = require "costate"
local core = require "costate.core"
local trace = require "costate._trace"

local B <const>, T <const>, D <const>, I <const> = 7, 9, 3, 2
local rng = cs.rng(21)
local function rows(...) return cs.rows(rng:normal { ... }) end
local lengths = cs.rows(cs.tensor { 3, 9, 0, 5, 9, 1, 4 })
local xs, h0, scale = rows(B, T, I), rows(B, D), rows(B, 1)
local gaps = cs.rows(rng:uniform { B, T } * 0.3)
local position = cs.rows(cs.zeros(B, T) + cs.iota(T))

local function column(x) return cs.reshape(x, { -1, 1 }) end

--- The same recurrence with every row at every position; a row that has ended keeps its carry.
local function masked(body, carry, x, given)
  return cs.scan(function(c, v)
    local on = column(cs.lt(v.position, given.lengths))
    local next, y = body(c, v)
    if type(c) ~= "table" then return cs.where(on, next, c), cs.where(on, y, 0) end
    local kept = {}
    for k, old in pairs(c) do kept[k] = cs.where(on, next[k], old) end
    return kept, cs.where(on, y, 0)
  end, carry, { x = x.x, gap = x.gap, position = position }, { reverse = given.reverse })
end

local gru = cs.nn.gru { inputs = I, units = D, name = "gru" }
local lstm = cs.nn.lstm { inputs = I, units = D, name = "lstm" }
local net = cs.nn.mlp { D, 4, D, name = "field" }

--- A body that lets the state evolve across the gap before each observation.
local function evolving(options)
  return function(h, v)
    local given = { field = function(_, y) return net(y) * column(v.gap) end }
    for k, o in pairs(options) do given[k] = o end
    return gru(cs.ode(given):map(0, 1)(h), v.x), h * h
  end
end

--- The same without an output.
local function evolve_only(options)
  local body = evolving(options)
  return function(h, v) return (body(h, v)) end
end

local function gru_body(h, v)
  local next = gru(h, v.x) * scale -- a capture of rows
  return next, cs.concat({ next, v.x }, 2)
end
local function lstm_body(s, v)
  local next = lstm(s, v.x)
  return next, next.h
end

local function compare(name, body, carry, tolerance)
  for _, reverse in ipairs { false, true } do
    local given = { lengths = lengths, reverse = reverse }
    local x = { x = xs, gap = gaps }
    local c, y = cs.scan(body, carry, x, given)
    local mc, my = masked(body, carry, x, given)
    if type(c) == "table" then
      for k in pairs(c) do near(c[k], mc[k], tolerance) end
    else
      near(c, mc, tolerance)
    end
    near(y, my, tolerance)
    for i = 1, B do
      for t = math.tointeger(lengths:get(i)) + 1, T do assert(y:get(i, t, 1) == 0, name) end
    end
  end
end

--- A loss of everything that comes out.
local weight = rng:normal { B, T, 1 }
local function loss_of(how, body, carry, given)
  return function(h, x)
    local c, y = how(body, carry and { h = h, c = carry.c } or h, { x = x, gap = gaps }, given)
    if type(c) == "table" then c = c.h * c.c end
    return cs.sin(c):sum() + (cs.sin(y) * weight):sum()
  end
end

local function gradients(body, carry, models, tolerance)
  for _, reverse in ipairs { false, true } do
    local given = { lengths = lengths, reverse = reverse }
    local ragged, all = loss_of(cs.scan, body, carry, given), loss_of(masked, body, carry, given)
    near(cs.grad(function(x) return ragged(h0, x) end)(xs), cs.grad(function(x) return all(h0, x) end)(xs), tolerance)
    near(cs.grad(function(h) return ragged(h, xs) end)(h0), cs.grad(function(h) return all(h, xs) end)(h0), tolerance)
    for _, model in ipairs(models) do
      local function of(f) return function() return f(h0, xs) end end
      near(cs.grad(of(ragged))(model), cs.grad(of(all))(model), tolerance)
    end
  end
end

local function second(body, carry, model, tolerance)
  local v = rng:normal { #model }
  for _, reverse in ipairs { false, true } do
    local given = { lengths = lengths, reverse = reverse }
    local ragged, all = loss_of(cs.scan, body, carry, given), loss_of(masked, body, carry, given)
    near(cs.hvp(function() return ragged(h0, xs) end)(model, v), cs.hvp(function() return all(h0, xs) end)(model, v), tolerance)
  end
end

--- What a program of f (a function of nothing) counts, and its results.
local function program_of(f)
  local recording = {}
  recording.fn, recording.captures = trace.record({}, function() return { f() } end)
  local p = trace.program(recording)
  local out = p:fresh()
  p:configure(0)
  local function run()
    assert(p:run() == "ok")
    return out, p:stats()
  end
  return run
end

describe("a scan over rows of different lengths", function()
  it("is the scan of all rows that keeps those that have ended", function()
    compare("gru", gru_body, h0, 0)
    compare("lstm", lstm_body, { h = h0, c = h0 * 0.5 }, 0)
  end)

  it("has its derivatives, twice", function()
    gradients(gru_body, nil, { gru }, 1e-13)
    gradients(lstm_body, { c = h0 * 0.5 }, { lstm }, 1e-13)
    second(gru_body, nil, gru, 1e-12)
    second(lstm_body, { c = h0 * 0.5 }, lstm, 1e-12)
  end)

  it("holds solves, whose rows may share their steps or not", function()
    for _, o in ipairs {
      { solver = "rk4", step = 0.25 }, { solver = "dopri5", control = "row", rtol = 1e-6 },
      { solver = "kencarp4", step = 0.5 }, { solver = "gsl.rkf45", step = 0.5 }, { solver = "reversible.alf", step = 0.25 },
    } do
      compare(o.solver, evolving(o), h0, 1e-13)
    end
    compare("dopri5", evolving { solver = "dopri5", rtol = 1e-9, atol = 1e-11 }, h0, 1e-8) -- other steps
  end)

  for _, g in ipairs { "discrete", "reversible", "backsolve", "interpolating", "quadrature", "forward", "finite" } do
    it("and their gradients: " .. g, function()
      local solver = g == "reversible" and "reversible.alf" or "rk4"
      local loose = g == "finite" and 1e-5 or 1e-11
      if g == "interpolating" or g == "quadrature" then loose = 1e-5 end
      for _, control in ipairs { "batch", "row" } do
        gradients(evolving { solver = solver, step = 0.25, gradient = g, control = control }, nil, { net, gru }, loose)
      end
    end)
  end

  it("and their second derivatives", function()
    for _, control in ipairs { "batch", "row" } do
      second(evolving { solver = "rk4", step = 0.5, control = control }, nil, net, 1e-11)
    end
  end)

  it("takes lengths of other types, and those that are not whole or too long", function()
    local function last(l) return (cs.scan(function(c, a) return c + a end, cs.rows(cs.zeros(4)), cs.rows(cs.ones(4, 3)),
      { lengths = l })) end
    near(last(cs.rows(cs.tensor({ 0, 1, 3, 2 }, "i64"))), { 0, 1, 3, 2 })
    near(last(cs.rows(cs.tensor { -1, 1.5, 7, 0 / 0 })), { 0, 2, 3, 0 })
  end)

  it("runs the body on the rows under way alone, and allocates nothing after its first run", function()
    local n <const> = 40
    local long, list = cs.rows(rng:normal { n, 500, I }), {}
    for i = 1, n do list[i] = 1 + math.floor((i * 7919 % n) * 499 / (n - 1) + 0.5) end
    local sum = 0
    for _, l in ipairs(list) do sum = sum + l end
    local length, start = cs.rows(cs.tensor(list)), cs.rows(cs.zeros(n, D))
    local gap = cs.rows(cs.ones(n, 500) * 0.01)
    local body = evolve_only { solver = "euler", step = 1, control = "row" }
    local loss = function() return (cs.scan(body, start, { x = long, gap = gap }, { lengths = length }) ^ 2):sum() end
    local run = program_of(loss)
    local _, stats = run()
    assert(stats.scan_rows == sum, ("%d rows for %d observations"):format(stats.scan_rows, sum))
    assert(stats.forward.accepted == sum)
    run()
    local before = core.memory()
    run()
    assert(core.memory() == before, "allocated")
  end)

  it("computes in f32", function()
    local old = cs.dtype()
    cs.dtype "f32"
    local cell = cs.nn.gru { inputs = I, units = D, name = "gru" }
    local x, start = cs.rows(cs.cast(xs, "f32")), cs.rows(cs.cast(h0, "f32"))
    local c, y = cs.scan(function(h, v) return cell(h, v), h end, start, x, { lengths = lengths, reverse = true })
    cs.dtype(old)
    local d, z = cs.scan(function(h, v) return gru(h, v), h end, h0, xs, { lengths = lengths, reverse = true })
    assert(c.dtype == "f32" and y.dtype == "f32")
    near(cs.cast(c, "f64"), d, 1e-6)
    near(cs.cast(y, "f64"), z, 1e-6)
  end)

  it("gives a row the same bits whoever is beside it", function()
    local pick <const> = { 2, 4, 7 }
    local function some(x)
      local all, list = x:totable(), {}
      for k, i in ipairs(pick) do list[k] = all[i] end
      return cs.rows(cs.tensor(list))
    end
    for _, o in ipairs { { control = "row" }, { solver = "rk4", step = 0.5 } } do
      local body = evolve_only(o)
      local all = cs.scan(body, h0, { x = xs, gap = gaps }, { lengths = lengths })
      local few = cs.scan(body, some(h0), { x = some(xs), gap = some(gaps) }, { lengths = some(lengths) })
      for k, i in ipairs(pick) do
        for d = 1, D do assert(all:get(i, d) == few:get(k, d)) end
      end
    end
  end)

  it("has the same bits by one thread and by two", function()
    local n <const> = 300
    local many, start = cs.rows(rng:normal { n, 5, I }), cs.rows(rng:normal { n, D })
    local gap = cs.rows(rng:uniform { n, 5 })
    local length = cs.rows(cs.floor(rng:uniform { n } * 6))
    local function bits()
      return tostring(cs.grad(function()
        return (cs.scan(evolve_only {}, start, { x = many, gap = gap }, { lengths = length }) ^ 2):sum()
      end)(net))
    end
    local before = core.threads()
    core.threads(1)
    local one = bits()
    core.threads(2)
    local two = bits()
    core.threads(before)
    assert(one == two)
  end)

  it("holds scans and flows with events, whose rows have their own too", function()
    local falls = cs.ode { control = "row", solver = "rk4", step = 0.25, field = function(_, y) return -y end,
      events = { { when = function(_, y) return y:column(1) - 0.5 end, most = 2,
        reset = function(_, y) return y + cs.tensor { 0.7, 0, 0 } end } } }
    local function body(h, v)
      local low = falls(cs.abs(h) + 0.1, { 0, 1 }):slice(2, 2, 2):reshape(h.shape[1], D)
      local inner = cs.scan(function(c, a) return cs.tanh(c + column(a)) end, low, cs.stack({ v.gap, v.gap * 2 }, 2))
      return gru(inner, v.x), h * h
    end
    compare("nested", body, h0, 1e-13)
    gradients(body, nil, { gru }, 1e-11)
  end)

  it("runs all rows where they depend on each other, or on more than rows", function()
    local function counts(body)
      local _, stats = program_of(function() return (cs.scan(body, h0, { x = xs, gap = gaps }, { lengths = lengths })) end)()
      return stats.scan_rows
    end
    assert(counts(function(h, v) return gru(h, v.x) end) == lengths:sum():item())
    assert(counts(function(h, v) return gru(h, v.x) - h:mean() end) == B * T)
    assert(counts(function(h, v)
      return gru(cs.ode { field = function(_, y) return y:mean() - y end }:map(0, 1)(h), v.x)
    end) == B * T)
    local c = cs.scan(function(h, v) return h * 0.5 + v - h:mean() end, h0:slice(2, 1, 1):reshape(B),
      xs:slice(3, 1, 1):reshape(B, T), { lengths = lengths })
    local expected = {}
    for i = 1, B do expected[i] = h0:get(i, 1) end
    for t = 1, T do
      local mean = 0
      for i = 1, B do mean = mean + expected[i] / B end
      for i = 1, B do
        if t <= lengths:get(i) then expected[i] = expected[i] * 0.5 + xs:get(i, t, 1) - mean end
      end
    end
    near(c, expected, 1e-13)
  end)
end)
