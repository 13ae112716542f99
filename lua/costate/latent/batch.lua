-- SPDX-License-Identifier: GPL-3.0-or-later
-- A batch of irregular series as the models of this family read it.
--   t [B, T], y and mask [B, T, C], lengths [B]     what is to be explained
--   seen = { t, y, mask, lengths }                  what the encoder gets; without it, the same
--   shared_times [T]                                t of every row, when all have the same
--   span [B]                                        end of the window of a point process; without it, the last time
--   partial                                         true where t lacks what is in `seen`
-- Times of a row may repeat: channels observed at one time as two entries are met one after the other.
-- z0 lives at the origin: a number that all rows share, or by default each row's own first time. Values at
-- entries that are not observed are never read, so NaN may stand there.
local core = require "costate.core"

local M = {}

local series <const> = { "t", "y", "mask", "lengths" }
local others <const> = { "shared_times", "label", "span", "partial" }

local function part(from, what)
  local out = {}
  for _, k in ipairs(series) do
    out[k] = from[k]
    if not core.kind(out[k]) then
      core.fail(("%s lacks the field '%s': a batch of series has t, y, mask and lengths"):format(what, k))
    end
  end
  return out
end

local function expect(ok, what, k, x, wanted)
  if ok then return end
  core.fail(("'%s' of %s has shape [%s]: it must be rows %s"):format(k, what, table.concat(x.shape, ", "), wanted))
end

local function check_shapes(s, what, channels)
  local b, n, c = table.unpack(s.y.shape)
  expect(s.y.rows and s.y.rank == 3, what, "y", s.y, "[N, T, C]")
  if c ~= channels then core.fail(("%s has %d channels, the model %d"):format(what, c, channels)) end
  local m, t, l = s.mask.shape, s.t.shape, s.lengths.shape
  expect(s.mask.rows and #m == 3 and m[1] == b and m[2] == n and m[3] == c, what, "mask", s.mask, "as y, [N, T, C]")
  expect(s.t.rows and #t == 2 and t[1] == b and t[2] == n, what, "t", s.t, "[N, T]")
  expect(s.lengths.rows and #l == 1 and l[1] == b, what, "lengths", s.lengths, "[N]")
end

local function check_row(what, i, s, length)
  if not (length >= 1 and length <= #s.t and length % 1 == 0) then
    core.fail(("row %d of %s has length %s: a series has 1 to %d times, an empty one is left out"):format(i, what,
      core.format(length), #s.t))
  end
  for k = 1, length do
    local t, before = s.t[k], s.t[k - 1] or -math.huge
    if not (t >= before and math.abs(t) < math.huge) then
      core.fail(("time %d of row %d of %s is %s after %s: times ascend"):format(k, i, what, core.format(t),
        core.format(before)))
    end
    for c, m in ipairs(s.mask[k]) do
      local y = s.y[k][c]
      if m ~= 0 and (y ~= y or math.abs(y) == math.huge) then
        core.fail(("channel %d at time %d of row %d of %s is %s but marked as observed: set its mask to 0"):format(c, k,
          i, what, core.format(y)))
      end
    end
  end
end

--- Numbers that are there already are looked at; those of a trace come later.
local function check_numbers(s, what)
  for _, k in ipairs(series) do if core.kind(s[k]) ~= "tensor" then return end end
  local all = { t = s.t:totable(), y = s.y:totable(), mask = s.mask:totable() }
  for i, length in ipairs(s.lengths:totable()) do
    check_row(what, i, { t = all.t[i], y = all.y[i], mask = all.mask[i] }, length)
  end
end

--- All rows of a task of a data set; a batch or data set as it is.
function M.whole(given)
  if type(given) == "table" and not given.t and type(given.all) == "function" then return given:all() end
  return given
end

--- The fields of a batch or data set that count, as a plain table; raises for what cannot be right.
function M.fields(given, channels)
  if type(given) ~= "table" then core.fail("a batch of series is a table with t, y, mask and lengths, got a " .. type(given)) end
  given = M.whole(given)
  local b = part(given, "the batch")
  for _, k in ipairs(others) do b[k] = given[k] end
  if given.seen then b.seen = part(given.seen, "'seen' of the batch") end
  check_shapes(b, "the batch", channels)
  check_numbers(b, "the batch")
  if b.span then expect(b.span.rows and b.span.rank == 1, "the batch", "span", b.span, "[N], where the window of a row ends") end
  if b.seen then
    check_shapes(b.seen, "'seen' of the batch", channels)
    check_numbers(b.seen, "'seen' of the batch")
  end
  return b
end

function M.cast(x) return x.dtype == core.dtype() and x or core.cast(x, core.dtype()) end

local function first(s) return core.reshape(core.slice(s.t, 2, 1, 1), { s.t.shape[1] }) end

--- What the encoder gets of a batch, and z0's time: a number, [B], or nil, the first time of both.
function M.seen(b, origin)
  if origin or not b.seen then return b.seen or b, origin end
  return b.seen, core.minimum(first(b.seen), first(b))
end

--- y where observed, else 0 (and no derivative).
function M.values(s) return core.where(s.mask, s.y, 0) end

--- [B, T]: 1 where any channel is observed.
function M.any(s) return core.max(s.mask, 3) end

--- Rows [B, n, ..] of x [B, ..].
function M.column(x) return core.reshape(x, { x.shape[1], 1 }) end

--- [B, T]: time to the next entry of the row, 0 at its last one, since padding repeats that.
function M.until_next(t)
  local n = t.shape[2]
  local gap = core.zeros_like(core.slice(t, 2, n, n))
  if n > 1 then gap = core.concat({ core.slice(t, 2, 2, n) - core.slice(t, 2, 1, n - 1), gap }, 2) end
  return M.cast(gap)
end

--- [B, T]: time since the entry before, 0 at the first.
function M.since_last(t)
  local n = t.shape[2]
  local gap = core.zeros_like(core.slice(t, 2, 1, 1))
  if n > 1 then gap = core.concat({ gap, core.slice(t, 2, 2, n) - core.slice(t, 2, 1, n - 1) }, 2) end
  return M.cast(gap)
end

return M
