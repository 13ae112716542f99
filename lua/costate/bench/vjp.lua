-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a vector-Jacobian product costs beside the field it belongs to: the field of `small_node`, then the
-- field with lambda^T df/dy and lambda^T df/dtheta. `ratio` is their quotient, after what it costs to run a
-- program that does nothing was taken off both.
local cs = require "costate"
local core = require "costate.core"
local trace = require "costate._trace"

local BATCH <const>, TIMES <const> = 64, 200

local function run(b)
  local rng = core.rng(core.seed(), "vjp")
  local net = cs.nn.mlp { 4, 32, 4, activation = "softplus", final = "tanh", name = "vjp" }
  local y, lambda = cs.rows(rng:normal { BATCH, 4 }), cs.rows(rng:normal { BATCH, 4 })
  local function iteration(build)
    local fn, captures = trace.record({ y, lambda }, function(tr, inputs) return build(tr, inputs[1], inputs[2]) end)
    local p = core.program(fn, captures)
    p:bind(1, y)
    p:bind(2, lambda)
    local out = p:fresh()
    return { length = TIMES, seconds = 0.2, step = function()
      local status, message = p:run()
      if status ~= "ok" then error(message, 0) end
      return out[1].count, 1, 0, 0
    end }
  end
  local none = b:measure(iteration(function(_, x) return { x } end), { variant = "nothing" }).median_ms
  local f = b:measure(iteration(function(_, x) return { net(x) } end), { variant = "f" }).median_ms
  b:measure(iteration(function(tr, x, l)
    local xs = { x }
    for _, p in ipairs(net.list) do xs[#xs + 1] = tr:value(p.tensor) end
    local value = net(x)
    return { value, table.unpack(tr:vjp({ value }, { l }, xs), 1, #xs) }
  end), { variant = "f and VJP", gradient = "vjp", ratio = function(row) return (row.median_ms - none) / (f - none) end })
end

return { help = "the field of small_node, batch 64, and its vector-Jacobian product", run = run }
