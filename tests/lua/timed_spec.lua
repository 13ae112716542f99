-- SPDX-License-Identifier: GPL-3.0-or-later
-- Nets that depend on time: every registered one against its formula written out, under every embedding, with and
-- without a context, times shared and by row; derivatives against differences and each other; as fields.
local cs = require "costate"
local core = require "costate.core"

local B <const>, D <const>, C <const>, F <const>, T <const> = 3, 2, 3, 4, 0.3
local rng = cs.rng(11)
local function rows(...) return cs.rows(rng:normal { ... }) end
local x, c, times = rows(B, D), rows(B, C), cs.rows(rng:uniform { B })

-- ---- formulas: all of rows, products of s and x one by one -----------------------------------------------------

local function affine(p, v, w, b)
  local y = cs.matmul(v, p[w])
  return p[b] and y + p[b] or y
end

--- Embeddings of t, rows [B, 1].
local embeddings = {
  none = function(t) return t end,
  fourier = function(t)
    local parts = { t }
    for k = 1, F / 2 do parts[k + 1], parts[F / 2 + k + 1] = cs.sin(2 * math.pi * k * t), cs.cos(2 * math.pi * k * t) end
    return cs.concat(parts, 2)
  end,
  positional = function(t)
    local parts = {}
    for k = 1, F / 2 do
      parts[k], parts[F / 2 + k] = cs.sin(2 ^ (k - 1) * math.pi * t), cs.cos(2 ^ (k - 1) * math.pi * t)
    end
    return cs.concat(parts, 2)
  end,
  learned = function(t, p) return cs.tanh(affine(p, t, "embed.weight", "embed.bias")) end,
}

local function gate(p, i, s) return cs.sigmoid(affine(p, s, i .. "gate", i .. "gate_bias")) end

local function blend(p, i, v, s)
  local y = affine(p, v, i .. "weight", i .. "bias")
  for j = 1, s.shape[2] do
    local w = p[i .. "slope"]
    local moved = cs.matmul(v, w:slice(1, j, j):reshape(w.shape[2], w.shape[3]))
    if p[i .. "bias_slope"] then moved = moved + p[i .. "bias_slope"]:slice(1, j, j):reshape(w.shape[3]) end
    y = y + s:slice(2, j, j) * moved
  end
  return y
end

local function joined(p, i, v, s)
  local y = affine(p, v, i .. "weight", i .. "bias")
  return s and y + cs.matmul(s, p[i .. "shift"]) or y
end

--- By kind: layer i of the parameters p.
local layers = {
  ignore = joined, concat = joined, blend = blend, hyper = blend,
  squash = function(p, i, v, s) return affine(p, v, i .. "weight", i .. "bias") * gate(p, i, s) end,
  concatsquash = function(p, i, v, s)
    return affine(p, v, i .. "weight", i .. "bias") * gate(p, i, s) + cs.matmul(s, p[i .. "shift"])
  end,
}

local function by_formula(kind, net, t, v, context)
  local p, o = net.parameters, net.options
  t = t + cs.zeros_like(v:slice(2, 1, 1))
  local s = kind ~= "ignore" and embeddings[o.embedding](t, p) or nil
  if context then s = s and cs.concat({ s, context }, 2) or context end
  for k = 0, kind == "hyper" and #o.hyper - 1 or -1 do
    s = cs.tanh(affine(p, s, ("hyper.%d.weight"):format(k), ("hyper.%d.bias"):format(k)))
  end
  for i = 0, #o.sizes - 2 do
    v = layers[kind](p, i .. ".", v, s)
    if i < #o.sizes - 2 then v = cs.softplus(v) end
  end
  return cs.sin(v)
end

-- ---- every kind, embedding, context and form of t ----------------------------------------------------------------

core.load "nn"
local kinds = {}
for _, e in ipairs(core.entries "model") do
  local name = e.name:match "^nn%.(.*)$"
  if name and (e.signature or ""):match "^t," then kinds[#kinds + 1] = { name = name, options = e.options } end
end
local function choices(kind, option)
  for _, o in ipairs(kind.options) do
    if o.name == option then return o.choices:gmatch "[^|]+" end
  end
end

--- A net whose parameters are all in play.
local function make(kind, changes)
  local o = { D, 5, 4, D, activation = "softplus", final = "sin", features = F, name = "test",
    hyper = kind == "hyper" and { 3, 4 } or nil }
  for k, v in pairs(changes or {}) do o[k] = v end
  local net = cs.nn[kind](o)
  if not o.init then net.flat:copy(net.flat + cs.rng(3):normal { #net } * 0.2) end
  return net
end

local forms = { { "t shared", cs.tensor(T) }, { "times [B]", times }, { "times [B, 1]", times:reshape(B, 1) } }

local function each(body)
  for _, kind in ipairs(kinds) do
    for embedding in choices(kind, "embedding") do
      for _, context in ipairs { 0, C } do
        local net = make(kind.name, { embedding = embedding, context = context })
        for _, form in ipairs(forms) do
          body(kind.name, net, form[2], context > 0 and c or nil,
            ("%s, %s, context %d, %s"):format(kind.name, embedding, context, form[1]))
        end
      end
    end
  end
end

local w = rows(B, D)

describe("a net of time", function()
  it("is registered in its six kinds", function() assert(#kinds >= 6) end)

  each(function(kind, net, t, context, title)
    it("computes its formula: " .. title, function()
      local column = t.rank == 1 and t:reshape(B, 1) or t
      near(net(t, x, context), by_formula(kind, net, column, x, context), 1e-13)
    end)
  end)
end)

--- f'(0) by differences of fourth order.
local function difference(f)
  local e <const> = 1e-4
  return (8 * (f(e) - f(-e)) - (f(2 * e) - f(-2 * e))) / (12 * e)
end

--- The slope of f() as the parameters of net move along v.
local function difference_by(net, v, f)
  local old = net.flat * 1
  local slope = difference(function(e)
    net.flat:copy(old + v * e)
    return f():item()
  end)
  net.flat:copy(old)
  return slope
end

local function like(u) return u.rows and cs.rows(rng:normal(u.shape)) or rng:normal(u.shape) end

describe("derivatives of a net of time", function()
  each(function(kind, net, t, context, title)
    local at = { t, x, context }
    local function loss(...) return (net(...) * w):sum() end

    it("are those of differences: " .. title, function()
      local v = rng:normal { #net }
      local g = cs.grad(function() return loss(t, x, context) end)(net)
      near((g * v):sum():item(), difference_by(net, v, function() return loss(t, x, context) end), 1e-9)
      local bars = { cs.grad(loss)(table.unpack(at)) }
      for k, u in ipairs(at) do
        local d, moved = like(u), { table.unpack(at) }
        local slope = difference(function(e)
          moved[k] = u + d * e
          return loss(table.unpack(moved)):item()
        end)
        near((bars[k] * d):sum():item(), slope, 1e-9)
      end
      if kind == "ignore" then assert(cs.abs(bars[1]):max():item() == 0) end
    end)

    it("agree forwards and backwards, and once more: " .. title, function()
      local along, sum = {}, 0
      for k, u in ipairs(at) do along[k] = like(u) end
      local _, slope = cs.jvp(function(...) return net(...) end)(at, along)
      local bars = { cs.grad(loss)(table.unpack(at)) }
      for k = 1, #at do sum = sum + (bars[k] * along[k]):sum():item() end
      near((slope * w):sum():item(), sum, 1e-12)
      local function twice() -- what an exact trace is made of
        local _, dot = cs.jvp(function(v) return net(t, v, context) end)({ x }, { along[2] })
        return (dot * w):sum()
      end
      local jacobian = cs.jacobian(function(v) return net(t, v, context) end)(x)
      local _, dot = cs.jvp(function(v) return net(t, v, context) end)({ x }, { along[2] })
      near(cs.bmm(jacobian, along[2]:reshape(B, D, 1)):reshape(B, D), dot, 1e-13)
      local v = rng:normal { #net }
      near((cs.grad(twice)(net) * v):sum():item(), difference_by(net, v, twice), 1e-8)
    end)
  end)
end)

describe("rows of a net of time", function()
  local many <const> = 300
  local X, cc, tt = rows(many, D), rows(many, C), cs.rows(rng:uniform { many })
  local function row(v, r, shape) return v:slice(1, r, r):reshape(table.unpack(shape)) end

  for _, kind in ipairs(kinds) do
    local net = make(kind.name, { context = C, embedding = "fourier" })
    it("are those alone: " .. kind.name, function()
      local y = net(tt, X, cc)
      for _, r in ipairs { 1, 150, many } do
        near(net(row(tt, r, {}), row(X, r, { D }), row(cc, r, { C })), row(y, r, { D }), 1e-13)
      end
      near(net(T, row(X, 2, { D }), row(cc, 2, { C })), row(net(T, X, cc), 2, { D }), 1e-13)
      near(net(T, X, row(cc, 2, { C })):slice(1, 2, 2), net(T, X, cc):slice(1, 2, 2), 1e-13)
    end)

    it("may be of several samples, each under its row's time and context: " .. kind.name, function()
      local K <const> = 4
      local samples = rows(B, K, D)
      for _, t in ipairs { cs.tensor(T), times, times:reshape(B, 1) } do
        local y = net(t, samples, c)
        for k = 1, K do
          near(y:slice(2, k, k):reshape(B, D), net(t, samples:slice(2, k, k):reshape(B, D), c), 1e-13)
        end
      end
      local own = cs.rows(rng:uniform { B, K })
      local y = net(own, samples, cs.reshape(c, { B, 1, C }))
      near(net(own:reshape(B, K, 1), samples, cs.reshape(c, { B, 1, C })), y, 0)
      for k = 1, K do
        near(y:slice(2, k, k):reshape(B, D), net(own:slice(2, k, k), samples:slice(2, k, k):reshape(B, D), c), 1e-13)
      end
    end)

    it("need no mark of a batch: " .. kind.name, function()
      local plain = { cs.shared(tt), cs.shared(X), cs.shared(cc) }
      near(net(table.unpack(plain)), cs.shared(net(tt, X, cc)), 1e-13)
    end)

    it("add up in the gradient, in however many chunks: " .. kind.name, function()
      local function total(from, to)
        return cs.grad(function()
          local y = net(tt:slice(1, from, to), X:slice(1, from, to), cc:slice(1, from, to))
          return (y * y):sum()
        end)(net)
      end
      near(total(1, many), total(1, 100) + total(101, many), 1e-12)
    end)
  end
end)

describe("a net of time in f32", function()
  for _, kind in ipairs(kinds) do
    it("starts and computes as in f64: " .. kind.name, function()
      local o = { context = C, embedding = "positional", init = "glorot" }
      local y, old = {}, cs.dtype()
      for _, dtype in ipairs { "f64", "f32" } do
        cs.dtype(dtype)
        local net = make(kind.name, o)
        local function cast(v) return cs.cast(v, dtype) end
        y[#y + 1] = { net(cs.tensor(T, "f64"), cast(x), cast(c)), net(cast(times), cast(x), cast(c)) }
        if dtype == "f32" then assert(y[2][1].dtype == "f32" and y[2][2].dtype == "f32") end
      end
      cs.dtype(old)
      for k = 1, 2 do near(cs.cast(y[2][k], "f64"), y[1][k], 1e-6) end
    end)
  end
end)

describe("a net of time as a field", function()
  local span = { 0, 0.4, 1 }
  for _, kind in ipairs(kinds) do
    local function gradients(context)
      local net = make(kind.name, { context = context and C, embedding = "learned" })
      local function field(t, y) return net(t, y, context) end
      local out = {}
      for _, gradient in ipairs { "discrete", "backsolve" } do
        for _, f in ipairs { field, not context and net or nil } do
          for _, control in ipairs { "batch", "row" } do
            local flow = cs.ode { field = f, gradient = gradient, rtol = 1e-11, atol = 1e-13, control = control }
            local function loss(_, y) return (flow(y, span) * cs.reshape(w, { B, 1, D })):sum() end
            out[#out + 1] = { cs.grad(loss)(net, x) }
          end
        end
      end
      return out
    end

    it("has one gradient, discrete and by backsolve, with steps of the batch and of rows: " .. kind.name, function()
      for _, context in ipairs { false, c } do
        local g = gradients(context or nil)
        assert(#g == (context and 4 or 8))
        for k = 2, #g do
          near(g[k][1], g[1][1], 1e-8)
          near(g[k][2], g[1][2], 1e-8)
        end
        assert(cs.abs(g[1][1]):max():item() > 1e-3)
      end
    end)

    it("is called with the time: " .. kind.name, function()
      local net = make(kind.name)
      local flow = cs.ode { field = net, solver = "euler", step = 0.5 }
      local half = x + 0.5 * net(0.0, x)
      near(flow:map(0, 1)(x), half + 0.5 * net(0.5, half), 1e-14)
    end)
  end
end)

describe("parameters of a net of time", function()
  it("start small where s comes in", function()
    for _, kind in ipairs(kinds) do
      local net = cs.nn[kind.name] { 3, 40, 3, context = 5 }
      for _, p in ipairs(net.list) do
        local word, most = p.name:match "([%a_]+)$", cs.abs(p.tensor):max():item()
        local S = p.tensor.shape[1]
        local n = word == "slope" and S * p.tensor.shape[2] or S
        if word == "gate" or word == "shift" or word:match "slope$" then
          assert(most <= 0.1 / math.sqrt(n) and most > 0.07 / math.sqrt(n), p.name)
        elseif p.name:match "^%d+%.bias" or word == "gate_bias" then
          assert(most == 0, p.name)
        end
      end
    end
  end)

  it("start within 1/sqrt(fan-in) with fan_in_uniform, biases too; a mlp as well", function()
    local net = cs.nn.concatsquash { 25, 100, 25, init = "fan_in_uniform", context = 3 }
    for name, most in pairs { ["0.weight"] = 0.2, ["0.bias"] = 0.2, ["1.weight"] = 0.1, ["1.bias"] = 0.1,
      ["0.gate"] = 0.5, ["0.gate_bias"] = 0.5, ["0.shift"] = 0.5 } do
      local largest = cs.abs(net.parameters[name]):max():item()
      assert(largest <= most and largest > 0.9 * most, name)
    end
    local mlp = cs.nn.mlp { 25, 100, 1, init = "fan_in_uniform" }
    local largest = cs.abs(mlp.parameters["0.bias"]):max():item()
    assert(largest <= 0.2 and largest > 0.18)
  end)

  it("have no bias where none is wanted", function()
    for _, kind in ipairs(kinds) do
      local net = make(kind.name, { bias = false, context = C })
      for _, p in ipairs(net.list) do assert(not p.name:match "^%d+%.bias", p.name) end
      for _, form in ipairs(forms) do
        local t = form[2].rank == 1 and form[2]:reshape(B, 1) or form[2]
        near(net(form[2], x, c), by_formula(kind.name, net, t, x, c), 1e-13)
      end
    end
  end)

  it("of hyper are those of blend where it has no hidden layer", function()
    local h, b = make("hyper", { hyper = {}, context = C }), make("blend", { context = C })
    assert(#h == #b)
    b.flat:copy(h.flat)
    for _, form in ipairs(forms) do near(h(form[2], x, c), b(form[2], x, c), 1e-13) end
  end)
end)

describe("misuse of a net of time", function()
  local net, with = cs.nn.concatsquash { 2, 4, 2 }, cs.nn.squash { 2, 4, 2, context = 3 }
  it("of its arguments is told", function()
    raises(function() net(x) end, "nn.concatsquash takes 2 or 3 arguments, got 1")
    raises(function() net(0, x, c, c) end, "nn.concatsquash takes 2 or 3 arguments, got 4")
    raises(function() net(x, 0) end, "concatsquash expects 2 values a row, got a scalar")
    raises(function() net(0, c) end, "concatsquash expects 2 values a row, got 3")
    raises(function() net(rows(B, 2), x) end, "concatsquash expects one time, or one a row, [B] or [B, 1]; got 2 a row")
    raises(function() net(cs.tensor { 0, 1 }, x) end, "expects one time", "got 2 a row")
    raises(function() net(0, x, c) end, "concatsquash was made without a context", "net(t, x)")
    raises(function() with(0, x) end, "squash has a context of 3 values a row and got none", "net(t, x, c)")
    raises(function() with(0, x, x) end, "squash expects a context of 3 values a row, got 2")
    raises(function() with(0, x, 1) end, "squash expects a context of 3 values a row, got a scalar")
    near(net(0, x, nil), net(0, x), 0)
  end)

  it("as a field is told", function()
    raises(function() cs.ode { field = with }({ 1, 2 }, { 0, 1 }) end, "squash has a context", "in a field function(t")
    raises(function() cs.ode { field = net }({ 1, 2, 3 }, { 0, 1 }) end, "concatsquash expects 2 values a row, got 3")
    raises(function() cs.ode { field = cs.nn.concat { 2, 4, 3 } }({ 1, 2 }, { 0, 1 }) end, "the field returned shape")
  end)

  it("of its options is told", function()
    for _, embedding in ipairs { "fourier", "positional" } do
      raises(function() cs.nn.concat { 2, 2, embedding = embedding, features = 7 } end,
        ("concat: embedding '%s' makes a sine and a cosine"):format(embedding), "must be even, got 7")
    end
    assert(cs.nn.concat { 2, 2, embedding = "learned", features = 7 })
    raises(function() cs.nn.concat { 2, 2, embedding = "furier" } end, "did you mean 'fourier'?")
    raises(function() cs.nn.concat { 2, 2, features = 0 } end, "'features'", "between 1 and 4096")
    raises(function() cs.nn.concat { 2, 2, context = -1 } end, "'context'")
    raises(function() cs.nn.concat { 2 } end, "concat needs at least two sizes")
    raises(function() cs.nn.concat { 2, 2, hyper = { 3 } } end, "unknown option 'hyper'")
    raises(function() cs.nn.hyper { 2, 2, hyper = { 3, 0.5 } } end,
      "hyper: hidden width 2 must be a positive whole number, got 0.5")
  end)
end)
