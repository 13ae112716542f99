-- SPDX-License-Identifier: GPL-3.0-or-later
-- control = "row": every row has steps, and may have times, of its own.
local cs = require "costate"
local core = require "costate.core"

local function vdp(mu)
  return function(_, u)
    local x, v = u:columns()
    return cs.stack { v, mu * (1 - x ^ 2) * v - x }
  end
end

describe("control of each row", function()
  local mu = cs.rows(cs.tensor { 0.1, 1, 5, 9 })
  local y0 = cs.rows(cs.tensor { { 2, 0 }, { 2, 0 }, { 1, 1 }, { -2, 0.5 } })

  it("takes the steps that each row takes alone", function()
    local flow = cs.ode { field = vdp(mu), rtol = 1e-6, control = "row" }
    local sol = flow:solve(y0, { 0, 3, 7 })
    assert(sol.status == "ok")
    local evaluations = 0
    for i = 1, 4 do
      local alone = cs.ode { field = vdp(mu[i]), rtol = 1e-6 }:solve(y0[i], { 0, 3, 7 })
      evaluations = evaluations + alone.stats.evaluations
      near(sol.values[i], alone.values, 0)
    end
    assert(sol.stats.evaluations == evaluations)
    local together = cs.ode { field = vdp(mu), rtol = 1e-6 }:solve(y0, { 0, 3, 7 })
    assert(4 * together.stats.evaluations > evaluations)
  end)

  it("has times of each row, also of different lengths and directions", function()
    local flow = cs.ode { field = function(_, y) return -y end, rtol = 1e-10, atol = 1e-12, control = "row" }
    local y = cs.rows(cs.tensor { { 1 }, { 2 }, { 3 } })
    local v = flow(y, { { 0, 1, 2 }, { 0.5, -1 }, { 3 } })
    near(v[1], { { 1 }, { math.exp(-1) }, { math.exp(-2) } }, 1e-9)
    near(v[2], { { 2 }, { 2 * math.exp(1.5) }, { 2 * math.exp(1.5) } }, 1e-8)
    near(v[3], { { 3 }, { 3 }, { 3 } }, 0)
    local batch = cs.ode { field = function(_, y_) return -y_ end }
    raises(function() batch(y, { { 0, 1 }, { 0, 1 }, { 0, 1 } }) end, "control", "row")
    raises(function() flow(y, { { 0, 1 }, { 0, 1 } }) end, "2 rows", "3")
    raises(function() flow(y, { { 0, 1 }, {}, { 0, 1 } }) end, "row 2 has no times")
    raises(function() cs.ode { field = function(_, y_) return -y_ end, control = "rows" } end, "control", "rows")
  end)

  it("refuses rows that see each other, and names where", function()
    local flow = cs.ode { field = function(_, y) return y:mean() - y end, control = "row" }
    raises(function() flow(y0, { 0, 1 }) end, "mixes", "rows_spec.lua")
  end)

  it("names the row that failed", function()
    local flow = cs.ode { field = function(_, y) return y ^ 2 end, control = "row", max_steps = 2000 }
    local sol = flow:solve(cs.rows(cs.tensor { { 0.1 }, { 1 } }), { 0, 2 })
    assert(sol.status ~= "ok" and sol.message:find("row 2", 1, true), sol.message)
    near(sol.values[1][2], { 0.1 / (1 - 0.2) }, 1e-5)
  end)

  for _, gradient in ipairs { "discrete", "backsolve", "interpolating", "quadrature" } do
    it("has derivatives in everything: " .. gradient, function()
      local a = cs.parameters { a = 0.7 }
      local times = cs.rows(cs.tensor({ { 0, 0.5, 1 }, { 0, 1, 2 }, { 0.1, 0.2, 0.3 }, { 0, 0, 1.5 } }, "f64"))
      local weights = core.rng(3, "w"):normal { 4, 3, 2 }
      local function loss(y, t, m)
        local f = cs.ode { rtol = 1e-9, atol = 1e-11, control = "row", gradient = gradient,
          field = function(s, x) return -a.a * x * m + cs.sin(s) end }
        return (f(y, t) * weights):sum()
      end
      local m = cs.rows(mu:reshape { 4, 1 })
      local gy, gt, gm = cs.grad(loss)(y0, times, m)
      local function difference(which, x, i, k)
        local function at(h)
          local moved = x:clone()
          local row = moved[i]:clone()
          row[k] = row[k] + h
          moved[i] = row
          local args = { y0, times, m }
          args[which] = moved
          return loss(args[1], args[2], args[3]):item()
        end
        return (at(1e-5) - at(-1e-5)) / 2e-5
      end
      local tolerance = gradient == "discrete" and 1e-6 or 1e-5
      for i = 1, 4 do
        near(gy[i][2], difference(1, y0, i, 2), tolerance)
        near(gm[i][1], difference(3, m, i, 1), tolerance)
        if i ~= 4 then near(gt[i][2], difference(2, times, i, 2), tolerance) end
        near(gt[i][3], difference(2, times, i, 3), tolerance)
      end
    end)
  end
end)

describe("a batch that a trace meets only by what it captures", function()
  local times = cs.rows { 1, 2, 3 }

  it("brings its rows before numbers are repeated along them", function()
    local stacked = cs.compile(function() return cs.stack({ 0, times, cs.tensor(7) }, 2) end)()
    assert(stacked.rows)
    near(stacked, cs.rows { { 0, 1, 7 }, { 0, 2, 7 }, { 0, 3, 7 } }, 0)
    near(cs.compile(function() return cs.full_like(times, 4) end)(), cs.rows { 4, 4, 4 }, 0)
    near(cs.compile(function() return cs.broadcast_like(cs.tensor(5), times) end)(), cs.rows { 5, 5, 5 }, 0)
    near(cs.broadcast_like(cs.tensor(5), times), cs.rows { 5, 5, 5 }, 0)
  end)

  it("may be the times of a flow", function()
    local flow, p = cs.ode { field = function(_, y) return -y end, control = "row" }, cs.parameters { k = 1 }
    local y0 = cs.rows { { 1 }, { 1 }, { 1 } }
    local slope = cs.grad(function(_) return (p.k * flow:map(0, times)(y0)):sum() end)(p)
    near(slope, { math.exp(-1) + math.exp(-2) + math.exp(-3) }, 1e-6)
  end)
end)

describe("times of each row that are no batch, such as parameters", function()
  local y0 = cs.rows { { 1, 2 }, { 0.3, 1 }, { 2, 0.5 } }
  local list = { { 0, 0.4, 1 }, { 0.1, 1, 2 }, { 0, 0, 1.5 } }
  local function flow(o)
    o.field, o.control = function(t, y) return cs.sin(t) - y ^ 2 end, "row"
    return cs.ode(o)
  end
  local function loss(f) return function(y, t) return (f(y, t) ^ 2):sum() end end

  it("are those of the rows of the state", function()
    local f = flow {}
    near(f(y0, cs.tensor(list)), f(y0, cs.rows(list)), 0)
    near(f(cs.shared(y0), cs.tensor(list)), f(y0, cs.rows(list)), 0)
    near(f:map(0, cs.tensor { 1, 2, 3 })(y0), f:map(0, cs.rows { 1, 2, 3 })(y0), 0)
    near(f:map(cs.rows { 0, 1, 1 }, cs.tensor { 1, 2, 3 })(y0), f:map(cs.rows { 0, 1, 1 }, cs.rows { 1, 2, 3 })(y0), 0)
    local events = { { when = function(_, y) return y:column(1) - 0.9 end, reset = function(_, y) return y + 1 end } }
    local e = flow { events = events }
    near(e(y0, cs.tensor(list)), e(y0, cs.rows(list)), 0)
    raises(function() f:map(0, cs.tensor { 1, 2 })(y0) end, "2 rows", "3")
    raises(function() f(y0, cs.tensor { { 0, 1 } }) end, "1 rows", "3")
    raises(function() f:with { control = "batch" }(y0, cs.tensor(list)) end, 'control = "row"')
    raises(function() f:with { control = "batch" }:map(0, cs.tensor { 1, 2, 3 }) end, 'control = "row"')
  end)

  for _, entry in ipairs(core.entries("gradient")) do
    if core.accepts(entry.name, "dopri5") then
      it("have the same derivatives: " .. entry.name, function()
        local f = flow { gradient = entry.name }
        local y_bar, t_bar = cs.grad(loss(f))(y0, cs.rows(list))
        local own_y, own_t = cs.grad(loss(f))(y0, cs.tensor(list))
        assert(not own_t.rows)
        near(own_y, y_bar, 0)
        near(own_t, cs.shared(t_bar), 0)
      end)
    end
  end

  it("have the same tangents", function()
    local y_dot, t_dot = cs.rows { { 1, 0 }, { 2, 1 }, { 0, 3 } }, { { 1, 0, 2 }, { 0, 1, -1 }, { 0.5, 0, 3 } }
    local _, a = cs.jvp(loss(flow {}))({ y0, cs.rows(list) }, { y_dot, cs.rows(t_dot) })
    local _, b = cs.jvp(loss(flow {}))({ y0, cs.tensor(list) }, { y_dot, cs.tensor(t_dot) })
    near(b, a, 0)
  end)
end)

describe("the Jacobian of a flow in every row", function()
  local w = cs.tensor { { -0.5, 1.2 }, { -1.1, -0.3 } }
  local function field(_, y) return cs.tanh(y:matmul(w)) end
  local y = cs.rows { { 1, 2 }, { 0.3, -1 }, { 2, 2 } }

  for _, given in ipairs { { "dopri5" }, { "kencarp4" }, { "rk4", step = 0.05 },
    { "dopri5", events = { { when = function(_, s) return s:column(1) - 1.5 end, direction = "falling",
      reset = function(_, s) return s + 1 end } } } } do
    it("is that of the row alone: " .. given[1] .. (given.events and " with events" or ""), function()
      local phi = cs.ode { field = field, control = "row", solver = given[1], step = given.step, events = given.events }:map(0, 1)
      local j = cs.jacobian(phi)(y)
      for i = 1, 3 do near(j[i], cs.jacobian(phi)(y[i]), 0) end
    end)
  end

  it("is there for equations that hold a flow: a boundary value problem in each row", function()
    local flow = cs.ode { control = "row", rtol = 1e-9, atol = 1e-11,
      field = function(_, s) return cs.stack { s:column(2), -cs.sin(s:column(1)) } end }
    local slope = cs.implicit { constraint = function(v, target)
      return flow:map(0, 1)(cs.concat({ 0 * v, v }, 2)):slice(2, 1, 1) - target
    end }
    local v = slope(cs.rows { { 1 }, { 1 } }, cs.rows { { 0.5 }, { 0.2 } })
    near(flow:map(0, 1)(cs.concat({ 0 * v, v }, 2)):column(1), cs.rows { 0.5, 0.2 }, 1e-8)
  end)

  it("does not exist where one step size serves all rows, which depends on all of them", function()
    raises(function() cs.jacobian(cs.ode { field = field }:map(0, 1))(y) end, "depend on each other", 'control = "row"')
    local mixing = cs.ode { control = "row", field = function(_, s) return s - s:mean(1) end }
    raises(function() cs.jacobian(mixing:map(0, 1))(y) end, "depend on each other")
  end)
end)
