-- SPDX-License-Identifier: GPL-3.0-or-later
-- Data sets of series at irregular times, each row with times of its own:
--
--   t        f64 rows [N, T]  ascending, the last one repeated beyond the end
--   y, mask  rows [N, T, C]   values, and 1 where observed; both 0 where not, and beyond the end
--   lengths  f64 rows [N]     number of times of a row, 1 .. T
--   channels                  names of the C channels
--
-- and, where it makes sense, label [N] (or [N, T], of each point), statics [N, S], id [N], shared_times f64 [T] when
-- all rows have the same times, and fields point_* [N, T, ..] with something for each point.
local core = require "costate.core"
local options = require "costate._options"
local scale = require "costate.data.scale"
local task = require "costate.data.task"

local M = {}

local function is_tensor(x) return core.kind(x) == "tensor" end

function M.is(self) return is_tensor(self.t) and is_tensor(self.y) and is_tensor(self.mask) and is_tensor(self.lengths) end

-- How its scale is kept: see scale.lua.
local how <const> = { field = "y", mask = "mask", names = "channels", noun = "channel" }

--- Parts of one set: all get the scale of the first.
function M.rescale_parts(parts) scale.rescale_parts(how, parts) end

-- ---- a new set ------------------------------------------------------------------------------------------------

--- A set that was just made or read, checked.
function M.start(self)
  if not self.channels then
    self.channels = {}
    for c = 1, self.y.shape[3] or 0 do self.channels[c] = "y" .. c end
  end
  core.check_series(self.t, self.y, self.mask, self.lengths, self.channels)
  local shared = core.shared_times(self.t, self.lengths)
  if shared then scale.set_field(self, "shared_times", shared) end
  if self.options.normalise == "standard" then scale.rescale(self, how, scale.moments(self, how, "")) end
end

-- ---- the class ------------------------------------------------------------------------------------------------

local function summary(self)
  local rows, points, channels = table.unpack(self.y.shape)
  local low, high, sum, seen = points, 1, 0, self.mask:sum():item()
  for i = 1, rows do
    local n = math.tointeger(self.lengths[i])
    low, high, sum = math.min(low, n), math.max(high, n), sum + n
  end
  return ("  N = %d series of %s times%s, C = %d (%s), %.1f%% observed"):format(rows,
    low == high and tostring(low) or ("%d to %d"):format(low, high), self.shared_times and " that all share" or "",
    channels, table.concat(self.channels, ", "), 100 * seen / (sum * channels))
end

--- The class of such sets, from that of all data sets. `tools` are functions of its module that a task needs.
function M.class(Dataset, tools)
  local Series = setmetatable({ __name = Dataset.__name }, { __index = Dataset })
  Series.__index = Series

  function Series:__tostring() return Dataset.__tostring(self) .. "\n" .. summary(self) end

  --- The same series with each channel at mean 0 and deviation 1, or on the scale of another set.
  function Series:standardise(given)
    local o = options.check("standardise", given or {}, { like = "table" })
    if o.like and not o.like.std then
      core.fail("option 'like' of standardise is a set that was standardised itself")
    end
    local fields = {}
    for k, x in pairs(self) do fields[k] = x end
    local out = setmetatable(fields, Series)
    out.fields = table.move(self.fields, 1, #self.fields, 1, {})
    if o.like then scale.rescale(out, how, scale.of_other(o.like, self, how))
    else scale.rescale(out, how, scale.moments(self, how, "")) end
    return out
  end

  --- What an encoder sees and what is to be predicted: see task.lua.
  function Series:task(given) return task.new(self, given, tools) end

  return Series
end

return M
