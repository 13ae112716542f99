-- SPDX-License-Identifier: GPL-3.0-or-later
-- One flow after another from the data, z(t0) = x, to the base, z(t1), and back:
--   dz/dt = f(t, z, c)     d log p(z)/dt = -tr df/dz         (Chen, Rubanova, Bettencourt, Duvenaud 2018)
-- and beside them what regularises (Finlay, Jacobsen, Nurbekyan, Oberman 2020): kinetic |f|^2 and jacobian |df/dz|_F^2.
-- All are parts of one state, of which z alone has a say in the rest: the others are quadratures.
local core = require "costate.core"
local divergence = require "costate.divergence"
local model = require "costate.model"
local ode = require "costate.ode"
local options = require "costate._options"

local M = {}

-- Parts beside z, and whether their error counts in the choice of steps.
local flags <const> = {
  divergence = "quadrature",
  kinetic = { quadrature = true, uncontrolled = true },
  jacobian = { quadrature = true, uncontrolled = true },
}

--- What the flows of m are asked along: a condition c, or false, and with a divergence how it is had and the vectors.
--- A field looks here whenever it is recorded, which is when its solve is asked for; so that flows, and with them their
--- plans, serve every call.
local asked = setmetatable({}, { __mode = "k" })
local asking = { __close = function(self) asked[self.model] = nil end }

local function ask(m, o)
  asked[m] = o
  return setmetatable({ model = m }, asking)
end

local function velocity(m, i, t, z)
  local f, c = m.options.field[i], asked[m].condition
  if model.takes_state(f) then return f(z) end
  if c then return f(t, z, c) end
  return f(t, z)
end

--- The field of z with these parts beside it.
local function field_of(m, i, parts)
  return function(t, s)
    local a, out = asked[m], {}
    local f, trace, square = divergence.at(function(z) return velocity(m, i, t, z) end, s.z, a.how, a.vectors)
    for _, name in ipairs(parts) do
      if name == "divergence" then out[name] = trace end
      if name == "jacobian" then out[name] = square end
      if name == "kinetic" then out[name] = core.sum(core.square(f), 2) end
    end
    out.z = f
    return out
  end
end

local function options_of(m, i, parts)
  local o = options.joined({ solver = "dopri5", rtol = 1e-5, atol = 1e-5 }, m.options.solver)
  if #parts == 0 then
    o.field = function(t, z) return velocity(m, i, t, z) end
    return o
  end
  o.field, o.parts = field_of(m, i, parts), {}
  for _, name in ipairs(parts) do o.parts[name] = flags[name] end
  return o
end

local flows = setmetatable({}, { __mode = "k" }) -- model -> flows by number and parts

local function flow_of(m, i, parts)
  local key = i .. " " .. table.concat(parts, " ")
  flows[m] = flows[m] or {}
  flows[m][key] = flows[m][key] or ode.new(options_of(m, i, parts))
  return flows[m][key]
end

--- Times at the data and at the base of flow i.
function M.span(m, i)
  local learned = m.parts["time" .. i]
  if learned then return 0, core.square(learned.root) end
  return m.options.span[1], m.options.span[2]
end

--- Whether time runs down from the data to the base.
local function runs_down(m) return m.options.span[2] < m.options.span[1] end

--- Numbers of the flows in the order in which a point passes them.
local function order(m, backwards)
  local list, n = {}, #m.options.field
  for i = 1, n do list[i] = backwards and n + 1 - i or i end
  return list
end

local function at_end(v)
  local shape = v.shape
  table.remove(shape, 2)
  return core.reshape(core.slice(v, 2, 2, 2), shape)
end

--- x at the data (backwards: at the base) followed to the other end. o = { condition =, parts = { .. }, how =, vectors = }.
--- Returns the points there and by name the integrals of `parts`, [B] each: of the divergence from t0 to t1 whichever way
--- was gone, of what regularises over the time it took, so that it is not negative where t1 < t0.
function M.through(m, x, o, backwards)
  local _ <close> = ask(m, o)
  local z, totals = x, {}
  for _, i in ipairs(order(m, backwards)) do
    local t0, t1 = M.span(m, i)
    local state = z
    if #o.parts > 0 then
      state = { z = z }
      for _, name in ipairs(o.parts) do state[name] = core.zeros_like(core.column(z, 1)) end
    end
    local out = flow_of(m, i, o.parts)(state, backwards and { t1, t0 } or { t0, t1 })
    z = at_end(#o.parts > 0 and out.z or out)
    for _, name in ipairs(o.parts) do
      local reversed = backwards
      if name ~= "divergence" and runs_down(m) then reversed = not reversed end
      local sum = reversed and -at_end(out[name]) or at_end(out[name])
      totals[name] = totals[name] and totals[name] + sum or sum
    end
  end
  return z, totals
end

--- Of shares of the whole way, ascending in [0, 1], those in stretch k of n, as shares of the stretch; the last
--- stretch takes its end.
local function within(shares, k, n)
  local list = {}
  for _, s in ipairs(shares) do
    local r = s * n - (k - 1)
    if r >= 0 and (r < 1 or k == n and r <= 1) then list[#list + 1] = r end
  end
  return list
end

--- The points of one stretch at the shares of `list`, [B, #list, D] or nil, and at its end.
local function stretch(flow, z, first, gone, list)
  local times, from = { first }, 2
  for _, r in ipairs(list) do
    if r == 0 then from = 1 end
    if r > 0 and r < 1 then times[#times + 1] = first + r * gone end
  end
  times[#times + 1] = first + gone
  local upto = list[#list] == 1 and #times or #times - 1
  local out = flow(z, times)
  local ending = core.reshape(core.slice(out, 2, #times, #times), z.shape)
  return #list > 0 and core.slice(out, 2, from, upto) or nil, ending
end

--- Points [B, #shares, D] on the way from the data (backwards: from the base), where the shares say.
function M.path(m, x, o, shares, backwards)
  local _ <close> = ask(m, o)
  local pieces, z, n = {}, x, #m.options.field
  for k, i in ipairs(order(m, backwards)) do
    local t0, t1 = M.span(m, i)
    local first, gone = t0, t1 - t0
    if backwards then first, gone = t1, t0 - t1 end
    pieces[#pieces + 1], z = stretch(flow_of(m, i, {}), z, first, gone, within(shares, k, n))
  end
  return #pieces == 1 and pieces[1] or core.concat(pieces, 2)
end

--- The field of flow i, once.
function M.velocity(m, i, t, z, condition)
  local _ <close> = ask(m, { condition = condition })
  return velocity(m, i, t, z)
end

return M
