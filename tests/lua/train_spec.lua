-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

local data = cs.dataset "cubic_spiral" { points = 200, t1 = 5 }

local function setup(given)
  local net = cs.nn.mlp { 2, 8, 2, activation = "tanh" }
  local flow = cs.ode { field = function(_, y) return net(y ^ 3) end }
  local t = { parameters = net, optimizer = cs.optim.adam { lr = 1e-2 }, steps = 20, quiet = true,
    batch = function(rng) return data:windows(rng, 4, 5) end,
    loss = function(b) return cs.loss.mae(flow(b.y0, b.t), b.y) end }
  for k, v in pairs(given or {}) do t[k] = v end
  return t, net, flow
end

describe("train", function()
  it("lowers the loss and says what it did", function()
    local first
    local r = cs.train(setup { steps = 200, every = { [1] = function(run) first = first or run.loss end } })
    assert(r.status == "ok" and r.steps == 200 and r.nfe_forward > 0 and r.nfe_backward > 0)
    assert(r.loss < first)
  end)

  it("gives the same bits again", function()
    local a, b
    for i = 1, 2 do
      local t, net = setup {}
      net.flat:copy(cs.rng(9):normal(#net) * 0.3)
      cs.train(t)
      if i == 1 then a = net.flat:clone() else b = net.flat end
    end
    assert(a:near(b, 0))
  end)

  it("refuses a number that changes, and takes run.step", function()
    local _, net, flow = setup()
    local kl = 0
    local t = setup { parameters = net, every = { [1] = function() kl = kl + 0.1 end },
      loss = function(b) return cs.loss.mae(flow(b.y0, b.t), b.y) + kl * (net.parameters["0.weight"] ^ 2):mean() end }
    raises(function() cs.train(t) end, "'kl'", "train_spec.lua:", "run.step", "was 0", "is 0.1")
    t.every = nil
    t.loss = function(b, run)
      return cs.loss.mae(flow(b.y0, b.t), b.y) + run.step * 1e-6 * (net.parameters["0.weight"] ^ 2):mean()
    end
    assert(cs.train(t).status == "ok")
    t.loss = function(b, run)
      local kl2 = cs.anneal(run.step, { from = 3, rate = 0.9 })
      return cs.loss.mae(flow(b.y0, b.t), b.y) + kl2 * (net.parameters["0.weight"] ^ 2):mean()
    end
    assert(cs.train(t).status == "ok")
  end)

  it("draws random numbers anew at every step", function()
    local p = cs.parameters { a = 1 }
    local seen = {}
    cs.train { parameters = p, optimizer = cs.optim.sgd { lr = 0.0 }, steps = 10, quiet = true,
      loss = function() return p.a + cs.random.normal({ 3 }):mean() end,
      every = { [1] = function(run) seen[#seen + 1] = run.loss end } }
    for i = 2, 10 do assert(seen[i] ~= seen[i - 1]) end
  end)

  it("names the parameters by which the gradient is not finite, and leaves them as they were", function()
    local p, q = cs.parameters { a = 0, b = 1, c = 0, name = "p" }, cs.parameters { d = 2, name = "q" }
    local function end_of(loss)
      return cs.train { parameters = { p, q }, optimizer = cs.optim.sgd { lr = 1 }, steps = 3, quiet = true, loss = loss }
    end
    local r = end_of(function() return cs.sqrt(p.a ^ 2) + p.b * q.d end)
    assert(r.status == "nonfinite" and r.message == "the gradient is not finite by 1 of 4 parameters: 'a' of p", r.message)
    r = end_of(function() return cs.sqrt(p.a ^ 2) + cs.sqrt(p.c ^ 2) + cs.sqrt((p.b - 1) ^ 2) + cs.sqrt((q.d - 2) ^ 2) end)
    assert(r.message:find("4 of 4 parameters: 'a' of p, 'b' of p, 'c' of p, ..", 1, true), r.message)
    assert(p.a:item() == 0 and p.b:item() == 1 and q.d:item() == 2)
  end)

  it("returns what the numbers do, raises what the script does", function()
    local _, net, flow = setup()
    local r = cs.train(setup { parameters = net, loss = function(b) return cs.log(-cs.loss.mae(flow(b.y0, b.t), b.y)) end })
    assert(r.status == "nonfinite" and r.message)
    local hard = cs.ode { field = function(_, y) return net(y ^ 3) * 1e9 end, max_steps = 50 }
    r = cs.train(setup { parameters = net, loss = function(b) return cs.loss.mae(hard(b.y0, b.t), b.y) end })
    assert(r.status == "max_steps" and r.message:find("max_steps", 1, true))
    r = cs.train(setup { parameters = net, on_failure = "skip", steps = 5,
      loss = function(b) return cs.loss.mae(hard(b.y0, b.t), b.y) end })
    assert(r.status == "ok" and r.skipped == 5)
    raises(function() cs.train(setup { loss = function() error("mine") end }) end, "mine")
    raises(function() cs.train(setup { loss = function() return 1 end }) end, "does not depend")
    raises(function() cs.train(setup { loss = function(b) return b.y end }) end, "must be one number")
    raises(function() cs.train(setup { every = { [1] = function() error("callback") end } }) end, "callback")
    assert(not cs.is_traced())
  end)

  it("checks its options", function()
    raises(function() cs.train(setup { stpes = 3 }) end, "unknown option 'stpes' of train: did you mean 'steps'?")
    raises(function() cs.train(setup { optimizer = "adam" }) end, "cs.optim")
    raises(function() cs.train(setup { parameters = {} }) end, "no parameters")
    raises(function() cs.train(setup { parameters = 3 }) end, "parameters")
    raises(function() cs.optim.adam { lrr = 1 } end, "lrr", "did you mean 'lr'")
    raises(function() return cs.optim.adamm { lr = 1 } end, "adamm")
    raises(function() return cs.loss.maee(1, 2) end, "maee")
    raises(function() cs.dataset "cubic_spiral" { point = 3 } end, "point")
  end)

  it("clips, schedules, validates, stops early", function()
    local p = cs.parameters { a = 5 }
    local loss = function() return p.a ^ 2 end
    cs.train { parameters = p, optimizer = cs.optim.sgd { lr = 0.1 }, steps = 1, clip = 1, loss = loss, quiet = true }
    near(p.a:item(), 4.9, 1e-12)
    local rates = {}
    cs.train { parameters = p, optimizer = cs.optim.sgd { lr = 0.1 }, steps = 4, quiet = true, loss = loss,
      schedule = function(step, lr) rates[step] = lr; return 0 end }
    near(p.a:item(), 4.9, 1e-12)
    assert(rates[1] == 0.1)
    local r = cs.train { parameters = p, optimizer = cs.optim.sgd { lr = 0.1 }, steps = 100, quiet = true, loss = loss,
      validate = function() return 1 end, validate_every = 2, stop = { patience = 3 } }
    assert(r.status == "stopped_early" and r.steps == 8, r.steps)
    near(cs.schedule.cosine { steps = 10 }(5, 1), 0.5)
    near(cs.schedule.warmup { steps = 10 }(5, 1), 0.5)
    near(cs.schedule.step { every = 3, factor = 0.1 }(7, 1), 0.01)
  end)

  it("records numbers that a loss returns beside", function()
    local p, rows = cs.parameters { a = 2 }, {}
    local run = require "costate.run"
    local old = run.metrics
    run.metrics = function(row) rows[#rows + 1] = row.square end
    cs.train { parameters = p, optimizer = cs.optim.sgd { lr = 0 }, steps = 2, quiet = true,
      loss = function() return p.a, { square = p.a ^ 2 } end }
    run.metrics = old
    assert(rows[1] == 4)
  end)

  it("tells the norm of the gradient before it is clipped", function()
    local p, norms = cs.parameters { a = cs.tensor { 3, -4 } }, {}
    cs.train { parameters = p, steps = 2, quiet = true, clip = 1, optimizer = cs.optim.sgd { lr = 0.5 },
      loss = function() return (p.a ^ 2):sum() end, every = { [1] = function(run) norms[#norms + 1] = run.gradient_norm end } }
    near(norms[1], 10, 1e-12) -- 2 a, of length 10; clipped to 1, a step of 0.5 leaves |a| = 4.5
    near(norms[2], 9, 1e-12)
  end)
end)

describe("parameters", function()
  it("are positive when asked", function()
    local p = cs.parameters { alpha = 0.5, W = cs.tensor { 1, -2 }, positive = { "alpha" } }
    near(p.alpha:item(), 0.5, 1e-15)
    near(p.W, { 1, -2 })
    near(cs.parameters({ b = 3, positive = "softplus" }).b:item(), 3, 1e-14)
    raises(function() cs.parameters { a = -1, positive = true } end, "starts at -1")
    raises(function() p.alpha = 3 end, "optimizer")
    raises(function() cs.parameters { a = "x" } end, "number or a tensor")
  end)

  it("start the same for the same seed and name", function()
    local a, b = cs.nn.mlp { 2, 3, 1, name = "same" }, cs.nn.mlp { 2, 3, 1, name = "same" }
    assert(a.flat:near(b.flat, 0))
    assert(not cs.nn.mlp({ 2, 3, 1 }).flat:near(a.flat))
    raises(function() cs.nn.mlp { 2, 3, activatoin = "tanh" } end, "did you mean 'activation'")
    raises(function() cs.nn.mpl { 2 } end, "mpl")
    raises(function() a(cs.ones(1, 5)) end, "")
  end)
end)

describe("types in Lua", function()
  it("models and losses under a name", function()
    cs.register.model { name = "mine.affine", options = { size = { 2, help = "outputs" } },
      parameters = function(o) return { W = { shape = { 3, o.size } }, b = { shape = { o.size }, init = "zero" } } end,
      build = function(_, p, v) return cs.matmul(v, p.W) + p.b end }
    local m = cs.model "mine.affine" { size = 4 }
    assert(#m == 16 and m(cs.ones(5, 3)).shape[2] == 4)
    near(cs.grad(function() return m(cs.ones(5, 3)):sum() end)(m):sum():item(), 12 * 5 + 4 * 5)
    raises(function() cs.model "mine.affine" { sise = 4 } end, "did you mean 'size'")
    cs.register.loss { name = "mine.pinball", options = { q = { 0.5, range = { 0, 1 } } },
      build = function(o, y, target)
        local r = target - y
        return cs.maximum(o.q * r, (o.q - 1) * r):mean()
      end }
    near(cs.loss "mine.pinball"(cs.tensor { 1, 2 }, cs.tensor { 2, 0 }, { q = 0.9 }):item(), (0.9 + 0.2) / 2)
    raises(function() cs.register.loss { name = "mine.pinball", build = print } end, "registered already")
  end)

  it("data sets, splits, batches", function()
    cs.register.dataset { name = "mine.points", build = function(o, rng)
      return { x = cs.rows(rng:normal(o.n, 2)), id = cs.rows(cs.iota(o.n)) }
    end }
    local d = cs.dataset "mine.points" { n = 20 }
    local a, b = d:split { test = 0.25, seed = 1 }
    assert(#a.x == 15 and #b.x == 5)
    local next_batch, sum = a:batches { size = 5, shuffle = true }, 0
    local rng = cs.rng(0)
    for _ = 1, next_batch.per_epoch do sum = sum + next_batch(rng).id:sum():item() end
    near(sum, a.id:sum():item())
    assert(#d:draw(rng, 7).x == 7)
    local early, late = data:split { test = 0.1 }
    assert(#early.y == 180 and #late.t == 20)
  end)
end)
