-- SPDX-License-Identifier: GPL-3.0-or-later
-- Stiff fields: solved, differentiated and trained through plugin esdirk.
local cs = require "costate"
local core = require "costate.core"
local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local robertson = dofile(here .. "robertson.lua")

local SOLVERS <const> = { "trbdf2", "kvaerno3", "kencarp4", "kencarp5", "kvaerno5" }

local times <const> = { 0, 1, 100, 1e4 }

local function flow_of(p, solver, more)
  local t = { field = robertson(p), solver = solver, gradient = "discrete", rtol = 1e-6, atol = 1e-10 }
  for k, v in pairs(more or {}) do t[k] = v end
  return cs.ode(t)
end

describe("stiff solvers", function()
  it("follow Robertson's reaction in few steps, whatever the solver", function()
    local p = cs.parameters { a = 0, b = 0, c = 0 }
    local ends
    for _, name in ipairs(SOLVERS) do
      local sol = flow_of(p, name):solve({ 1, 0, 0 }, times)
      assert(sol.status == "ok", sol.message)
      assert(sol.stats.accepted < 4000)
      ends = ends or flow_of(p, "kencarp5", { rtol = 1e-9, atol = 1e-13 })({ 1, 0, 0 }, times)
      near(sol.values, ends, 2e-4)
    end
  end)

  it("have the names of their plugin, and say what they are", function()
    local flow = cs.ode { field = function(_, y) return -1e6 * (y - 1) end, solver = "esdirk.kvaerno5" }
    near(flow({ 0 }, { 0, 1 })[2], { 1 }, 1e-6)
    raises(function() cs.ode { field = function(_, y) return -y end, solver = "kvaerno6" } end, "kvaerno", "did you mean")
  end)

  it("differentiate what they do", function()
    local p = cs.parameters { a = 0.1, b = -0.1, c = 0.2 }
    for _, name in ipairs(SOLVERS) do
      -- steps of a given size, past the transient: what is differenced is differentiated
      local flow, y0 = flow_of(p, "esdirk." .. name, { step = 0.02 }), { 0.96227, 2.9736e-5, 0.037696 }
      local loss = function() return (flow(y0, { 0, 0.15, 0.3 }) * cs.tensor { 1, 1e4, 30 }):sum() end
      local g, flat = cs.grad(loss)(p), p.flat
      for i = 1, 3 do
        local keep, h = flat[i], 1e-4
        local at = {}
        for k, s in ipairs { 1, -1, 2, -2 } do
          flat[i] = keep + s * h
          at[k] = loss():item()
        end
        flat[i] = keep
        near(g[i], (8 * (at[1] - at[2]) - (at[3] - at[4])) / (12 * h), 1e-8)
      end
    end
  end)

  it("refuse the gradient that needs what they cannot have", function()
    local p = cs.parameters { a = 0, b = 0, c = 0 }
    local flow = flow_of(p, "kencarp4", { gradient = "backsolve" })
    raises(function() cs.grad(function() return flow({ 1, 0, 0 }, { 0, 1 }):sum() end)(p) end, "discrete")
    for _, gradient in ipairs { "discrete", "backsolve" } do
      local bdf = flow_of(p, "gsl.msbdf", { gradient = gradient })
      raises(function() cs.grad(function() return bdf({ 1, 0, 0 }, { 0, 1 }):sum() end)(p) end, "kencarp5")
    end
  end)

  it("train the rates of a stiff reaction", function()
    local truth = flow_of(cs.parameters { a = 0, b = 0, c = 0 }, "kencarp5", { rtol = 1e-8 })({ 1, 0, 0 }, times)
    for _, name in ipairs { "esdirk.kvaerno5", "esdirk.kencarp4" } do
      local p = cs.parameters { a = 0.3, b = -0.2, c = 0.25 }
      local flow = flow_of(p, name)
      local scale = cs.tensor { 1, 2e4, 1 }
      local first
      local r = cs.train { parameters = p, optimizer = cs.optim.adam { lr = 2e-2 }, steps = 60, quiet = true,
        loss = function() return ((flow({ 1, 0, 0 }, times) - truth) * scale):abs():mean() end,
        every = { [1] = function(run) first = first or run.loss end } }
      assert(r.status == "ok" and r.loss < 0.1 * first, ("from %g to %g"):format(first, r.loss))
    end
  end)

  it("train a network on a fast variable, with a quadrature beside it", function()
    local net = cs.nn.mlp { 2, 4, 1, name = "stiff" }
    local flow = cs.ode { solver = "kencarp4", gradient = "discrete", rtol = 1e-5, parts = { cost = "quadrature" },
      field = function(_, s)
        local fast, slow = s.z:columns()
        local u = net(s.z):reshape(-1)
        return { z = cs.stack { 1e4 * (u - fast), fast - slow }, cost = (s.z ^ 2):sum(2) }
      end }
    local y0 = { z = cs.rows(cs.tensor { { 0.3, 1 }, { -0.2, 0.5 } }), cost = 0 }
    local first
    local r = cs.train { parameters = net, optimizer = cs.optim.adam { lr = 5e-2 }, steps = 60, quiet = true,
      loss = function()
        local v = flow(y0, { 0, 0.5, 1 })
        return ((v.z - 0.4) ^ 2):mean() + 0.01 * v.cost:mean()
      end,
      every = { [1] = function(run) first = first or run.loss end } }
    assert(r.status == "ok" and r.loss < 0.7 * first, ("from %g to %g"):format(first, r.loss)) -- the start is fixed by the name
  end)

  it("need fewer derivatives for a Jacobian that is a band", function()
    local n <const> = 30
    local function heat(_, u)
      local rows = u.shape[1]
      local edge = core.zeros_like(u:slice(2, 1, 1))
      local wide = cs.concat({ edge, u, edge }, 2)
      return ((wide:slice(2, 1, n) - 2 * u + wide:slice(2, 3, n + 2)) * (n + 1) ^ 2):reshape { rows, n }
    end
    local y0 = cs.sin(cs.linspace(1, n, n) * (math.pi / (n + 1)))
    local lambda = -4 * (n + 1) ^ 2 * math.sin(math.pi / (2 * (n + 1))) ^ 2
    for _, solver in ipairs { "kencarp4", "gsl.msbdf" } do
      local dense = cs.ode { field = heat, solver = solver, rtol = 1e-7 }:solve(y0, { 0, 0.1 })
      local band = cs.ode { field = heat, solver = solver, rtol = 1e-7, band = { 1, 1 } }:solve(y0, { 0, 0.1 })
      near(band.values, dense.values, 1e-12)
      near(band.values[2], y0 * math.exp(0.1 * lambda), 1e-5)
      assert(band.stats.evaluations < dense.stats.evaluations)
    end
    raises(function() cs.ode { field = heat, band = { 1 } } end, "band", "lower, upper")
  end)

  it("solve the rows of a batch each on its own where they see one at a time", function()
    local rate = cs.rows(cs.tensor { { 10 }, { 1e3 }, { 1e5 } })
    local function field(t, y) return -rate * (y - cs.cos(t)) end
    local y0 = cs.rows(cs.tensor { { 2 }, { 0 }, { -1 } })
    for _, solver in ipairs { "gsl.msbdf", "gsl.bsimp", "kencarp4" } do
      local v = cs.ode { field = field, solver = solver, rtol = 1e-7 }(y0, { 0, 2 })
      for i = 1, 3 do
        local k = rate[i][1]
        near(v[i][2][1], (k * k * math.cos(2) + k * math.sin(2)) / (k * k + 1), 1e-5)
      end
    end
  end)
end)
