-- SPDX-License-Identifier: GPL-3.0-or-later
-- Data sets of points from a table: x rows [N, D], names of the columns, and how they were measured.
--
-- With normalise = "standard" x is (measured - mean) / std, and densities differ by the factor of the volumes:
-- log p(measured) = log p(x) + log_scale, log_scale = - sum log std. Measured is the logarithm in columns of `logs`.
local check_draw = require "costate.data.draw"
local core = require "costate.core"
local options = require "costate._options"
local scale = require "costate.data.scale"

local M = {}

local how <const> = { field = "x", names = "columns", noun = "column", fixed = function(name, part)
  core.fail(("column '%s' never changes%s: there is no density along it; leave it out"):format(name,
    part:match("^ in the training part") or ""))
end }

function M.is(self) return core.kind(self.x) == "tensor" and self.x.rank == 2 and self.columns ~= nil end

local function set_log_scale(self)
  self.log_scale = 0
  for _, std in ipairs(self.std or {}) do self.log_scale = self.log_scale - math.log(std) end
end

--- A set that was just read.
function M.start(self)
  if self.options.normalise == "standard" then scale.rescale(self, how, scale.moments(self, how, "")) end
  set_log_scale(self)
end

--- Parts of one set: both on the scale of the first.
function M.rescale_parts(parts)
  scale.rescale_parts(how, parts)
  for _, part in ipairs(parts) do set_log_scale(part) end
end

--- The class of such sets, from that of all data sets. `tools` are functions of its module.
function M.class(Dataset, tools)
  local Table = setmetatable({ __name = Dataset.__name }, { __index = Dataset })
  Table.__index = Table

  --- n different rows of x, [n, D]; with { label = true } also their labels [n].
  function Table:draw(rng, n, given)
    check_draw("data:draw(rng, n)", rng, n)
    local o = given and options.check("draw", given, { label = "boolean" }) or {}
    if o.label and not self.label then core.fail("draw: the table has no label (option label names a column)") end
    local b = tools.some(self, rng, n)
    if o.label then return b.x, b.label end
    return b.x
  end

  --- Points on the scale of x as they would stand in the file.
  function Table:measured(x)
    local columns = table.pack(x:columns())
    for c, name in ipairs(self.columns) do
      local y = columns[c]
      if self.std then y = self.mean[c] + self.std[c] * y end
      for _, log in ipairs(self.logs or {}) do
        if log == name then y = core.exp(y) end
      end
      columns[c] = y
    end
    return core.stack(columns)
  end

  function Table:__tostring()
    return ("%s\n  N = %d points, D = %d (%s), %d records dropped"):format(Dataset.__tostring(self), self.x.shape[1],
      #self.columns, table.concat(self.columns, ", "), self.dropped or 0)
  end

  return Table
end

return M
