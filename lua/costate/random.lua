-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.random.normal(shape): inside a traced function a draw that is new at every step; outside, drawn
-- at once. The stream is the place of the call and how often it was passed in this recording.
local core = require "costate.core"
local options = require "costate._options"

local counts = setmetatable({}, { __mode = "k" }) -- trace -> place -> draws so far
local outside = 0

local function draw(normal, shape, given)
  if type(shape) == "number" then shape = { shape } end
  local like = core.kind(shape) and shape
  local rows = given and options.check("random", given, { rows = "boolean" }).rows or like and like.rows
  if like then shape = like.shape end
  if type(shape) ~= "table" then core.fail("random: a shape is a table of lengths, or a tensor like it") end
  local tr = core.current()
  local _, source, line = core.place()
  local place = ("%s:%d"):format(source and source:match("[^/\\]*$") or "?", line or 0)
  if not tr then
    outside = outside + 1
    local rng = core.rng(core.seed(), ("%s/%d"):format(place, outside))
    local t = normal and rng:normal(shape) or rng:uniform(shape)
    return rows and core.rows(t) or t
  end
  local seen = counts[tr] or {}
  counts[tr] = seen
  seen[place] = (seen[place] or 0) + 1
  return core.random(normal, ("%s/%d"):format(place, seen[place]), core.dtype(), rows and "row" or "shared", shape)
end

return {
  --- Standard normal numbers: shape is a table of lengths, or a tensor or value to be like.
  normal = function(shape, given) return draw(true, shape, given) end,
  --- Uniform numbers on (0, 1).
  uniform = function(shape, given) return draw(false, shape, given) end,
}
