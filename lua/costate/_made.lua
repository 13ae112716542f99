-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a script made (flows, models, data sets): for the manifest of its run.
local function weak() return setmetatable({}, { __mode = "v" }) end
local M = { flows = weak(), models = weak(), datasets = weak(), optimizers = weak() }
local count = 0

function M.note(kind, thing)
  count = count + 1
  M[kind][count] = thing
end

--- Things of a kind that still live, in the order they were made.
function M.list(kind)
  local keys, out = {}, {}
  for k in pairs(M[kind]) do keys[#keys + 1] = k end
  table.sort(keys)
  for i, k in ipairs(keys) do out[i] = M[kind][k] end
  return out
end

return M
