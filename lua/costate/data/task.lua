-- SPDX-License-Identifier: GPL-3.0-or-later
-- data:task { kind =, .. }: batches in which `seen` (t, y, mask, lengths) is what an encoder may look at, while t, y,
-- mask, lengths are what is to be predicted.
--
--   interpolation  seen are `count` of a row's times, or the share `keep`, at random; predicted are all of them
--   extrapolation  seen are the times in the first `share` of the row's span, predicted those after
--
-- predict = "hidden" asks for the times that are not seen, predict = "all" for all of them, whatever the kind.
-- The random choice is keyed by seed, row and draw. The draw is 0, or in batches the epoch (1, 2, ..) unless `fixed`.
-- Batches that do not have all times of their rows say so, `partial`: those of a point process they are not.
-- Where nothing is left to predict, a row has one time at which nothing is observed. Shapes depend on the data set
-- alone, so that a recorded loss fits every batch.
local core = require "costate.core"
local options = require "costate._options"

local M = {}
local Task = { __name = "costate.Task" }
Task.__index = Task

local spec = { kind = "string!", keep = "number", count = "integer", share = "number", predict = "string",
  fixed = "boolean", seed = "integer" }

local own_options = { interpolation = { keep = true, count = true }, extrapolation = { share = true } }
local usual = { interpolation = "all", extrapolation = "hidden" }

local function check_share(name, x)
  if x > 0 and x <= 1 then return end
  core.fail(("option '%s' of task is a share above 0 and at most 1, got %s"):format(name, core.format(x)))
end

local function check(given)
  local o = options.check("task", given, spec)
  local own = own_options[o.kind]
  if not own then
    core.fail(("option 'kind' of task is \"interpolation\" or \"extrapolation\", got \"%s\""):format(o.kind))
  end
  for _, name in ipairs { "keep", "count", "share" } do
    if o[name] ~= nil and not own[name] then
      core.fail(("option '%s' of task does not belong to kind \"%s\""):format(name, o.kind))
    end
  end
  if o.keep and o.count then core.fail("task takes keep, a share, or count, a number, not both") end
  options.positive("task", "count", o.count)
  o.keep, o.share, o.predict, o.seed = o.keep or 0.5, o.share or 0.5, o.predict or usual[o.kind], o.seed or core.seed()
  check_share("keep", o.keep)
  check_share("share", o.share)
  if o.predict ~= "all" and o.predict ~= "hidden" then
    core.fail(("option 'predict' of task is \"all\" or \"hidden\", got \"%s\""):format(o.predict))
  end
  return o
end

--- Which points of the rows are seen.
local function flags(self, b, index, draw)
  local o = self.options
  if o.kind == "extrapolation" then return core.early_points(b.t, b.lengths, o.share) end
  return core.choose_points(b.lengths, b.t.shape[2], index, o.seed, o.fixed and 0 or draw, o.count or 0, o.keep)
end

local function is_observation(name) return name == "t" or name == "y" or name == "mask" end
local function is_of_points(name, x)
  return is_observation(name) or name:find("^point_") or name == "label" and x.rank == 2
end

--- The fields of points in `b` that `takes` chooses, of those points that are flagged or of the others.
local function gather(b, flagged, wanted, room, takes)
  local out = { lengths = core.count_points(flagged, b.lengths, wanted) }
  for k, x in pairs(b) do
    if takes(k, x) then out[k] = core.gather_points(x, flagged, b.lengths, wanted, room, k == "t") end
  end
  return out
end

local function cut(self, list, index, draw)
  local b = self.tools.pick(self.data, list, index)
  local flagged = flags(self, b, index, draw)
  local seen = gather(b, flagged, true, self.room_seen, is_observation)
  if self.options.predict == "hidden" then
    for k, x in pairs(gather(b, flagged, false, self.room_hidden, is_of_points)) do b[k] = x end
    b.shared_times, b.partial = self.late_times, true
  end
  b.seen = seen
  return b
end

local function everything(data, tools)
  local list, rows = tools.row_fields(data)
  return list, core.convert(core.arange(0, rows), "i64")
end

--- For cs.train: batches of the data set's rows, each as this task shows it.
function Task:batches(given)
  return self.tools.batches(self.data, given, function(list, index, epoch) return cut(self, list, index, epoch) end)
end

--- Every row as one batch; other draws see other points.
function Task:all(draw)
  if draw ~= nil and math.type(draw) ~= "integer" then
    core.fail("task:all takes the number of a draw, an integer, got " .. tostring(draw))
  end
  local list, index = everything(self.data, self.tools)
  return cut(self, list, index, draw or 0)
end

function Task:__tostring()
  local o, n = self.options, self.data.t.shape[2]
  local what = o.kind == "extrapolation" and ("the first %g of each span is"):format(o.share)
    or ("%s of the times are"):format(o.count or ("%g"):format(o.keep))
  return ("task '%s' on dataset '%s': %s seen, at most %d of %d times; %s predicted"):format(o.kind, self.data.name,
    what, self.room_seen, n, o.predict == "all" and "all are" or "the others are")
end

function M.new(data, given, tools)
  local self = setmetatable({ data = data, options = check(given), tools = tools, channels = data.channels }, Task)
  local list, index = everything(data, tools)
  local b = tools.pick(data, list, index)
  local flagged = flags(self, b, index, 0)
  local _, seen = core.count_points(flagged, b.lengths, true)
  local _, hidden = core.count_points(flagged, b.lengths, false)
  self.room_seen, self.room_hidden = seen, hidden
  if data.shared_times and self.options.kind == "extrapolation" then
    local late = gather(b, flagged, false, hidden, is_observation)
    self.late_times = core.shared_times(late.t, late.lengths) -- of what is hidden
  end
  return self
end

return M
