-- SPDX-License-Identifier: GPL-3.0-or-later
-- Methods of models that build nodes: recorded and run at once when no trace is open. A recording is kept for
-- each model, method, way of calling it and kind of batch; parameters are captured, so it cannot go stale.
local core = require "costate.core"
local trace = require "costate._trace"

local KEPT <const> = 32 -- recordings of a model; batches of more kinds than that are recorded again

local kept = setmetatable({}, { __mode = "k" }) -- model -> { count =, by_key = { [key] = recording } }

local function record(args, body)
  local leaves, _, layout = trace.flatten(args)
  local r = {}
  r.fn, r.captures = trace.record(leaves, function(_, inputs)
    local list, _, spec = trace.flatten { body(trace.rebuild(layout, inputs)) }
    for i, x in ipairs(list) do if type(x) == "number" then list[i] = core.current():value(core.tensor(x)) end end
    r.spec = spec
    return list
  end)
  return r
end

local M = {}

--- Evaluations of fields by the last call for a model.
function M.evaluations(m) return kept[m] and kept[m].evaluations or 0 end

--- body(args), traced; `way` says what else the body depends on.
local function eager(_, m, way, args, body)
  if core.current() then return body(args) end
  local leaves, key = trace.flatten(args)
  local of_model = kept[m]
  if not of_model or of_model.count == KEPT then of_model = { count = 0, by_key = {} } end
  kept[m], key = of_model, way .. key
  local r = of_model.by_key[key]
  if not r then
    r = record(args, body)
    of_model.by_key[key], of_model.count = r, of_model.count + 1
  end
  local out, status, message = trace.run(r, leaves)
  if not out then core.fail(status .. ": " .. message) end
  of_model.evaluations = r.program:evaluations()
  return table.unpack(trace.rebuild(r.spec, out))
end

return setmetatable(M, { __call = eager })
