-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate bench: iterations of the standard workloads, timed one by one. A workload is a file of
-- bench/ that returns { help = "...", run = function(b) ... end }; b is what this file makes.
local core = require "costate.core"
local train = require "costate.train"
local trace = require "costate._trace"

local M = { names = { "spiral", "spiral_sciml", "small_node", "large_mlp", "scaling", "threads", "memory", "vjp",
  "latent_spiral", "latent_periodic", "cnf_circles", "cnf_8gaussians", "ragged", "ivp_nonstiff", "ivp_stiff" } }

local SECONDS <const> = 1.5 -- a row is measured for about so long
local ROUNDS <const>, MOST_ROUNDS <const> = 3, 400

local Bench = {}
M.Bench = Bench
Bench.__index = Bench

local function median(list)
  local s = table.move(list, 1, #list, 1, {})
  table.sort(s)
  local n = #s
  return n % 2 == 1 and s[(n + 1) // 2] or (s[n // 2] + s[n // 2 + 1]) / 2
end

local function least(list)
  local x = math.huge
  for _, y in ipairs(list) do x = math.min(x, y) end
  return x
end

--- Forgets the highest resident memory so far, where the system can (Linux).
local function reset_peak()
  local f = io.open("/proc/self/clear_refs", "w")
  if f then f:write("5") f:close() end
end

-- ---- what is timed -----------------------------------------------------------------------------------

local function run(p, i)
  p:configure(i)
  local before = core.memory()
  local status, message = p:run()
  if status ~= "ok" then error(message, 0) end
  return core.memory() - before
end

--- A function of no arguments as an iteration. build() gives the loss; with models also its gradient by
--- their parameters is computed.
function Bench.iteration(_, build, models)
  local fn, captures = trace.record({}, function(tr)
    local loss = build()
    return models and train.gradients(models, tr, loss) or { loss }
  end)
  local p = core.program(fn, captures)
  local out = p:fresh()
  return { length = 1, program = p, step = function(i)
    local allocations = run(p, i)
    local forward, backward = p:evaluations()
    return out[1]:item(), forward, backward, allocations
  end }
end

--- Training as iterations: batch, loss, gradient and update, always the first `steps` of them.
function Bench.training(_, given)
  local t = train.prepare(given)
  train.start(t)
  local state, rng = train.new_run(), nil
  local starts = {}
  for i, m in ipairs(t.models) do starts[i] = m.flat:clone() end
  local function restart()
    rng = core.rng(core.seed(), "train/batch")
    for i, o in ipairs(t.optimizers) do
      t.models[i].flat:copy(starts[i])
      o:count(0)
      for _, slot in ipairs(o:slots()) do slot:fill(0) end
    end
  end
  return { length = t.steps, restart = restart, step = function(i)
    train.set_live(state, i, i)
    local b = t.batch(rng, state)
    local before = core.memory()
    local r, loss, status, message = train.one_step(t, b, state, 1)
    local allocations = core.memory() - before
    if not loss then error(tostring(status) .. ": " .. tostring(message), 0) end
    local forward, backward = r.program:evaluations()
    return loss, forward, backward, allocations
  end }
end

-- ---- timing ------------------------------------------------------------------------------------------

local function round(it, into)
  if it.restart then it.restart() end
  for i = 1, it.length do
    collectgarbage("step", 1)
    local began = core.clock()
    local loss, forward, backward, allocations = it.step(i)
    local n = #into.times + 1
    into.times[n] = core.clock() - began
    into.forward[n], into.backward[n], into.allocations[n], into.loss = forward, backward, allocations, loss
  end
end

local function fresh() return { times = {}, forward = {}, backward = {}, allocations = {} } end

--- Times an iteration; one round warms up. `about` has variant, gradient and whatever else the row shall
--- say: values, or functions of the row.
function Bench:measure(it, about)
  reset_peak()
  round(it, fresh())
  local m, began = fresh(), core.clock()
  for n = 1, MOST_ROUNDS do
    round(it, m)
    if n >= ROUNDS and core.clock() - began > (it.seconds or SECONDS) then break end
  end
  local row = { name = self.name, variant = "", gradient = "none", dtype = core.dtype(), threads = core.threads(),
    median_ms = 1e3 * median(m.times), min_ms = 1e3 * least(m.times),
    nfe_forward = median(m.forward), nfe_backward = median(m.backward), peak_rss_kib = core.peak_rss(),
    solve_allocations = median(m.allocations), loss = m.loss }
  for k, x in pairs(about) do
    if type(x) == "function" then x = x(row) end
    row[k] = x
  end
  self.rows[#self.rows + 1] = row
  if self.show then self.show(row) end
  return row
end

--- Changes the number of threads for body().
function Bench.with_threads(_, n, body)
  local before = core.threads()
  core.threads(n)
  local ok, e = pcall(body)
  core.threads(before)
  if not ok then error(e, 0) end
end

--- Log-log slope of ys over xs by least squares.
function Bench.slope(_, xs, ys)
  local n, sx, sy, sxx, sxy = #xs, 0, 0, 0, 0
  for i = 1, n do
    local x, y = math.log(xs[i]), math.log(ys[i])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

-- ---- the bound that matrix products set --------------------------------------------------------------

--- Flops of the products of dense layers of these sizes, for so many rows.
function Bench.product_flops(rows, sizes)
  local n = 0
  for i = 2, #sizes do n = n + 2 * rows * sizes[i - 1] * sizes[i] end
  return n
end

--- Flops a second of one large product, [4096, 256] by [256, 256].
function Bench.product_rate()
  local a, w = core.rows(core.rng(0, "a"):normal { 4096, 256 }), core.rng(0, "w"):normal { 256, 256 }
  local fn, captures = trace.record({}, function(tr) return { core.matmul(tr:value(a), tr:value(w)) } end)
  local p = core.program(fn, captures)
  p:fresh()
  local best = math.huge
  for i = 1, 30 do
    local began = core.clock()
    p:configure(i)
    p:run()
    best = math.min(best, core.clock() - began)
  end
  return 2 * 4096 * 256 * 256 / best
end

--- The share of the time of a row that its products take at that rate, `flops` of them in the field. A pullback has two
--- products where the field has one, and backsolve evaluates the field as well.
function Bench.product_share(flops, rate)
  return function(row)
    local back = row.gradient == "backsolve" and 3 or 2
    return 1e3 * (row.nfe_forward + back * row.nfe_backward) * flops / rate / row.median_ms
  end
end

-- ---- inputs for peers ----------------------------------------------------------------------------------

--- Keeps numbers (a list of lists, or a tensor of rank 1 or 2) as NAME.what.txt for programs that do the
--- same work.
function Bench:input(what, x)
  if not self.inputs then return end
  if core.kind(x) then x = x:totable() end
  local lines = {}
  for i, line in ipairs(x) do
    if type(line) ~= "table" then line = { line } end
    local words = {}
    for k, v in ipairs(line) do words[k] = ("%.17g"):format(v) end
    lines[i] = table.concat(words, " ")
  end
  local path = ("%s/%s.%s.txt"):format(self.inputs, self.name, what)
  local ok, message = core.write_file(path, table.concat(lines, "\n") .. "\n")
  if not ok then core.fail("--inputs: " .. message) end
end

-- ---- running ------------------------------------------------------------------------------------------

function M.known(name)
  for _, known in ipairs(M.names) do
    if known == name then return true end
  end
  return false
end

--- Rows of one workload. show(row) is called as rows come; inputs is a directory for Bench:input.
function M.run(name, show, inputs)
  local b = setmetatable({ name = name, rows = {}, show = show, inputs = inputs }, Bench)
  require("costate.bench." .. name).run(b)
  return b.rows
end

-- What every row has; workloads add numbers of their own, which are printed behind.
local common = { name = true, variant = true, gradient = true, dtype = true, threads = true, median_ms = true,
  min_ms = true, nfe_forward = true, nfe_backward = true, peak_rss_kib = true, solve_allocations = true, loss = true }

function M.format(r)
  local text = { ("%s, %s, %s, %d thread%s: median %.4f ms, min %.4f ms, nfe %d+%d, peak %d KiB, %d allocations, loss %.6g")
    :format(r.variant ~= "" and r.name .. " " .. r.variant or r.name, r.gradient == "none" and "forward" or r.gradient,
      r.dtype, r.threads, r.threads == 1 and "" or "s", r.median_ms, r.min_ms, r.nfe_forward, r.nfe_backward,
      r.peak_rss_kib, r.solve_allocations, r.loss) }
  for _, k in ipairs(trace.sorted_keys(r)) do
    if not common[k] then text[#text + 1] = ("%s %.3g"):format(k:gsub("_", " "), r[k]) end
  end
  return table.concat(text, ", ") .. "\n"
end

return M
