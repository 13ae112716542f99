-- SPDX-License-Identifier: GPL-3.0-or-later
-- Data sets whose channels are brought to mean 0 and deviation 1. How a kind of set keeps them:
--
--   how.field  the tensor [.., C]          how.names  where the C names are
--   how.mask   1 where observed, or nil    how.noun   what one is called
--   how.fixed(name)  raises for one that never changes; without, it is only shifted
--
-- set.mean and set.std, lists of C numbers, lead back to what was measured: mean + std * x.
local core = require "costate.core"

local M = {}

--- Adds or replaces a field.
function M.set_field(self, name, x)
  if not self[name] then
    self.fields[#self.fields + 1] = name
    table.sort(self.fields)
  end
  self[name] = x
end

--- Mean and deviation of what is observed. `part` says of what, in messages.
function M.moments(self, how, part)
  local mean, std, count = core.channel_moments(self[how.field], self[how.mask])
  for c, n in ipairs(count) do
    local name = self[how.names][c]
    if n == 0 then core.fail(("%s '%s' is never observed%s"):format(how.noun, name, part)) end
    if std[c] <= 1e-13 * math.abs(mean[c]) then -- what rounding leaves of equal numbers
      if how.fixed then how.fixed(name, part) end
      std[c] = 1
    end
  end
  return mean, std
end

--- Brings the field to (x - mean) / std and keeps the numbers that lead back.
function M.rescale(self, how, mean, std)
  M.set_field(self, how.field, core.rescale_channels(self[how.field], self[how.mask], mean, std))
  local old_mean, old_std = self.mean, self.std
  self.mean, self.std = {}, {}
  for c = 1, #self[how.names] do
    self.mean[c] = (old_mean and old_mean[c] or 0) + (old_std and old_std[c] or 1) * mean[c]
    self.std[c] = (old_std and old_std[c] or 1) * std[c]
  end
end

--- Parts of a standardised set: all get the scale of the first.
function M.rescale_parts(how, parts)
  if not parts[1].std then return end
  local mean, std = M.moments(parts[1], how, " in the training part: its scale is not known (another seed of split?)")
  for _, part in ipairs(parts) do M.rescale(part, how, mean, std) end
end

--- The scale of another set, as seen from that of `self`.
function M.of_other(other, self, how)
  local mean, std = {}, {}
  for c in ipairs(self[how.names]) do
    local own_mean, own_std = self.mean and self.mean[c] or 0, self.std and self.std[c] or 1
    mean[c], std[c] = (other.mean[c] - own_mean) / own_std, other.std[c] / own_std
  end
  return mean, std
end

return M
