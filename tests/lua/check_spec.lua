-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate check, as a library: what it compares, what it leaves out and says so, and what it finds.
local cs = require "costate"
local core = require "costate.core"
local check = require "costate.check"

local function row(result, name)
  for _, r in ipairs(result.rows) do
    if r.method == name then return r end
  end
  error("no row " .. name)
end

local p = cs.parameters { rate = 0.7 }

--- The check of a linear field with an input, and what else options say.
local function checked(options, u, most)
  return check.training({ models = { p }, loss = function()
    local o = { field = function(t, y) return -p.rate * y + u(t) end }
    for k, v in pairs(options) do o[k] = v end
    return (cs.ode(o)({ 1, 2 }, { 0, 1, 1, 2 }) ^ 2):sum()
  end }, most)
end

local u = cs.control({ 0, 0.7, 2 }, { 1, -0.5, 0.3 })

describe("costate check", function()
  it("compares every method that is registered, in every kind of derivative", function()
    local result = checked({}, u)
    assert(result.ok, check.format(result))
    for _, e in ipairs(core.entries("gradient")) do
      local r = row(result, e.name)
      for _, group in ipairs { "parameters", "state", "times", "controls" } do
        assert(r.skipped or r[group] <= r.tolerance, e.name)
      end
    end
    local discrete = row(result, "adjoint.discrete")
    assert(discrete.controls <= 1e-9 and discrete.tolerance == 1e-9)
    assert(row(result, "loss jvp").controls == 0 and row(result, "loss finite").controls < 1e-5)
  end)

  it("measures memory: what is recorded grows with the steps, the rest by their schedule", function()
    local few, many = checked({ solver = "rk4", step = 0.05 }, u), checked({ solver = "rk4", step = 0.0025 }, u)
    local function grows(name, what) return (row(many, name)[what] - row(few, name)[what]) / 760 end -- bytes a step
    assert(grows("adjoint.discrete", "tape_bytes") > 300 and grows("adjoint.discrete", "peak_bytes") > 300)
    for _, name in ipairs { "adjoint.backsolve", "adjoint.forward", "adjoint.finite" } do
      assert(row(many, name).tape_bytes == 0)
      assert(grows(name, "peak_bytes") <= 2 * 16) -- two numbers a step, in arrays up to twice as long
    end
    local _, live = core.memory(true)
    local _, _, peak = core.memory()
    assert(peak == live)
  end)

  it("counts evaluations forward and backward", function()
    local result = checked({ solver = "rk4", step = 0.5 }, u)
    assert(row(result, "adjoint.finite").backward > 2 * row(result, "adjoint.finite").evaluations)
    assert(row(result, "adjoint.forward").evaluations == row(result, "adjoint.discrete").evaluations)
  end)

  it("does not take a parameter for a control of its own", function()
    local q = cs.parameters { level = cs.tensor { 1, -0.5, 0.3 } }
    local own = cs.control({ 0, 0.7, 2 }, q.parameters.level)
    local result = check.training { models = { q }, loss = function()
      return cs.ode { field = function(t, y) return -y + own(t) end }({ 1 }, { 0, 2 }):sum()
    end }
    local r = row(result, "adjoint.discrete")
    assert(result.ok and r.controls == nil and r.parameters <= 1e-9, check.format(result))
  end)

  it("says why a method is left out, which is no failure", function()
    local result = checked({ solver = "kencarp4" }, u)
    assert(result.ok, check.format(result))
    assert(row(result, "adjoint.backsolve").skipped:find("Jacobian", 1, true))
    local short = checked({}, u, 3)
    assert(short.ok and row(short, "adjoint.forward").skipped:find("--directions", 1, true))
    assert(check.format(short):find("adjoint.finite is not compared", 1, true))
  end)

  it("takes differences at the size of each number, also of one that is zero beside larger ones", function()
    local k = cs.parameters { slow = 0.04, fast = 3e7, turn = 1e4 } -- Robertson's: b stays below 4e-5
    local result = check.training { models = { k }, loss = function()
      local flow = cs.ode { solver = "kencarp5", rtol = 1e-6, atol = 1e-10, field = function(_, s)
        local a, b, c = s:columns()
        return cs.stack { k.turn * b * c - k.slow * a, k.slow * a - k.turn * b * c - k.fast * b ^ 2, k.fast * b ^ 2 }
      end }
      return (flow({ 1, 0, 0 }, { 0, 1e-3, 0.1, 10 }) * cs.tensor { 1, 1e4, 1 }):sum()
    end }
    for _, name in ipairs { "loss finite", "adjoint.finite" } do
      local r = row(result, name)
      assert(r.state < 1e-7 and r.parameters < 1e-8, check.format(result))
    end
  end)

  it("says when there is nothing to compare, and does not call that agreement", function()
    local function of(at, loss) return cs.check { at = at, loss = loss, quiet = true } end
    local function solve() return cs.ode { field = function(_, y) return -y end }({ 1 }, { 0, 1 }):sum() end
    for _, case in ipairs { { {}, solve, "no parameters" }, { p, solve, "does not depend" },
      { p, function() return cs.tensor(3) end, "does not depend" } } do
      local result = of(case[1], case[2])
      assert(not result.ok and #result.rows == 0)
      assert(check.format(result):find("nothing to compare: [^\n]*" .. case[3]), check.format(result))
    end
    local plain = of(p, function() return p.rate ^ 2 end)
    assert(plain.ok and #plain.rows == 2 and check.format(plain):find("follows no flow", 1, true), check.format(plain))
  end)

  it("refuses what is no loss and no number of directions", function()
    local function of(given)
      given.at, given.loss = p, given.loss or function() return p.rate ^ 2 end
      return function() cs.check(given) end
    end
    raises(of { loss = function() end }, "the loss must return a traced number", "nil")
    raises(of { loss = function() return 3 end }, "the loss must return a traced number")
    raises(of { loss = function() return cs.stack { p.rate, 1 } end }, "one number", "[2]")
    raises(of { directions = 0 }, "directions", "positive")
    raises(function() cs.compile(function(x) of {}() return x end)(1) end, "outside of traced functions")
  end)

  it("finds a gradient that is wrong", function()
    local result = check.training { models = { p }, loss = function()
      local flow = cs.ode { rtol = 1e-3, atol = 1e-3, field = function(_, y) return -40 * p.rate * y + 1 end }
      return flow({ 1 }, { 0, 3 }):sum()
    end }
    assert(not result.ok and not row(result, "adjoint.backsolve").ok and row(result, "adjoint.discrete").ok)
    assert(check.format(result):find("DIFFERS", 1, true))
  end)

  it("prints lines of at most 120 columns", function()
    for line in check.format(checked({ solver = "kencarp4" }, u)):gmatch "[^\n]+" do assert(#line <= 120, line) end
  end)
end)
