-- SPDX-License-Identifier: GPL-3.0-or-later
describe("the module", function()
  it("sets no global and prints nothing", function()
    local before = {}
    for k in pairs(_G) do before[k] = true end
    local cs = require "costate"
    for k in pairs(_G) do assert(before[k], k) end
    assert(cs._VERSION:match("^costate %d+%.%d+"))
  end)

  it("lists what is registered", function()
    local core = require "costate.core"
    assert(core.find("solver", "dopri5").traits.adaptive)
    local entry, message = core.find("solver", "dopri55")
    assert(entry == nil and message:find("did you mean", 1, true))
    assert(core.load("/nowhere/plugin.so") == nil)
    assert(#core.available() > 0)
    assert(core.suggest("rtoll", { "rtol", "atol" }) == "rtol")
  end)

  it("is described for editors, every function", function()
    local here = arg[0]:match("^(.*[/\\])") or "./"
    local file = io.open(here .. "../../lua/types/costate.d.lua")
    if not file then return end
    local text = file:read("a")
    file:close()
    local cs = require "costate"
    for name, value in pairs(cs) do
      if type(value) == "function" then
        assert(text:find("function costate." .. name .. "(", 1, true), "costate.d.lua lacks " .. name)
      end
    end
    for name in pairs(cs.linalg) do
      assert(text:find("function Linalg." .. name .. "(", 1, true), "costate.d.lua lacks linalg." .. name)
    end
    for name in pairs(cs.register) do
      assert(text:find("---@field " .. name .. " fun(", 1, true), "costate.d.lua lacks register." .. name)
    end
  end)

  it("survives closing things early", function()
    local core = require "costate.core"
    local tr = core.trace(0, false)
    tr:close()
    tr:close()
    raises(function() tr:finish({}) end, "ended")
    local cs = require "costate"
    local rng = cs.rng(1)
    local f = function(v) return v * 2 end
    near(cs.compile(f)(rng:normal(3)):sum():item(), cs.rng(1):normal(3):sum():item() * 2)
    local sum = 0
    for _ = 1, 2000 do sum = sum + (cs.ones(100) * 2):sum():item() end
    assert(sum == 2000 * 200)
    collectgarbage()
  end)
end)
