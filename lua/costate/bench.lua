-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate bench: training iterations of the standard workloads, timed one by one.
local core = require "costate.core"
local cs = require "costate"
local train = require "costate.train"
local trace = require "costate._trace"

local M = { workloads = {}, names = { "spiral" } }

local ROUNDS <const>, STEPS <const> = 12, 60

local function median(list)
  local s = table.move(list, 1, #list, 1, {})
  table.sort(s)
  local n = #s
  return n % 2 == 1 and s[(n + 1) // 2] or (s[n // 2] + s[n // 2 + 1]) / 2
end

--- Runs the first STEPS training steps again and again from the same start; the first round warms up.
--- Each iteration is a whole one: batch, loss, gradient, update.
local function measure(t, restart)
  local run = train.new_run()
  local times, forward, backward, allocations, loss = {}, {}, {}, {}, nil
  for round = 0, ROUNDS do
    local rng = core.rng(core.seed(), "train/batch")
    restart()
    for _, o in ipairs(t.optimizers) do
      o:count(0)
      for _, slot in ipairs(o:slots()) do slot:fill(0) end
    end
    for step = 1, STEPS do
      collectgarbage("step", 1)
      local began = core.clock()
      train.set_live(run, step, step)
      local b = t.batch(rng, run)
      if not t.guard then
        local leaves, _, layout = trace.flatten(b)
        t.layout, t.guard = layout, train.guard_for(t, leaves, layout, run)
      end
      local r = t.guard:get()
      if not r.step then train.finish_recording(t, r) end
      local leaves = {}
      local n = trace.collect(t.layout, b, leaves, 0)
      r.program:configure(step)
      local before = core.memory()
      local status, message
      loss, status, message = r.step:run(1, 0, table.unpack(leaves, 1, n))
      local made = core.memory() - before
      if not loss then error(tostring(status) .. ": " .. tostring(message), 0) end
      local elapsed = core.clock() - began
      if round > 0 then
        times[#times + 1], allocations[#allocations + 1] = elapsed, made
        forward[#forward + 1], backward[#backward + 1] = r.program:evaluations()
      end
    end
  end
  return { median_ms = 1e3 * median(times), min_ms = 1e3 * math.min(table.unpack(times)),
    nfe_forward = median(forward), nfe_backward = median(backward), solve_allocations = median(allocations), loss = loss }
end

local function spiral(gradient)
  local data = cs.dataset "cubic_spiral" { points = 1000, t1 = 25 }
  local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1, name = "spiral" }
  local start = net.flat:clone()
  local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "dopri5", rtol = 1e-7, atol = 1e-9,
    gradient = gradient }
  local t = train.prepare { parameters = net, optimizer = cs.optim.rmsprop { lr = 1e-3 }, steps = STEPS,
    batch = function(rng) return data:windows(rng, 20, 10) end,
    loss = function(b) return cs.loss.mae(flow(b.y0, b.t), b.y) end }
  train.start(t)
  local row = measure(t, function() net.flat:copy(start) end)
  row.name, row.gradient, row.dtype, row.threads = "spiral", gradient, core.dtype(), core.threads()
  row.peak_rss_kib = core.peak_rss()
  return row
end

--- Cubic spiral, batch 20 of windows of 10 points, MLP 2-50-2: discrete and backsolve.
function M.workloads.spiral() return { spiral("discrete"), spiral("backsolve") } end

function M.format(r)
  return ("%s %s %s, %d thread%s: median %.4f ms, min %.4f ms, nfe %d+%d, peak %d KiB, %d allocations, loss %.6g\n")
    :format(r.name, r.gradient, r.dtype, r.threads, r.threads == 1 and "" or "s", r.median_ms, r.min_ms,
      r.nfe_forward, r.nfe_backward, r.peak_rss_kib, r.solve_allocations, r.loss)
end

return M
