-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"
local core = require "costate.core"

local decay = function(_, y) return -y end

describe("ode", function()
  it("solves for one state, a batch, named parts", function()
    local flow = cs.ode { field = decay, rtol = 1e-10, atol = 1e-12 }
    near(flow(cs.tensor { 1, 2 }, { 0, 1 })[2], { math.exp(-1), 2 * math.exp(-1) }, 1e-9)
    near(flow({ 1, 2 }, cs.linspace(0, 1, 3))[3], { math.exp(-1), 2 * math.exp(-1) }, 1e-9)
    local v = flow(cs.rows(cs.tensor { { 1, 2 }, { 3, 4 } }), { 0, 1 })
    assert(v.shape[1] == 2 and v.shape[2] == 2 and v.shape[3] == 2)
    near(v[2][2], { 3 * math.exp(-1), 4 * math.exp(-1) }, 1e-9)
    local parts = cs.ode { rtol = 1e-10, parts = { cost = "quadrature" }, field = function(_, s)
      return { z = -s.z, cost = (s.z ^ 2):sum(2) }
    end }
    local w = parts({ z = cs.rows(cs.tensor { { 1, 0 }, { 0, 2 } }), cost = 0 }, { 0, 1 })
    local q = (1 - math.exp(-2)) / 2
    near(w.cost:column(2), { q, 4 * q }, 1e-8)
  end)

  it("may have a relative tolerance alone, also where a component is zero", function()
    near(cs.ode { rtol = 1e-8, atol = 0, field = function(_, y) return -y end }({ 0, 1 }, { 0, 1 })[2], { 0, math.exp(-1) }, 1e-7)
  end)

  it("knows time, columns, constants", function()
    local flow = cs.ode { rtol = 1e-10, field = function(t, u)
      local a = u:columns()
      return cs.stack { a * 0 + 2 * t, 3 }
    end }
    near(flow({ 0, 0 }, { 0, 2 })[2], { 4, 6 }, 1e-9)
  end)

  it("sees changed upvalues at the next call", function()
    local k = 1
    local flow = cs.ode { field = function(_, y) return -k * y end, rtol = 1e-10 }
    near(flow({ 1 }, { 0, 1 })[2], { math.exp(-1) }, 1e-8)
    k = 2
    near(flow({ 1 }, { 0, 1 })[2], { math.exp(-2) }, 1e-8)
  end)

  it("has gradients of captures beside some of another type, without a cotangent", function()
    local p = cs.parameters { w = cs.tensor { { 0.5, 1 }, { 0.7, -0.3 } }, z = cs.tensor { 0.3, 0.2 } }
    local y0 = cs.rows(cs.tensor { { 1, 0.5 }, { 0.2, 0.3 } })
    local which = cs.index { 1, 2, 1 }
    local function gradient(name, control)
      local flow = cs.ode { rtol = 1e-9, atol = 1e-11, gradient = name, control = control, field = function(_, y)
        return cs.tanh(y:matmul(p.w)) * p.z:take(which, 1):sum()
      end }
      return cs.grad(function() return (flow(y0, { 0, 0.5, 1 }) ^ 2):sum() end)(p)
    end
    local exact = gradient("discrete", "batch")
    for _, name in ipairs { "backsolve", "interpolating", "quadrature" } do
      for _, control in ipairs { "batch", "row" } do near(gradient(name, control), exact:totable(), 1e-6) end
    end
  end)

  it("has derivatives in times that repeat, or where a step ends", function()
    for _, solver in ipairs { "dopri5", "rk4" } do
      local flow = cs.ode { solver = solver, step = solver == "rk4" and 0.01 or nil, rtol = 1e-10, atol = 1e-12,
        field = function(t, y) return cs.sin(y + t) + 1 end }
      for _, list in ipairs { { 0, 0.5, 0.7, 1 }, { 0, 0.25, 1, 1 }, { 0, 0, 1 }, { 1, 0.4, 0, 0 }, { 0.3, 0.3 } } do
        local n, t = #list, cs.tensor(list, "f64")
        local weight = cs.linspace(0.5, 1, n)
        local function loss(times) return (flow({ 0.7 }, times):reshape { n } * weight):sum() end
        local bar, v = cs.grad(loss)(t), flow({ 0.7 }, t)
        for k = 1, n do
          local e = {}
          for i = 1, n do e[i] = i == k and 1 or 0 end
          local _, dot = cs.jvp(loss)({ t }, { cs.tensor(e, "f64") })
          near(dot:item(), bar[k], 1e-8)
          if k > 1 then near(bar[k], weight[k] * (math.sin(v[k][1] + list[k]) + 1), 1e-5) end
        end
      end
    end
  end)

  it("gives failures as results", function()
    local flow = cs.ode { field = function(_, y) return y ^ 2 end, max_steps = 1000 }
    local sol = flow:solve({ 1 }, { 0, 2 })
    assert(sol.status ~= "ok" and #sol.message > 20, sol.message)
    raises(function() flow({ 1 }, { 0, 2 }) end, "")
    local ok = flow:solve({ 1 }, { 0, 0.5 })
    near(ok(0.25), { 1 / 0.75 }, 1e-5)
    assert(ok.status == "ok" and ok.stats.evaluations > 5 and ok.stats.accepted > 0)
    local bad = cs.ode { field = function(_, y) return cs.log(y - 10) end }:solve({ 1 }, { 0, 1 })
    assert(bad.status ~= "ok" and tostring(bad):find(bad.status, 1, true))
  end)

  it("is there between the outputs, as the steps have it", function()
    local flow = cs.ode { field = function(t, y) return -y * cs.cos(t) end, rtol = 1e-9, trace = true }
    local sol = flow:solve({ 1, 2 }, { 0, 1, 5 })
    local function exact(t) return { math.exp(-math.sin(t)), 2 * math.exp(-math.sin(t)) } end
    near(sol(2.5), exact(2.5), 1e-7)
    near(sol { 3, 0.5, 5 }, { exact(3), exact(0.5), exact(5) }, 1e-7)
    near(sol(1), sol.values[2], 0)
    near(sol:slope(0.5), { -math.cos(0.5) * exact(0.5)[1], -math.cos(0.5) * exact(0.5)[2] }, 1e-7)
    near(flow:solve({ 1, 2 }, { 5, 0 })(2.5), { math.exp(math.sin(5) - math.sin(2.5)), 2 * math.exp(math.sin(5) - math.sin(2.5)) }, 1e-7)
    local axes = cs.ode { field = function(t, y) return y:slice(2, 1, 2) * y:sum(2):reshape { 1, 1 } * 0 + 3 end }
    near(axes:solve({ 1, 2 }, { 0, 1 }):slope(0.5), { 3, 3 }, 0)
    local quadrature = cs.ode { parts = { q = "quadrature" }, field = function(_, s) return { y = 2, q = s.y:sum(2) } end }
    local there = quadrature:solve({ y = { 1, 2 }, q = 0 }, { 0, 1 }):slope(0.5)
    near(there.y, { 2, 2 }, 0)
    near(there.q, 5, 1e-9)
    local start = { 1, 2 }
    sol = flow:solve(start, { 0, 1, 5 })
    start[1] = 7
    near(sol(2.5), exact(2.5), 1e-7)
    raises(function() sol(7) end, "outside", "0 to 5")
    raises(function() sol { "1" } end, "a string")
    raises(function() cs.grad(function(x) return (sol(1) * x):sum() end)(cs.tensor { 1, 1 }) end, "outside of traced")
    local batch = flow:solve(cs.rows(cs.tensor { { 1 }, { 3 } }), { 0, 5 })
    near(batch { 1, 2 }, { { { exact(1)[1] }, { exact(2)[1] } }, { { 3 * exact(1)[1] }, { 3 * exact(2)[1] } } }, 1e-7)
    local steps, sum = sol.steps, 0
    for i = 1, #steps.t do
      if steps.accepted[i] == 1 then sum = sum + steps.h[i] end
      assert((steps.error[i] <= 1) == (steps.accepted[i] == 1))
    end
    near(sum, 5, 1e-12)
    assert(#steps.t == sol.stats.accepted + sol.stats.rejected)
  end)

  it("has no values where a failed solve did not come", function()
    local function blows_up(_, y) return y ^ 2 end
    local sol = cs.ode { field = blows_up }:solve({ 1 }, { 0, 0.5, 2 })
    assert(sol.status == "step_min")
    near(sol.values:slice(1, 1, 2), { { 1 }, { 2 } }, 1e-4)
    assert(sol.values[3][1] ~= sol.values[3][1])
    local row = cs.ode { field = blows_up, control = "row" }:solve(cs.rows { { 0.1 }, { 1 }, { 0.1 } }, { 0, 0.5, 2 })
    assert(row.status == "step_min" and row.message:find("in row 2", 1, true), row.message)
    near(row.values[1][3], { 0.125 }, 1e-4)
    near(row.values[2][2], { 2 }, 1e-4)
    for _, v in ipairs { row.values[2][3][1], row.values[3][1][1], row.values[3][3][1] } do assert(v ~= v) end
    local jumps = { when = function(_, y) return y:column(1) - 1.5 end, reset = function(_, y) return y * 1.1 end }
    local eventful = cs.ode { field = blows_up, events = { jumps } }:solve({ 1 }, { 0, 0.5, 2 })
    assert(eventful.status == "step_min" and eventful.events == nil)
    for i = 1, 3 do assert(eventful.values[i][1] ~= eventful.values[i][1]) end
  end)

  it("tells a stiff problem from one that is merely fast", function()
    local stiff = cs.ode { field = function(t, y) return -1e5 * (y - cs.sin(t)) end, max_steps = 3000 }
    local sol = stiff:solve({ 2 }, { 0, 100 })
    assert(sol.status == "max_steps" and sol.message:find("stiff", 1, true) and sol.message:find("implicit", 1, true), sol.message)
    near(sol.stats.stiffness, 1e5, 1e-3)
    local fast = cs.ode { max_steps = 3000, field = function(_, s)
      local x, v = s:columns()
      return cs.stack { 1e3 * v, -1e3 * x }
    end }:solve({ 1, 0 }, { 0, 100 })
    assert(fast.status == "max_steps" and not fast.message:find("stiff", 1, true), fast.message)
    near(fast.stats.stiffness, 1e3, 1e-3)
  end)

  it("checks its options", function()
    local given = { field = decay, rtoll = 1 }
    raises(function() cs.ode(given) end, "unknown option 'rtoll' of ode", "did you mean 'rtol'", "ode_spec.lua")
    raises(function() cs.ode { field = decay, solver = "dopri6" } end, "dopri6", "did you mean")
    raises(function() cs.ode { field = decay, solver = "rk4" } end, "step")
    raises(function() cs.ode { solver = "dopri5" } end, "'field' of ode is required")
    raises(function() cs.ode { field = decay, rtol = "x" } end, "must be a number")
    raises(function() cs.ode { field = decay, rtol = -1 } end, "rtol")
    raises(function() cs.ode(decay) end, "table")
    raises(function() cs.ode { field = decay, gradient = { "discrete", nonsense = 1 } } end, "nonsense")
    near(cs.ode { field = decay, solver = "rk4", step = 0.01 }({ 1 }, { 0, 1 })[2], { math.exp(-1) }, 1e-8)
  end)

  it("explains errors in fields", function()
    raises(function() cs.ode { field = function() error("mine") end }({ 1 }, { 0, 1 }) end, "mine")
    raises(function() cs.ode { field = function() return "x" end }({ 1 }, { 0, 1 }) end, "returned a string")
    raises(function() cs.ode { field = function() return cs.ones(3) end }({ 1, 2 }, { 0, 1 }) end, "")
    raises(function() cs.ode { field = function(_, y) return cs.random.normal(y) end }({ 1 }, { 0, 1 }) end, "draw outside")
    raises(function() cs.ode { field = function(_, y) return y[2] end }({ 1, 2 }, { 0, 1 }) end, "column(2)")
    local flow = cs.ode { field = decay }
    raises(function() flow({ 1 }) end, "flow(y0, t)")
    raises(function() flow("x", { 0, 1 }) end, "initial state")
    raises(function() flow({ 1 }, 3) end, "times")
    near(flow({ 1 }, { 0, 0 })[2], { 1 })
  end)

  it("runs a model as its field, and prints", function()
    local net = cs.nn.mlp { 2, 4, 2 }
    local flow = cs.ode { field = function(_, y) return net(y) end }
    near(flow({ 1, 2 }, { 0, 1 }), flow(cs.tensor { { 1, 2 } }, { 0, 1 })[1], 1e-12)
    assert(tostring(flow):find("dopri5", 1, true))
    assert(cs.explain(flow):find("tanh", 1, true) or cs.explain(flow):find("dense", 1, true))
  end)
end)

describe("gradients of solves", function()
  it("agree with the closed form", function()
    for _, method in ipairs { "discrete", "backsolve", "interpolating", "quadrature" } do
      local p = cs.parameters { k = 0.7 }
      local flow = cs.ode { field = function(_, y) return -p.k * y end, rtol = 1e-10, atol = 1e-12, gradient = method }
      local y0, t = cs.tensor { 2 }, cs.tensor { 0, 1.5 }
      local final = function(a, s) return flow(a, s)[2]:sum() end
      local gy, gt = cs.grad(final)(y0, t)
      local e = math.exp(-0.7 * 1.5)
      near(gy, { e }, 1e-7)
      near(gt[2], -0.7 * 2 * e, 1e-6)
      near(cs.grad(function() return final(y0, t) end)(p), { -1.5 * 2 * e }, 1e-7)
    end
  end)

  it("of the second order, against differences", function()
    local p = cs.parameters { k = 0.7, positive = true }
    local flow = cs.ode { field = function(_, y) return -p.k * y ^ 2 end, rtol = 1e-10 }
    local loss = function() return flow({ 1 }, { 0, 1 })[2]:sum() end
    local hv = cs.hvp(loss)(p, cs.ones(1))
    local h, flat = 1e-5, p.flat
    local base = flat[1]
    flat[1] = base + h
    local up = cs.grad(loss)(p)[1]
    flat[1] = base - h
    local down = cs.grad(loss)(p)[1]
    flat[1] = base
    near(hv[1], (up - down) / (2 * h), 1e-5)
  end)

  it("are the same to the bit from any number of stored states", function()
    local net = cs.nn.mlp { 2, 8, 2, activation = "tanh" }
    local y0 = cs.rows(cs.tensor { { 1, 0.5 }, { -0.3, 0.8 } })
    for _, given in ipairs { { solver = "tsit5" }, { solver = "rk4", step = 0.02 }, { solver = "kencarp4" },
      { solver = "bosh3", control = "row" } } do
      local function gradients(checkpoints)
        local o = { field = net, rtol = 1e-7, atol = 1e-9, checkpoints = checkpoints }
        for k, v in pairs(given) do o[k] = v end
        local flow = cs.ode(o)
        local loss = function() return (flow(y0, { 0, 0.3, 1, 2 }) ^ 2):sum() end
        return cs.grad(loss)(net):totable(), cs.hvp(loss)(net, cs.ones(#net)):totable()
      end
      local g, h = gradients(nil)
      for _, k in ipairs { 1, 4, 50 } do
        local a, b = gradients(k)
        for i = 1, #g do assert(a[i] == g[i] and b[i] == h[i], given.solver) end
      end
    end
    raises(function() cs.ode { field = net, checkpoints = -1 } end, "checkpoints")
    raises(function() cs.ode { field = net, memory = 0.5 } end, "memory", "an integer")
    for _, e in ipairs(core.entries "gradient") do
      if not e.needs.tape then
        raises(function() cs.ode { field = net, gradient = e.name, checkpoints = 3 } end, e.name, "'adjoint.discrete' takes it")
        assert(cs.ode { field = net, gradient = e.name, checkpoints = 0 })
      end
    end
  end)
end)
