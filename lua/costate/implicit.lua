-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.implicit: the u of c(u, s) = 0 as a differentiable function of s and of whatever the constraint captures.
-- Newton's method finds it, from the Jacobian c_u that differentiation gives; derivatives are those of the
-- implicit function theorem, du/ds = -c_u^-1 c_s, and never pass through the iterations.
local array = require "costate._array"
local core = require "costate.core"
local options = require "costate._options"
local scan = require "costate.scan"
local transform = require "costate.transform"

local function rows_of(u) return u.rows and u.shape[1] or 0 end

local function shape_of(x) return ("%s[%s]"):format(x.rows and "rows " or "", table.concat(x.shape, ", ")) end

local function unknowns(u)
  u = array(u, "where an implicit function starts")
  if u.rank == (u.rows and 2 or 1) then
    u = core.current():value(u)
    return u.dtype == core.dtype() and u or core.cast(u, core.dtype())
  end
  core.fail(("an implicit function starts from a vector of unknowns or a batch of them (cs.rows), got shape [%s]")
    :format(table.concat(u.shape, ", ")))
end

--- c as a function of u and of everything else it uses: (u, captures..) -> residual.
local function record(constraint, u0, ...)
  local tr <close> = core.trace(rows_of(u0), true)
  local r = constraint(tr:like(u0, "u"), ...)
  local own, got = shape_of(u0), core.kind(r) and shape_of(r) or "a " .. type(r)
  if got ~= own then
    core.fail(("as many equations as unknowns are needed: the unknowns are %s, the constraint gives %s"):format(own, got))
  end
  return tr:finish { r }
end

local function jacobian(c, u, captures)
  return transform.jacobian(function(v) return c:call({ v, table.unpack(captures) })[1] end)(u)
end

--- c_u^-1 x or c_u^-T x; the second attribute lets a singular c_u speak of the constraint.
local function divide(c_u, x, transposed) return core.node("linalg.solve", { c_u, x }, { transposed, true }) end

--- (u, captures.., x) -> c_u^-1 x, or c_u^-T x.
local function solver(c, u0, captures, transposed)
  local tr <close> = core.trace(rows_of(u0), true)
  local u, own = tr:like(u0), {}
  for i, x in ipairs(captures) do own[i] = tr:like(x) end
  local x = tr:like(u0)
  return (tr:finish { divide(jacobian(c, u, own), x, transposed) })
end

--- Steps are counted along an axis that the stacks of a batch have beside it, so that rows stay apart.
local function newton(c, u0, captures, steps)
  local count = core.reshape(core.node("iota", {}, { steps, u0.dtype == "f32" and 0 or 1 }), { 1, steps })
  local fixed = {}
  for i, x in ipairs(captures) do fixed[i] = core.detach(x) end
  local found = scan(function(u)
    local r = c:call({ u, table.unpack(fixed) })[1]
    return u - divide(jacobian(c, u, fixed), r, false)
  end, core.detach(u0), count, { axis = 2 })
  return found
end

local function root(o, u0, ...)
  u0 = unknowns(u0)
  local c, captures = record(o.constraint, u0, ...)
  local tolerance = o.tolerance or (u0.dtype == "f32" and 1e-4 or 1e-10)
  return core.implicit(c, solver(c, u0, captures, true), solver(c, u0, captures, false),
    newton(c, u0, captures, o.steps), captures, tolerance, o.steps)
end

--- cs.implicit { constraint = function(u, ...) ... end, steps = 20, tolerance = 1e-10 } -> solve(u0, ...)
return function(given)
  local o = options.check("implicit", given, { constraint = "callable!", steps = "integer", tolerance = "number" })
  options.positive("implicit", "steps", o.steps)
  options.positive("implicit", "tolerance", o.tolerance)
  o.steps = o.steps or 20
  return transform.compiled("the constraint of cs.implicit", o.constraint, function(...) return root(o, ...) end)
end
