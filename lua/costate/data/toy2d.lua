-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.dataset "toy2d" { kind = "8gaussians" }: eight densities in the plane, see toy_shapes.lua, drawn afresh each time.
--
-- A curve with normal noise has the density int N(x; c(s), sigma^2 I) w(s) ds, a mixture of normal distributions with
-- centres at the nodes of a quadrature rule: equal steps for a closed curve and panels of Gauss and Legendre else, both
-- so dense that log p is exact to 3e-5 (2spirals; the others 1e-7) where points lie, less so far beyond a curve's ends.
local check_draw = require "costate.data.draw"
local core = require "costate.core"
local dataset = require "costate.dataset"
local lua_datasets = require "costate._lua_datasets"
local options = require "costate._options"
local pieces = require "costate._pieces"
local shapes = require "costate.data.toy_shapes"
local trace = require "costate._trace"

local ORDER <const>, SPREAD_ORDER <const> = 8, 4 -- of the rules along a curve and on the square
local MOST <const> = 1 << 20 -- distances to centres that are in memory at once

--- Nodes and weights of the Gauss-Legendre rule on (0, 1), by Newton's method on the polynomial.
local function gauss_legendre(n)
  local rule = {}
  for i = 1, n do
    local z, slope = math.cos(math.pi * (i - 0.25) / (n + 0.5)), nil
    for _ = 1, 8 do
      local p, before = 1, 0
      for k = 1, n do p, before = ((2 * k - 1) * z * p - (k - 1) * before) / k, p end
      slope = n * (z * p - before) / (z * z - 1)
      z = z - p / slope
    end
    rule[i] = { at = (1 - z) / 2, weight = 1 / ((1 - z * z) * slope * slope) }
  end
  return rule
end

--- Places s on a curve and their weights, which sum to one.
local function along(shape)
  local s, w = {}, {}
  local rule = (shape.closed or shape.knots == 0) and { { at = 0, weight = 1 } } or gauss_legendre(ORDER)
  local panels = math.max(shape.knots, 1)
  for panel = 0, panels - 1 do
    for _, node in ipairs(rule) do
      s[#s + 1] = (panel + node.at) / panels
      w[#w + 1] = node.weight / panels * (shape.outward and 2 * s[#s] or 1)
    end
  end
  return core.tensor(s, "f64"), w
end

--- Where a component's square is looked at, as seen from the curve.
local function offsets(shape)
  if not shape.spread then return { { 0, 0, 1 } } end
  local list, rule = {}, gauss_legendre(SPREAD_ORDER)
  for _, a in ipairs(rule) do
    for _, b in ipairs(rule) do
      list[#list + 1] = { shape.spread * a.at, shape.spread * b.at, a.weight * b.weight }
    end
  end
  return list
end

--- Centres and logarithms of weights of the mixture, lists. The log density is log mean exp: weights times their number.
local function centres(shape)
  local x, y, w = {}, {}, {}
  local s, weight = along(shape)
  for k = 0, shape.components - 1 do
    local cx, cy = shape.curve(core.zeros_like(s) + k, s)
    cx, cy = cx:totable(), cy:totable()
    for _, off in ipairs(offsets(shape)) do
      for i = 1, #weight do
        local sign = 1 - 2 * k
        x[#x + 1], y[#y + 1], w[#w + 1] = cx[i] + sign * off[1], cy[i] + sign * off[2], weight[i] * off[3]
      end
    end
  end
  for i = 1, #w do w[i] = math.log(w[i] * #w / shape.components) end
  return x, y, w
end

local mixtures = {}

--- The mixture in a float type, made once.
local function mixture_of(kind, dtype)
  local key = kind .. dtype
  if not mixtures[key] then
    local x, y, w = centres(shapes.list[kind])
    mixtures[key] = { x = core.tensor(x, dtype), y = core.tensor(y, dtype), w = core.tensor(w, dtype) }
  end
  return mixtures[key]
end

local function log_mixture(kind, x)
  local m, sigma = mixture_of(kind, x.dtype), shapes.list[kind].sigma
  local square = (core.slice(x, 2, 1, 1) - m.x) ^ 2 + (core.slice(x, 2, 2, 2) - m.y) ^ 2
  local each = m.w - square / (2 * sigma ^ 2)
  return require("costate.loss").loss.log_mean_exp(each, { axis = 2 }) - math.log(2 * math.pi * sigma ^ 2)
end

local methods = {}

--- n new points, rows [n, 2]; with { label = true } also their components, i64 rows [n] from 0.
function methods:draw(rng, n, given)
  check_draw("data:draw(rng, n)", rng, n)
  local o = given and options.check("draw", given, { label = "boolean" }) or {}
  if o.label and not self.components then
    core.fail(("toy2d \"%s\" has no components to label"):format(self.kind))
  end
  local x, y, k = shapes.draw(shapes.list[self.kind], rng, n)
  local points = core.stack { x, y }
  if o.label then return points, core.convert(k, "i64") end
  return points
end

--- log p of rows [n, 2], rows [n].
function methods:log_density(x)
  local shape = shapes.list[self.kind]
  if not core.kind(x) then x = core.rows(core.tensor(x)) end
  if x.rank ~= 2 or x.shape[2] ~= 2 then core.fail("log_density takes points, rows [n, 2]") end
  if shape.log_density then return shape.log_density(x) end
  if not shape.curve then core.fail(("the density of toy2d \"%s\" has no closed form"):format(self.kind)) end
  return pieces(function(part) return log_mixture(self.kind, part) end, x,
    MOST // mixture_of(self.kind, x.dtype).x.count + 1)
end

function methods:__tostring()
  return ("dataset 'toy2d': %s, %s; entropy %.5f nats"):format(self.kind, shapes.list[self.kind].help, self.entropy)
end

local kinds = trace.sorted_keys(shapes.list)

dataset.register { name = "toy2d", help = "points of a density in the plane, drawn afresh: " .. table.concat(kinds, ", "),
  methods = methods,
  options = { kind = { "8gaussians", help = "one of " .. table.concat(kinds, ", ") } },
  build = function(o)
    local shape = shapes.list[o.kind]
    if not shape then
      local near = core.suggest(o.kind, kinds)
      core.fail(("toy2d has no kind '%s': %s"):format(o.kind, near and ("did you mean '%s'?"):format(near)
        or "it has " .. table.concat(kinds, ", ")))
    end
    return { kind = o.kind, box = shape.box, entropy = shape.entropy,
      components = shape.components > 1 and shape.components or nil }
  end }

return lua_datasets.registered.toy2d
