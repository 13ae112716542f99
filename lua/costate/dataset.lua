-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.dataset "name" { ... }: named tensors and ways to cut batches out of them.
local check_draw = require "costate.data.draw"
local core = require "costate.core"
local image = require "costate.data.image"
local lua_datasets = require "costate._lua_datasets"
local made = require "costate._made"
local options = require "costate._options"
local series = require "costate.data.series"
local split = require "costate.data.split"
local tables = require "costate.data.table"

local M = { register = lua_datasets.register }
local Dataset = { __name = "costate.Dataset" }
Dataset.__index = Dataset

-- Times stay f64 whatever the float type of the run: solvers want them so. So do counts.
local times = { t = true, times = true, dt = true, t0 = true, t1 = true, shared_times = true, span = true,
  lengths = true, cumulative = true }

local kinds <const> = { series, tables, image } -- of sets that look alike: is(set), class, start(set)

--- The kind of a set; nil when it is of none.
local function kind_of(self)
  for _, kind in ipairs(kinds) do
    if kind.is(self) then return kind end
  end
end

local function class_of(self)
  local own = lua_datasets.registered[self.name]
  if own and own.methods then return lua_datasets.class(own, Dataset) end
  local kind = kind_of(self)
  return kind and kind.own or Dataset
end

--- What a plugin or a script made, as a data set. Tensors become fields, whatever else is kept as it is.
local function adopt(name, fields, about)
  local self = { name = name, options = about, fields = {} }
  for key, x in pairs(fields) do
    if core.kind(x) == "tensor" and x.dtype ~= "i64" and not times[key] then
      x = core.convert(x, core.dtype())
    end
    self[key] = x
    if core.kind(x) == "tensor" then self.fields[#self.fields + 1] = key end
  end
  table.sort(self.fields)
  made.note("datasets", self)
  return setmetatable(self, class_of(self))
end

function Dataset:__tostring()
  local lines = { ("dataset '%s'"):format(self.name) }
  for _, k in ipairs(self.fields) do
    lines[#lines + 1] = ("  %s: %s [%s]%s"):format(k, self[k].dtype, table.concat(self[k].shape, ", "),
      self[k].rows and " rows" or "")
  end
  return table.concat(lines, "\n")
end

local function is_uniform(t)
  local n = t.count
  local h = (t[n] - t[1]) / (n - 1)
  for i = 2, n do
    if math.abs(t[i] - t[i - 1] - h) > 1e-9 * math.max(math.abs(t[n] - t[1]), 1e-300) then return false end
  end
  return true
end

--- Contiguous windows of one trajectory: y0 [batch, ...] rows, t [horizon], y [batch, horizon, ...]
--- rows. Starts are different positions drawn by rng.
function Dataset:windows(rng, batch, horizon)
  local y, t = self.y, self.t
  check_draw("data:windows(rng, batch, horizon)", rng, batch, horizon)
  if not y or not t then core.fail("windows need the fields t and y of one trajectory") end
  local n = y.shape[1]
  if t.rank ~= 1 or t.count ~= n then core.fail("windows need one trajectory: t [N] and y [N, ...]") end
  if horizon < 2 or horizon > n then
    core.fail(("horizon must lie between 2 and %d, got %s"):format(n, tostring(horizon)))
  end
  if self.uniform == nil then self.uniform = is_uniform(t) end
  if not self.uniform then core.fail("windows need equally spaced times: rows share one t") end
  if batch > n - horizon + 1 then
    core.fail(("there are %d windows of %d points, fewer than a batch of %d"):format(n - horizon + 1, horizon, batch))
  end
  local starts = rng:choose(n - horizon + 1, batch)
  self.head = self.head and self.head.count == horizon and self.head or core.range(t, 1, horizon)
  return { y0 = core.windows(y, starts, 1, true), t = self.head, y = core.windows(y, starts, horizon) }
end

--- Names of the fields with one entry for each row of the data set.
local function row_fields(self)
  local list, rows = {}, nil
  for _, k in ipairs(self.fields) do
    if self[k].rows then
      list[#list + 1] = k
      rows = self[k].shape[1]
    end
  end
  if not rows then core.fail(("dataset '%s' has no rows to draw from"):format(self.name)) end
  return list, rows
end

local function pick(self, list, index)
  local out = { channels = self.channels }
  for _, k in ipairs(self.fields) do out[k] = self[k] end
  for _, k in ipairs(list) do out[k] = core.windows(self[k], index, 1, true) end
  return out
end

local function some(self, rng, n)
  local list, rows = row_fields(self)
  if n > rows then core.fail(("dataset '%s' has %d rows, not %d"):format(self.name, rows, n)) end
  return pick(self, list, rng:choose(rows, n))
end

--- n rows drawn without repetition, as a table of the same fields.
function Dataset:draw(rng, n)
  check_draw("data:draw(rng, n)", rng, n)
  return some(self, rng, n)
end

--- Every row once an epoch, in a new order each time when `shuffle`; cut(index, epoch) makes a batch of rows.
local function batches(self, given, cut)
  local o = options.check("batches", given, { size = "integer!", shuffle = "boolean" })
  options.positive("batches", "size", o.size)
  local list, rows = row_fields(self)
  local size = math.min(o.size, rows)
  local order, at, epoch = nil, rows, 0
  local function next_batch(rng)
    if at + size > rows then
      order = o.shuffle and rng:permutation(rows) or order or core.convert(core.arange(0, rows), "i64")
      at, epoch = 0, epoch + 1
    end
    local index = core.range(order, at + 1, at + size)
    at = at + size
    return cut(list, index, epoch)
  end
  return setmetatable({ per_epoch = rows // size }, { __call = function(_, rng) return next_batch(rng) end })
end

--- Batches for cs.train.
function Dataset:batches(given)
  return batches(self, given, function(list, index) return pick(self, list, index) end)
end

--- Every row, as one batch.
function Dataset:all()
  local list, rows = row_fields(self)
  return pick(self, list, core.convert(core.arange(0, rows), "i64"))
end

--- data:split { test = 0.2, seed = 1, by = "id" }: two data sets or three, see data/split.lua.
function Dataset:split(given)
  return split(self, given, { adopt = adopt, pick = pick, row_fields = row_fields, kind_of = kind_of })
end

--- A plugin's option of several names is a string: columns = { "hare", "lynx" } becomes "hare,lynx", and
--- missing = { "NA", 999 } likewise "NA,999".
local function with_lists(given)
  if type(given) ~= "table" or getmetatable(given) then return given end
  local out = {}
  for k, x in pairs(given) do
    local words = type(x) == "table" and (type(x[1]) == "string" or k == "missing")
    out[k] = words and table.concat(x, ",") or k == "missing" and type(x) == "number" and core.format(x) or x
  end
  return out
end

--- What a plugin makes: a tensor without axes is a number.
local function built(name, resolved, seed)
  local fields = core.dataset(name, resolved, seed)
  for k, x in pairs(fields) do
    if core.kind(x) == "tensor" and x.rank == 0 then fields[k] = x:item() end
  end
  return fields
end

--- Every set takes `seed`, from which it is drawn: that of the run, unless given. Returns the other options, the seed.
local function without_seed(o)
  if type(o) ~= "table" or o.seed == nil then return o, core.seed() end
  if math.type(o.seed) ~= "integer" then
    core.fail(("option 'seed' of a dataset is an integer, got %s"):format(core.format(o.seed)))
  end
  return options.without(o, "seed")
end

--- A set that was just made, checked and brought to the scale that was asked for.
local function start(self)
  local kind = kind_of(self)
  if kind then kind.start(self) end
  return self
end

--- cs.dataset("cubic_spiral", { points = 1000 }) or cs.dataset "cubic_spiral" { ... }
function M.dataset(name, given)
  if type(name) ~= "string" then core.fail("dataset takes a name: cs.dataset \"cubic_spiral\" { ... }") end
  local own = lua_datasets.find(name)
  local entry, message
  if not own then
    entry, message = core.find("dataset", name:find(".", 1, true) and name or "datasets." .. name)
    if not entry then entry = core.find("dataset", name) end
    if not entry then
      local hint = lua_datasets.hint(name)
      core.fail(hint and ("there is no dataset '%s'%s"):format(name, hint) or message)
    end
  end
  local function make(given_options)
    local o, seed = without_seed(given_options)
    if own then
      local fields, about = lua_datasets.build(own, given_options or {}, o or {}, seed)
      return start(adopt(name, fields, about))
    end
    local resolved = core.options("dataset", entry.name, with_lists(o))
    local about = resolved:table()
    about.seed = seed
    return start(adopt(entry.name, built(entry.name, resolved, seed), about))
  end
  if given ~= nil then return make(given) end
  return make
end

for _, kind in ipairs(kinds) do
  kind.own = kind.class(Dataset, { batches = batches, pick = pick, row_fields = row_fields, some = some })
end

M.adopt = adopt
return M
