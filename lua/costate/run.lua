-- SPDX-License-Identifier: GPL-3.0-or-later
-- The run: where results go. With a directory (costate run --out DIR) it holds manifest.json,
-- metrics.jsonl, log.txt, figures/ and, at the end, result.json.
local core = require "costate.core"
local made = require "costate._made"

local M = { quiet = false, result = {}, options = {}, interrupted = function() return false end }

local function path(name) return M.dir .. "/" .. name end

--- The first value, or an error of the second: a message for people, without a place in this file.
local function need(x, message)
  if not x then error(message, 0) end
  return x
end

local function make_directories(dir)
  local at = dir:sub(1, 1) == "/" and "/" or ""
  for part in dir:gmatch("[^/]+") do
    at = at .. part
    need(core.mkdir(at))
    at = at .. "/"
  end
end

--- Whole files appear complete or not at all.
local function write(name, text)
  need(core.write_file(path(name), text))
end

--- The same value, with what JSON cannot hold written as text.
local function plain(x, depth)
  depth = depth or 0
  if type(x) == "number" or type(x) == "string" or type(x) == "boolean" then return x end
  if core.kind(x) == "tensor" then return x.rank == 0 and x:item() or x:totable() end
  if type(x) == "table" and depth < 8 then
    local out = {}
    for k, v in pairs(x) do out[type(k) == "number" and k or tostring(k)] = plain(v, depth + 1) end
    return out
  end
  return tostring(x)
end
M.plain = plain

--- Opens DIR. Numbers of the run are in there from the first step on.
function M.open(dir)
  M.dir = dir:gsub("(.)/+$", "%1")
  make_directories(M.dir)
  M.metrics_file = need(io.open(path("metrics.jsonl"), "w"))
  M.log_file = need(io.open(path("log.txt"), "w"))
end

--- A line for log.txt.
function M.log(...)
  if not M.log_file then return end
  M.log_file:write(os.date("!%Y-%m-%dT%H:%M:%SZ "), string.format(...), "\n")
  M.log_file:flush()
end

local first <const> = { "step", "epoch", "loss", "nfe_forward", "nfe_backward" }

--- One line of metrics.jsonl: known keys first, others by name, seconds last.
function M.metrics(row)
  if not M.metrics_file then return end
  local parts, seen = {}, { seconds = true }
  local function put(k)
    if row[k] ~= nil then parts[#parts + 1] = core.json(k) .. ": " .. core.json(plain(row[k])) end
    seen[k] = true
  end
  for _, k in ipairs(first) do put(k) end
  local rest = {}
  for k in pairs(row) do if not seen[k] then rest[#rest + 1] = k end end
  table.sort(rest)
  for _, k in ipairs(rest) do put(k) end
  if row.seconds then parts[#parts + 1] = '"seconds": ' .. core.json(row.seconds) end
  M.metrics_file:write("{", table.concat(parts, ", "), "}\n")
end

function M.flush()
  if not M.metrics_file then return end
  local ok, message = M.metrics_file:flush()
  if not ok then error("metrics.jsonl: " .. tostring(message), 0) end
end

-- ---- manifest ---------------------------------------------------------------------------------------

local function describe_flow(f)
  local o, out = f.options, {}
  for k, v in pairs(o) do
    if k ~= "field" then
      local t = type(v)
      if t == "userdata" then out[k] = v:table() else out[k] = plain(v) end
    end
  end
  return out
end

local function describe(kind)
  local out = {}
  for i, x in ipairs(made.list(kind)) do
    if kind == "flows" then out[i] = describe_flow(x)
    elseif kind == "models" then
      out[i] = { kind = x.kind, name = x.name, options = plain(x.options), parameters = x.flat.count }
    else out[i] = { name = x.name, options = plain(x.options) } end
  end
  return out
end

local function plugin_list()
  local out = {}
  for i, p in ipairs(core.plugins()) do
    out[i] = { name = p.name, version = p.version, license = p.license,
      sha256 = p.path and p.path:sub(1, 1) == "/" and core.sha256_file(p.path) or nil }
  end
  return out
end

--- Everything needed to do this run again.
function M.manifest(status)
  local script = M.script and { path = M.script, sha256 = core.sha256_file(M.script) } or nil
  return { costate = core.version, lua = _VERSION, script = script, arguments = M.arguments,
    options = plain(M.options), seed = core.seed(), dtype = core.dtype(), threads = core.threads(),
    host = core.host(), plugins = plugin_list(), flows = describe("flows"), models = describe("models"),
    datasets = describe("datasets"), started = M.started, status = status }
end

function M.write_manifest(status)
  if M.dir then write("manifest.json", core.json(M.manifest(status)) .. "\n") end
end

--- cs.result { trajectory_mae = 0.1 }: headline figures, merged into result.json.
function M.record(given)
  if type(given) ~= "table" then core.fail("result takes a table of named figures") end
  for k, v in pairs(given) do
    if type(k) ~= "string" then core.fail("result takes named figures: cs.result { error = 0.1 }") end
    M.result[k] = plain(v)
  end
  if M.dir then write("result.json", core.json(M.result) .. "\n") end
end

--- The path of a figure: in the run's directory when there is one.
function M.figure(name)
  if name:find("/", 1, true) or not M.dir then return name end
  make_directories(path("figures"))
  return path("figures/" .. name)
end

--- Ends the run: status is "ok", "failed" or "interrupted".
function M.close(status)
  if not M.dir then return end
  M.flush()
  M.log("status %s", status)
  M.metrics_file:close()
  M.log_file:close()
  M.metrics_file, M.log_file = nil, nil
  M.write_manifest(status)
  M.result.status = M.result.status or status
  write("result.json", core.json(M.result) .. "\n")
end

return M
