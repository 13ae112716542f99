-- SPDX-License-Identifier: GPL-3.0-or-later
-- Derivatives of functions: cs.grad, cs.value_and_grad, cs.jvp, cs.hvp, cs.jacobian. Inside a trace they add
-- nodes to it; outside they record, compile and run.
local array = require "costate._array"
local core = require "costate.core"
local trace = require "costate._trace"
local options = require "costate._options"
local freeze = require "costate._freeze"
local model = require "costate.model"
local scan = require "costate.scan"

local M = {}

-- ---- what is differentiated -------------------------------------------------------------------------

--- Each argument is a tensor, a value, a number, nested tables of these, or a model, which stands for
--- its parameters. Gives the values to differentiate by, lifted into the open trace, and for each
--- argument a function that packs derivatives (false: zero) as the argument was.
local function variables(tr, args)
  local xs, packs = {}, {}
  for i, a in ipairs(args) do
    local first = #xs
    if model.is_model(a) then
      model.variables(tr, a, xs)
      packs[i] = function(r)
        local bars = model.gather(a, r, first)
        for k = 1, #a.list do bars[k] = bars[k] or core.zeros_like(xs[first + k]) end
        return model.join(a, bars, 0)
      end
    else
      local leaves, _, spec = trace.flatten(a)
      for _, x in ipairs(leaves) do xs[#xs + 1] = core.kind(x) and tr:value(x) or x end
      packs[i] = function(r)
        local part = {}
        for k = 1, #leaves do part[k] = r[first + k] or core.zeros_like(xs[first + k]) end
        return trace.rebuild(spec, part)
      end
    end
  end
  return xs, packs
end

local function results(packs, r)
  local out = {}
  for i, pack in ipairs(packs) do out[i] = pack(r) end
  return out
end

local function seed_of(y, what)
  if not core.kind(y) then core.fail(("%s: the function must return a value, got a %s"):format(what, type(y))) end
  return core.ones_like(y)
end

local function check_like(v, i, shape)
  local own = core.kind(v) and v.shape or {}
  local a, b = table.concat(own, ", "), table.concat(shape, ", ")
  if type(v) ~= "number" and not core.kind(v) or a ~= b then
    core.fail(("the tangent of argument %d has shape [%s], the argument [%s]"):format(i, a, b))
  end
end

--- Tangents arranged like the arguments: a flat vector for a model.
local function tangents(tr, args, vs)
  local out = {}
  if type(vs) ~= "table" then core.fail("jvp takes two lists: the arguments { x, ... } and their tangents { v, ... }") end
  for i, a in ipairs(args) do
    local v = vs[i]
    if v == nil then core.fail(("there is no tangent for argument %d"):format(i)) end
    if model.is_model(a) then
      check_like(v, i, { #a })
      for _, p in ipairs(a.list) do
        local n = p.tensor.count
        out[#out + 1] = core.reshape(core.slice(v, 1, p.offset + 1, p.offset + n), p.tensor.shape)
      end
      out[#out + 1] = tr:value(v)
    else
      local leaves, xs = trace.flatten(v), trace.flatten(a)
      if #leaves ~= #xs then core.fail(("the tangent of argument %d is not arranged as the argument"):format(i)) end
      for k, x in ipairs(leaves) do
        check_like(x, i, core.kind(xs[k]) and xs[k].shape or {})
        out[#out + 1] = core.kind(x) and tr:value(x) or x
      end
    end
  end
  return out
end

-- ---- inside a trace -----------------------------------------------------------------------------------

local function numbers_to_values(args)
  local out = {}
  for i, a in ipairs(args) do
    out[i] = type(a) == "number" and core.current():value(a) or a
  end
  return out
end

local function gradient(f, args)
  local tr = core.current()
  args = numbers_to_values(args)
  local xs, packs = variables(tr, args)
  local y = f(table.unpack(args))
  local bars = tr:vjp({ y }, { seed_of(y, "grad") }, xs)
  return y, results(packs, bars)
end

local function tangent(f, args, vs, what)
  local tr = core.current()
  args = numbers_to_values(args)
  local xs = variables(tr, args)
  local y = f(table.unpack(args))
  seed_of(y, what)
  local dots = tr:jvp(xs, tangents(tr, args, vs), { y })
  return y, dots[1] or core.zeros_like(y)
end

--- Reverse over forward: H v is the gradient of the directional derivative.
local function hessian(f, args, vs)
  local tr = core.current()
  args = numbers_to_values(args)
  local xs, packs = variables(tr, args)
  local y = f(table.unpack(args))
  seed_of(y, "hvp")
  local slope = tr:jvp(xs, tangents(tr, args, vs), { y })[1]
  if not slope then return y, results(packs, {}) end
  local bars = tr:vjp({ slope }, { core.ones_like(slope) }, xs)
  return y, results(packs, bars)
end

--- The unit vectors e_1 .. e_n, [n, n], in the type of x. Made of nodes alone: a tensor would be a capture of every
--- function that has a Jacobian inside.
local function units(x)
  local n = x.shape[x.rank]
  local F32 <const>, F64 <const> = 0, 1
  local count = core.node("iota", {}, { n, x.dtype == "f32" and F32 or F64 })
  return core.eq(core.reshape(count, { n, 1 }), core.reshape(count, { 1, n }))
end

--- One tangent after another, for functions with an op that has no batch rule. The body of the scan records f for
--- itself, so f is recorded once more for y.
local function one_by_one(f, x, dots)
  if x.rows and not dots.rows then dots = dots + core.reshape(core.zeros_like(x), { x.shape[1], 1, x.shape[2] }) end
  local y
  local _, list = scan(function(_, e)
    local value, dot = tangent(f, { x }, { e }, "jacobian")
    y = value
    return {}, dot
  end, {}, dots)
  return y and f(x), list
end

--- Zeros for a y that does not depend on x.
local function no_tangents(y, dots)
  local shape, out = y.shape, y.shape
  local at = y.rows and 2 or 1
  table.insert(shape, at, 1)
  table.insert(out, at, dots.shape[dots.rank - 1])
  if y.rank < at then shape[#shape + 1] = 1 end
  return core.reshape(core.reshape(core.zeros_like(y), shape) + core.zeros_like(core.slice(dots, dots.rank, 1, 1)), out)
end

--- y = f(x), x [n] or rows [B, n], and k tangents of it along dots [k, n] (the same for all rows) or rows [B, k, n]:
--- [.., k, ..] as y is. All share one y.
function M.pushed(f, x, dots)
  local tr = core.current()
  x, dots = tr:value(x), tr:value(dots)
  local y = f(x)
  seed_of(y, "jacobian")
  local k = dots.shape[dots.rows and 2 or 1]
  local list = tr:jvps(k, { x }, { dots }, { y })
  if not list then return one_by_one(f, x, dots) end
  return y, list[1] or no_tangents(y, dots)
end
M.units = units

--- A tangent of a batch is one of every row only if no row depends on another; `what` asks.
function M.check_apart(what, f, x)
  local tr <close> = core.trace(x.shape[1], true)
  local y = f(tr:like(x))
  local mixes = core.kind(y) and tr:finish({ y }):mixes()
  if mixes then
    local advice = mixes:find "^solve" and "it takes one step size for all rows: ode { control = \"row\" } gives each its own"
      or "cs.rows marks a tensor that has an entry for each row, cs.shared takes the mark away"
    core.fail(("%s: the rows of the batch depend on each other, by %s (%s)"):format(what, mixes, advice))
  end
end

--- Column j is the tangent along e_j.
local function columns(f, x)
  if x.rows then M.check_apart("jacobian", f, x) end
  local y, j = M.pushed(f, x, units(x))
  if y.rank > x.rank or y.rows ~= x.rows then
    core.fail(("jacobian: for %s the function must return a vector%s, got shape [%s]"):format(
      x.rows and "a batch of vectors" or "a vector", x.rows and " a row" or "", table.concat(y.shape, ", ")))
  end
  if y.rank < x.rank then return j end
  return core.transpose(j, x.rows and { 1, 3, 2 } or { 2, 1 })
end

-- ---- outside -----------------------------------------------------------------------------------------

--- Wraps build(...), which adds nodes for nested tables of arguments, as a compiled function.
local function compiled(what, f, build)
  local cache = {}
  return function(...)
    if core.current() then return build(...) end
    local n = select("#", ...)
    local leaves, key, spec = trace.flatten { ... }
    key = n .. ":" .. key
    local e = cache[key]
    if not e then
      e = {}
      local function make()
        local r = {}
        r.fn, r.captures, r.spec = trace.record(leaves, function(_, inputs)
          local args = trace.rebuild(spec, inputs)
          local values, _, out_spec = trace.flatten { build(table.unpack(args, 1, n)) }
          for i, v in ipairs(values) do
            if type(v) == "number" then values[i] = core.current():value(v) end
          end
          return values, out_spec
        end)
        return r
      end
      e.guard = freeze.guard(what, { f }, make, trace.equal)
      cache[key] = e
    end
    local r = e.guard:get()
    local out, status, message = trace.run(r, leaves)
    if not out then core.fail(status .. ": " .. message) end
    return table.unpack(trace.rebuild(r.spec, out))
  end
end

local function need_function(what, f, ...)
  options.no_more(("cs.%s(f)"):format(what), ...)
  if not options.is_callable(f) then core.fail(what .. " takes a function, got a " .. type(f)) end
end
M.need_function = need_function

--- cs.grad(f)(x, ...): the gradient of a scalar (or of the sum of f's result), one result an argument.
function M.grad(f, ...)
  need_function("grad", f, ...)
  return compiled("the function of cs.grad", f, function(...)
    local _, g = gradient(f, { ... })
    return table.unpack(g)
  end)
end

--- cs.value_and_grad(f)(x, ...): the value, then the gradients.
function M.value_and_grad(f, ...)
  need_function("value_and_grad", f, ...)
  return compiled("the function of cs.value_and_grad", f, function(...)
    local y, g = gradient(f, { ... })
    return y, table.unpack(g)
  end)
end

--- cs.jvp(f)({ x, ... }, { v, ... }): value and directional derivative.
function M.jvp(f, ...)
  need_function("jvp", f, ...)
  return compiled("the function of cs.jvp", f, function(args, vs, ...)
    options.no_more("cs.jvp(f)({ x, .. }, { v, .. })", ...)
    return tangent(f, args, vs, "jvp")
  end)
end

--- cs.hvp(f)(x, v): the Hessian of the scalar f at x times v. x may be a model.
function M.hvp(f, ...)
  need_function("hvp", f, ...)
  return compiled("the function of cs.hvp", f, function(x, v, ...)
    options.no_more("cs.hvp(f)(x, v)", ...)
    local _, hv = hessian(f, { x }, { v })
    return hv[1]
  end)
end

--- cs.jacobian(f)(x): [m, n] for x [n] and f(x) [m], by n tangents. A batch x [B, n] gives [B, m, n], for an f
--- that treats every row by itself.
function M.jacobian(f, ...)
  need_function("jacobian", f, ...)
  return compiled("the function of cs.jacobian", f, function(x, ...)
    options.no_more("cs.jacobian(f)(x), which is by one vector (others stand around: function(x) return f(x, y) end),", ...)
    x = array(x, "jacobian: the argument")
    if x.rank ~= (x.rows and 2 or 1) then
      core.fail(("jacobian: the argument must be a vector or a batch of vectors (cs.rows), got shape [%s]"):format(
        table.concat(x.shape, ", ")))
    end
    return columns(f, core.current():value(x))
  end)
end

--- cs.compile(f): f as one compiled program, whose results are those of f to the bit.
function M.compile(f, ...)
  need_function("compile", f, ...)
  return compiled("the function of cs.compile", f, f)
end

M.compiled = compiled

return M
