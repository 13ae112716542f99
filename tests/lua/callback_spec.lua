-- SPDX-License-Identifier: GPL-3.0-or-later
-- callback =: a plain function that is called at every evaluation.
local cs = require "costate"

local has = {}
for _, p in ipairs(require("costate.core").available()) do has[p.name] = true end

local solvers = { "rk4", "dopri5", "tsit5", "esdirk.kencarp5" }
local from_plugins = { gsl = { "gsl.rk8pd", "gsl.msadams", "gsl.msbdf", "gsl.bsimp", "gsl.rk4imp" },
  sundials = { "sundials.cvode_adams", "sundials.cvode_bdf", "sundials.ark_dirk" } }
for plugin, names in pairs(from_plugins) do
  if has[plugin] then table.move(names, 1, #names, #solvers + 1, solvers) end
end

--- A pendulum that swings ever faster, in which rows differ, three times.
local function traced(t, y)
  local a, b = y:columns()
  return cs.stack { b, -a * (1 + t) - a * a * a }
end
local function of_numbers(t, y, dy)
  dy[1] = y[2]
  dy[2] = -y[1] * (1 + t) - y[1] * y[1] * y[1]
end
local function of_rows(t, y, dy)
  for i = 1, #y do of_numbers(t, y[i], dy[i]) end
end

local t = cs.tensor({ 0, 0.4, 1.5 }, "f64")
local batch = cs.tensor { { 1, 0 }, { 0.3, -2 }, { 1e-3, 5 } }

local function options(solver, more)
  local o = { solver = solver, rtol = 1e-9, atol = 1e-11, step = solver == "rk4" and 0.05 or nil }
  for k, v in pairs(more) do o[k] = v end
  return o
end

local function solved(o, y0, times)
  local sol = cs.ode(o):solve(y0, times or t)
  assert(sol.status == "ok", sol.message)
  return sol.values, sol
end

describe("a callback", function()
  for _, solver in ipairs(solvers) do
    local implicit = require("costate.core").find("solver", solver).traits.implicit
    -- Explicit methods see the same numbers, so the bits are the same; with another Jacobian an iteration, or a method
    -- made of it, ends elsewhere within its tolerance.
    local tolerance = implicit and 1e-7 or 0
    it("is followed as the field that is traced: " .. solver, function()
      near(solved(options(solver, { callback = of_numbers }), { 1, 0 }),
        solved(options(solver, { field = traced }), { 1, 0 }), tolerance)
      near(solved(options(solver, { callback = of_rows }), batch), solved(options(solver, { field = traced }), batch), tolerance)
      near(solved(options(solver, { callback = of_rows, control = "row" }), batch),
        solved(options(solver, { field = traced, control = "row" }), batch), tolerance)
    end)
  end

  it("may use tensors, models and what tracing knows, and return the derivative", function()
    local net = cs.nn.mlp { 2, 8, 2, name = "called" }
    local function both(_, y) return net(y) * 0.5 end
    local a = solved({ callback = both, rtol = 1e-9 }, cs.rows(batch))
    near(a, solved({ field = both, rtol = 1e-9 }, cs.rows(batch)), 1e-15)
    near(solved({ callback = function(_, y) return { -y[1], 0 } end }, { 1, 2 }, { 0, 1 })[2], { math.exp(-1), 2 }, 1e-6)
    near(solved({ callback = function() return 2 end }, { 1, 2 }, { 0, 1 })[2], { 3, 4 }, 1e-14)
    near(solved({ callback = function(_, y, dy) dy:copy(-y) end }, 1, { 0, 1 })[2], math.exp(-1), 1e-6)
    near(solved({ callback = function(_, y, dy) return dy:copy(-y) end }, 1, { 0, 1 })[2], math.exp(-1), 1e-6)
  end)

  it("gets a number, and copies of the state in the shape the script gave", function()
    local seen, mine = {}, nil
    local flow = cs.ode { solver = "euler", step = 0.5, callback = function(time, y, dy)
      seen[#seen + 1] = { time, y, table.concat(y.shape, ","), y.dtype, y.rows }
      mine = dy
      dy:fill(1)
      y:fill(7)
    end }
    near(flow({ 1, 2, 3 }, { 0, 1 }), { { 1, 2, 3 }, { 2, 3, 4 } }, 0)
    assert(math.type(seen[1][1]) == "float" and seen[1][3] == "3" and not seen[1][5] and seen[2][1] == 0.5)
    near(seen[1][2], { 7, 7, 7 }, 0)
    mine:fill(0 / 0)
    near(flow(batch, { 0, 1 })[2], { { 0.3, -2 }, { 1.3, -1 } }, 0)
    assert(seen[#seen][3] == "3,2" and seen[#seen][5])
  end)

  it("has parts by name, to be written, set or returned; quadratures are only in dy", function()
    local y0 = { x = { 1, 0 }, e = 0.5 }
    local o = { rtol = 1e-9, parts = { e = "quadrature" } }
    local function with(f) return solved({ rtol = 1e-9, parts = o.parts, callback = f }, y0, { 0, 1 }) end
    local want = solved({ rtol = 1e-9, parts = o.parts, field = function(_, y)
      local a, b = y.x:columns()
      return { x = cs.stack { b, -a }, e = (a ^ 2):reshape(-1) }
    end }, y0, { 0, 1 })
    for _, f in ipairs {
      function(_, y, dy)
        assert(y.e == nil)
        dy.x[1], dy.x[2] = y.x[2], -y.x[1]
        dy.e:fill(y.x[1] ^ 2)
      end,
      function(_, y, dy) dy.x, dy.e = { y.x[2], -y.x[1] }, y.x[1] ^ 2 end,
      function(_, y) return { x = { y.x[2], -y.x[1] }, e = y.x[1] ^ 2 } end,
    } do
      local values = with(f)
      near(values.x, want.x, 1e-15)
      near(values.e, want.e, 1e-15)
    end
  end)

  it("works with dense output, slopes, events, maps, times of rows and f32", function()
    local flow = cs.ode { callback = of_rows, rtol = 1e-8 }
    local like = cs.ode { field = traced, rtol = 1e-8 }
    local a, b = flow:solve(batch, t), like:solve(batch, t)
    near(a(0.77), b(0.77), 1e-14)
    near(a:slope(0.77), b:slope(0.77), 1e-14)
    near(flow:map(0, 1)(batch), like:map(0, 1)(batch), 1e-14)
    near(flow:map(0, 1):inverse()(batch), like:map(0, 1):inverse()(batch), 1e-14)
    local times = { { 0, 1 }, { 0, 0.5 }, { 0, 2 } }
    near(flow:with { control = "row" }(batch, times), like:with { control = "row" }(batch, times), 1e-14)
    local events = { { when = function(_, y) return y:column(1) end, direction = "falling",
      reset = function(_, y) return cs.stack { 0 * y:column(1), -0.8 * y:column(2) } end } }
    for _, y0 in ipairs { batch, cs.tensor { 1, 0 } } do
      local f = y0.rank == 1 and of_numbers or of_rows
      local x, was = cs.ode { callback = f, events = events, rtol = 1e-9 }(y0, t)
      local y, is = cs.ode { field = traced, events = events, rtol = 1e-9 }(y0, t)
      near(x, y, 1e-13)
      near(was.times, is.times, 1e-13)
      assert(is.count:sum():item() > 0)
    end
    local core = require "costate.core"
    core.dtype "f32"
    local ok, message = pcall(function()
      local y0 = cs.tensor { 1, 0 }
      assert(y0.dtype == "f32")
      for _, solver in ipairs { "dopri5", "esdirk.kencarp4" } do -- numbers of Lua are f64 in between
        near(cs.ode { callback = of_numbers, rtol = 1e-6, solver = solver }(y0, t),
          cs.ode { field = traced, rtol = 1e-6, solver = solver }(y0, t), 1e-4)
      end
    end)
    core.dtype "f64"
    assert(ok, message)
  end)

  it("is one call for all rows of a large batch, whatever the number of threads", function()
    local core = require "costate.core"
    local before, y0, calls = core.threads(), cs.rows(cs.ones(2000, 2)), 0
    core.threads(4)
    local ok, message = pcall(function()
      local flow = cs.ode { callback = function(time, y)
        calls = calls + 1
        assert(y.shape[1] == 2000)
        return traced(time, y)
      end }
      local values, sol = solved({ field = traced }, y0)
      near(flow(y0, t), values, 0)
      assert(calls == sol.stats.evaluations)
    end)
    core.threads(before)
    assert(ok, message)
  end)

  it("is differenced for stiff problems: Robertson's", function()
    local flow = cs.ode { solver = "esdirk.kencarp5", rtol = 1e-7, atol = 1e-12, callback = function(_, y, dy)
      local a, b, c = y[1], y[2], y[3]
      dy[1] = -0.04 * a + 1e4 * b * c
      dy[2] = 0.04 * a - 1e4 * b * c - 3e7 * b ^ 2
      dy[3] = 3e7 * b ^ 2
    end }
    local sol = flow:solve({ 1, 0, 0 }, { 0, 40 })
    assert(sol.status == "ok", sol.message)
    near(sol.values[2], { 0.7158271, 9.185535e-6, 0.2841637 }, 1e-6)
    assert(sol.stats.evaluations < 4000, sol.stats.evaluations)
  end)
end)

describe("a callback that fails", function()
  local solver_list = { "dopri5", "esdirk.kencarp5" }
  for _, s in ipairs { "gsl.msbdf", "sundials.cvode_bdf" } do
    if has[s:match "^%w+"] then solver_list[#solver_list + 1] = s end
  end
  for _, solver in ipairs(solver_list) do
    it("ends the solve with its message and line, and the flow goes on: " .. solver, function()
      local wrong = true
      local flow = cs.ode { solver = solver, callback = function(time, y, dy)
        if wrong and time > 0.5 then error("no more\nof this") end
        dy[1] = -y[1]
      end }
      local sol = flow:solve({ 1 }, { 0, 0.25, 1 })
      assert(sol.status == "callback", sol.status)
      assert(sol.message:find("callback_spec.lua:%d+: no more\nof this"), sol.message)
      near(sol.values[2], math.exp(-0.25), 1e-4)
      assert(sol.values[3]:item() ~= sol.values[3]:item())
      raises(function() flow({ 1 }, { 0, 1 }) end, "callback_spec.lua", "no more")
      wrong = false
      near(flow({ 1 }, { 0, 1 })[2], math.exp(-1), 1e-4)
    end)
  end

  it("may raise anything, in any row, at the start, also where it may not wait", function()
    local function message_of(f, y0, more)
      local o = { callback = f }
      for k, v in pairs(more or {}) do o[k] = v end
      local sol = cs.ode(o):solve(y0 or { 1 }, { 0, 1 })
      assert(sol.status == "callback", sol.status)
      return sol.message
    end
    assert(message_of(function() error({}) end):find("table", 1, true))
    assert(message_of(function() error(setmetatable({}, { __tostring = function() return "an object" end })) end)
      :find("an object", 1, true))
    assert(message_of(function() error() end):find("nil", 1, true))
    assert(message_of(function() return nil + 1 end):find("callback_spec.lua:", 1, true))
    assert(message_of(function(_, y, dy)
      if y[1][1] > 2.9 then error("a row") end
      dy:copy(y)
    end, cs.tensor { { 1 }, { 2 } }, { control = "row" }):find("in row 2", 1, true))
    assert(coroutine.wrap(function() return message_of(coroutine.yield) end)():find("yield", 1, true))
  end)

  it("is told what it left open", function()
    local function says(f, text, y0, parts)
      local sol = cs.ode { callback = f, parts = parts }:solve(y0 or { 1, 2 }, { 0, 1 })
      assert(sol.status == "callback" and sol.message:find(text, 1, true), sol.message)
      assert(sol.message:find("the callback (", 1, true) and sol.message:find("callback_spec.lua:", 1, true), sol.message)
    end
    says(function() end, "neither wrote dy nor returned")
    says(function(_, _, dy) dy[1] = 1 end, "did not write dy[2]")
    says(function(_, _, dy) dy[2][1] = 1 end, "did not write dy[1][1]", batch)
    says(function(_, _, dy)
      dy[1] = 1
      return { 1, 2 }
    end, "wrote dy and returned a derivative as well")
    says(function() return { 1, 2, 3 } end, "gave shape [3] for 'y', whose shape is [2]")
    says(function() return "x" end, "gave a string for 'y'")
    says(function() return true end, "gave a boolean for 'y'")
    local y0 = { x = { 1 }, v = { 2 } }
    says(function(_, _, dy) dy.x = 1 end, "neither wrote dy.v", y0)
    says(function() return { x = 1, w = 2 } end, "in what the callback", y0)
    says(function(_, _, dy) dy.w = 1 end, "unknown option 'w'", y0)
    says(function() return 1 end, "returned a number", y0)
    says(function(_, _, dy)
      dy.v:fill(1)
      return { x = 1, v = 1 }
    end, "wrote dy.v and returned", y0)
  end)

  it("is named as the place where a NaN was born", function()
    local function nan(time, y, dy) dy[1] = time > 0.3 and math.log(-1) or y[1] end
    local line = debug.getinfo(nan, "S").linedefined
    for _, solver in ipairs(solver_list) do
      local sol = cs.ode { callback = nan, solver = solver }:solve({ 1 }, { 0, 1 })
      assert(sol.status ~= "ok" and sol.status ~= "callback", sol.status)
      if solver == "dopri5" then
        assert(sol.status == "nonfinite" and sol.message:find(("'callback' at %s:%d"):format(debug.getinfo(nan, "S").short_src,
          line), 1, true), sol.message)
      end
    end
  end)
end)

describe("options of ode", function()
  it("have a field or a callback", function()
    raises(function() cs.ode { solver = "dopri5" } end, "'field'", "'callback'")
    raises(function() cs.ode { field = traced, callback = of_rows } end, "not both")
    raises(function() cs.ode { callback = 3 } end, "'callback'", "must be a function")
    raises(function() cs.ode { callback = cs.nn.mlp { 1, 1, name = "uncalled" } } end, "must be a function")
  end)
end)

describe("derivatives of a callback", function()
  it("are refused, with what to do instead", function()
    local y0 = cs.tensor { 1, 0 }
    for _, e in ipairs(require("costate.core").entries("gradient")) do
      if e.name ~= "adjoint.finite" and e.name ~= "adjoint.reversible" then
        local flow = cs.ode { callback = of_numbers, gradient = e.name }
        flow(y0, t)
        raises(function() cs.grad(function(y) return flow(y, t):sum() end)(y0) end, "callback_spec.lua:", "has no derivative",
          "field =", "finite")
        near(flow(y0, t), cs.ode { field = traced }(y0, t), 1e-15)
      end
    end
    local flow = cs.ode { callback = of_numbers }
    raises(function() cs.jvp(function(y) return flow(y, t) end)({ y0 }, { y0 }) end, "has no derivative")
  end)

  it("are differences of solves: finite", function()
    local function gradients(o, y0)
      o.gradient, o.rtol, o.atol = o.field and "discrete" or "finite", 1e-8, 1e-10
      local flow = cs.ode(o)
      return cs.grad(function(y, time) return (flow(y, time) ^ 2):sum() end)(y0, t)
    end
    for _, y0 in ipairs { cs.tensor { 1, 0 }, cs.rows(batch) } do
      local f = y0.rank == 1 and of_numbers or of_rows
      for _, more in ipairs { {}, { control = "row" }, { solver = "esdirk.kencarp5" } } do
        local a, b = { callback = f }, { field = traced }
        for k, v in pairs(more) do a[k], b[k] = v, v end
        local y_a, t_a = gradients(a, y0)
        local y_b, t_b = gradients(b, y0)
        near(y_a, y_b, 1e-6)
        near(t_a, t_b, 1e-6)
      end
    end
    local events = { { direction = "falling", when = function(_, y) return y:column(1) end,
      reset = function(_, y) return -0.5 * y end } }
    near(gradients({ callback = of_numbers, events = events }, cs.tensor { 1, 0 }),
      gradients({ field = traced, events = events }, cs.tensor { 1, 0 }), 1e-6)
  end)

  it("see rows that a callback mixes", function()
    local function mixed(_, y, dy)
      local mean = y:mean():item()
      for i = 1, #y do dy[i] = mean - y[i] * y[i] end
    end
    local y0 = cs.rows(cs.tensor { { 1 }, { 2 }, { 4 } })
    local function gradient(o)
      local flow = cs.ode(o)
      return cs.grad(function(y) return (flow(y, { 0, 0.5 }) ^ 2):sum() end)(y0)
    end
    local a = gradient { callback = mixed, gradient = "finite", rtol = 1e-8 }
    local b = gradient { field = function(_, y) return 0 * y + y:sum() / 3 - y ^ 2 end, rtol = 1e-8 }
    near(a, b, 1e-6)
  end)
end)
