-- SPDX-License-Identifier: GPL-3.0-or-later
-- data:split { test = 0.2, seed = 1, by = "id" }: a training and a test set, with validation = 0.1 that one between
-- them. Rows are dealt at random, those that agree in the field `by` together (of series and tables: id, if there is
-- one); one trajectory is cut in time, the end being the test. What is standardised is brought to the scale of the
-- training part.
local core = require "costate.core"
local options = require "costate._options"

--- Rows first to last of one trajectory.
local function part(self, first, last, tools)
  local fields = {}
  for _, k in ipairs(self.fields) do
    local x = self[k]
    if x.rank > 0 and x.shape[1] == self.y.shape[1] then x = core.range(x, first, last) end
    fields[k] = x
  end
  return tools.adopt(self.name, fields, self.options)
end

--- Rows by the value of the field `by`, groups in the order they are met; without it a group a row.
local function groups_of(self, by, n)
  local groups, place = {}, {}
  local x = by and self[by]
  if by and not (core.kind(x) == "tensor" and x.rows and x.rank == 1) then
    core.fail(("dataset '%s' has no field '%s' [N] of its rows to split by"):format(self.name, by))
  end
  for i = 1, n do
    local key = x and x[i] or i
    local g = place[key]
    if not g then
      g = {}
      groups[#groups + 1], place[key] = g, g
    end
    g[#g + 1] = i
  end
  return groups
end

--- The rows of the groups that order[first .. last] names.
local function rows_of(groups, order, first, last)
  local rows = {}
  for i = first, last do
    local g = groups[order[i] + 1]
    table.move(g, 1, #g, #rows + 1, rows)
  end
  return core.index(rows)
end

local made_anew = { fields = true, options = true, name = true }

--- A data set of these rows, with whatever belongs to the whole. `ids` is a list with an entry for each row.
local function rows_part(self, list, index, tools)
  local fields = {}
  for k, x in pairs(self) do
    if core.kind(x) ~= "tensor" and not made_anew[k] then fields[k] = x end
  end
  if self.ids then
    fields.ids = {}
    for i = 1, index.count do fields.ids[i] = self.ids[index[i] + 1] end
  end
  for k, x in pairs(tools.pick(self, list, index)) do fields[k] = x end
  return tools.adopt(self.name, fields, self.options)
end

--- How many of n go to a share: at least one.
local function number_of(share, n)
  return share and math.max(1, math.floor(share * n + 0.5)) or 0
end

--- The parts [first, last] of 1 .. n: training, validation if there is one, test.
local function cuts(self, o, n, what)
  local test, validation = number_of(o.test, n), number_of(o.validation, n)
  local train = n - test - validation
  if train < 1 and not o.validation then train, test = 1, n - 1 end -- a share near one
  if train < 1 or test < 1 then
    core.fail(("dataset '%s' has %d %s, too few to split"):format(self.name, n, what))
  end
  local list = { { 1, train } }
  if validation > 0 then list[2] = { train + 1, train + validation } end
  list[#list + 1] = { n - test + 1, n }
  return list
end

local function split_rows(self, o, tools)
  local list, n = tools.row_fields(self)
  local kind = tools.kind_of(self)
  local groups = groups_of(self, o.by or kind and self.id and "id" or nil, n)
  local order = core.rng(o.seed or core.seed(), "split"):permutation(#groups)
  local parts = cuts(self, o, #groups, o.by or "rows")
  for i, cut in ipairs(parts) do
    parts[i] = rows_part(self, list, rows_of(groups, order, cut[1], cut[2]), tools)
  end
  if kind and kind.rescale_parts then kind.rescale_parts(parts) end
  return table.unpack(parts)
end

local function split_times(self, o, tools)
  if not self.y then core.fail(("dataset '%s' has neither rows nor a trajectory y to split"):format(self.name)) end
  local parts = cuts(self, o, self.y.shape[1], "times")
  for i, cut in ipairs(parts) do parts[i] = part(self, cut[1], cut[2], tools) end
  return table.unpack(parts)
end

local function check_share(name, x)
  if x == nil or x > 0 and x < 1 then return end
  core.fail(("option '%s' of split is a share between 0 and 1, got %g"):format(name, x))
end

return function(self, given, tools)
  local o = options.check("split", given, { test = "number!", validation = "number", seed = "integer", by = "string" })
  check_share("test", o.test)
  check_share("validation", o.validation)
  if o.validation and o.test + o.validation >= 1 then core.fail("split: test and validation leave nothing to train on") end
  for _, k in ipairs(self.fields) do
    if self[k].rows then return split_rows(self, o, tools) end
  end
  return split_times(self, o, tools)
end
