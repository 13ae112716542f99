-- SPDX-License-Identifier: GPL-3.0-or-later
-- data:split { test = 0.2, seed = 1, by = "id" }: a training and a test set. Rows are dealt at random, those that
-- agree in the field `by` together (of series: id, if there is one); one trajectory is cut in time, the end being
-- the test. Standardised series are brought to the scale of the training part.
local core = require "costate.core"
local options = require "costate._options"
local series = require "costate._series"

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

local function split_rows(self, o, tools)
  local list, n = tools.row_fields(self)
  local groups = groups_of(self, o.by or series.is(self) and self.id and "id" or nil, n)
  if #groups < 2 then
    core.fail(("dataset '%s' has %d %s, too few to split"):format(self.name, #groups, o.by or "rows"))
  end
  local order = core.rng(o.seed or core.seed(), "split"):permutation(#groups)
  local cut = #groups - math.min(#groups - 1, math.max(1, math.floor(o.test * #groups + 0.5)))
  local train = rows_part(self, list, rows_of(groups, order, 1, cut), tools)
  local test = rows_part(self, list, rows_of(groups, order, cut + 1, #groups), tools)
  if series.is(self) then series.rescale_parts(train, test) end
  return train, test
end

return function(self, given, tools)
  local o = options.check("split", given, { test = "number!", seed = "integer", by = "string" })
  if not (o.test > 0 and o.test < 1) then
    core.fail(("option 'test' of split is a share between 0 and 1, got %g"):format(o.test))
  end
  for _, k in ipairs(self.fields) do
    if self[k].rows then return split_rows(self, o, tools) end
  end
  local n = self.y.shape[1]
  local cut = n - math.max(1, math.floor(o.test * n + 0.5))
  return part(self, 1, cut, tools), part(self, cut + 1, n, tools)
end
