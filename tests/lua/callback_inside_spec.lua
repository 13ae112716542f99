-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a callback may do while it runs, and what a flow with one may be part of.
local cs = require "costate"

local t = cs.tensor({ 0, 0.4, 1.5 }, "f64")
local batch = cs.tensor { { 1, 0 }, { 0.3, -2 }, { 1e-3, 5 } }
local function of_rows(_, y, dy)
  for i = 1, #y do dy[i][1], dy[i][2] = y[i][2], -y[i][1] end
end

describe("while a callback runs", function()
  it("memory is collected, made and kept", function()
    local kept = {}
    local flow = cs.ode { rtol = 1e-5, callback = function(_, y, dy)
      kept[#kept + 1] = y
      collectgarbage()
      local junk = cs.zeros(50, 50) + 1
      dy:copy(-y * junk[1][1])
    end }
    near(flow({ 1, 2 }, { 0, 1 })[2], { math.exp(-1), 2 * math.exp(-1) }, 1e-5)
    near(kept[1], { 1, 2 }, 0)
  end)

  it("its function lives as long as what was recorded with it, and no longer", function()
    local alive = setmetatable({}, { __mode = "k" })
    local function make()
      local big = {}
      alive[big] = true
      return function(_, y, dy)
        big[1] = true
        dy:copy(-y)
      end
    end
    local f = cs.grad(function(y)
      return cs.ode { callback = make(), gradient = "finite" }(y, { 0, 1 })[2]:sum()
    end)
    near(f(cs.tensor { 2 }), { math.exp(-1) }, 1e-5)
    local flow = cs.ode { callback = make() }
    near(flow({ 1 }, { 0, 1 })[2], math.exp(-1), 1e-5)
    flow, f = nil, nil -- luacheck: ignore
    for _ = 1, 4 do collectgarbage() end
    assert(next(alive) == nil)
  end)

  it("other flows may be followed, also after an error that was caught", function()
    local inner = cs.ode { callback = function(_, y, dy)
      if y[1] < 0 then error("negative") end
      dy[1] = -y[1]
    end }
    local traced_inner = cs.ode { field = function(_, y) return -y end }
    local tried = 0
    local outer = cs.ode { rtol = 1e-5, callback = function(_, y, dy)
      local ok, message = pcall(inner, { -1 }, { 0, 1 })
      assert(not ok and message:find("negative", 1, true))
      tried = tried + 1
      local one = inner({ 1 }, { 0, 1 })[2][1] + traced_inner({ 1 }, { 0, 1 })[2][1]
      dy[1] = one * y[1]
    end }
    near(outer({ 1 }, { 0, 1 })[2], math.exp(2 * math.exp(-1)), 1e-4)
    assert(tried > 5)
    near(inner({ 1 }, { 0, 1 })[2], math.exp(-1), 1e-5)
  end)

  it("the flow that calls it is refused to it", function()
    local flow
    flow = cs.ode { callback = function(_, y) return -flow(y, { 0, 1 })[2] end }
    local sol = flow:solve({ 1 }, { 0, 1 })
    assert(sol.status == "callback" and sol.message:find("used again before it has ended", 1, true), sol.message)
    flow = cs.ode { callback = function(_, y)
      flow.last.program:close()
      return y
    end }
    flow:solve({ 1 }, { 0, 1 }) -- after which there is a last program
    sol = flow:solve({ 1 }, { 0, 1 })
    assert(sol.status == "callback" and sol.message:find("used again before it has ended", 1, true), sol.message)
  end)

  it("coroutines come and go", function()
    local flow = cs.ode { callback = function(_, y, dy)
      local decay = cs.ode { field = function(_, x) return -x end }
      local co = coroutine.wrap(function() coroutine.yield(decay({ 1 }, { 0, 1 })[2][1]) end)
      dy[1] = y[1] * co()
    end, rtol = 1e-4 }
    local function values() return flow({ 1 }, { 0, 1 })[2][1] end
    local want, got = math.exp(math.exp(-1)), nil
    near(values(), want, 1e-3)
    local co = coroutine.create(function()
      got = values()
      coroutine.yield()
    end)
    assert(coroutine.resume(co))
    near(got, want, 1e-3)
    co = nil -- luacheck: ignore
    collectgarbage()
    near(values(), want, 1e-3)
  end)

  it("traced functions may be called, and recorded", function()
    local f = cs.grad(function(y) return (y ^ 3):sum() end)
    local flow = cs.ode { callback = function(_, y) return -f(y) end, rtol = 1e-9 }
    near(flow({ 1 }, { 0, 1 })[2], 1 / 4, 1e-8)
  end)
end)

describe("a flow with a callback", function()
  it("may be part of a traced function, and of training where nothing is asked of it", function()
    local flow = cs.ode { callback = of_rows, rtol = 1e-6 }
    local scale = cs.parameters { s = 0.5 }
    local y1 = flow(cs.rows(batch), t)
    local loss = cs.grad(function() return ((flow(cs.rows(batch), t) * scale.s - y1) ^ 2):sum() end)
    near(loss(scale), { -(y1 ^ 2):sum():item() }, 1e-9)
  end)

  it("is followed inside the field of another", function()
    local inner = cs.ode { callback = function(_, y, dy) dy:copy(-y) end }
    local outer = cs.ode { field = function(_, y) return inner(y, { 0, 1 }):slice(2, 2, 2):reshape(-1, 1) end, rtol = 1e-6 }
    local grown = math.exp(math.exp(-1))
    near(outer(cs.tensor { { 1 }, { 2 } }, { 0, 1 }):reshape(2, 2):column(2), { grown, 2 * grown }, 1e-5)
  end)
end)
