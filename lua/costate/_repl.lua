-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate repl: cs is loaded; expressions are printed.
local M = {}

local known, host = pcall(require, "costate._host")
local function go_on() if known then host.go_on() end end

local function read(prompt)
  if known and host.readline then return host.readline(prompt) end
  io.write(prompt)
  io.flush()
  return io.read("L")
end

local function compile(line)
  local chunk = load("return " .. line, "=repl")
  if chunk then return chunk end
  return load(line, "=repl")
end

--- Reads until the chunk is complete.
local function read_chunk()
  local line = read("> ")
  while line do
    local chunk, message = compile(line)
    if chunk then return chunk end
    if not message:match("<eof>$") then return nil, message end
    local more = read(">> ")
    if not more then return nil, message end
    line = line .. "\n" .. more
  end
  return false
end

function M.run()
  _G.cs = require "costate" -- luacheck: ignore
  print(_G.cs._VERSION .. ", " .. _VERSION .. "; the toolkit is `cs`, end with control-D")
  while true do
    local chunk, message = read_chunk()
    if chunk == false then break end
    if chunk then
      go_on()
      local results = table.pack(xpcall(chunk, debug.traceback))
      if results[1] then
        for i = 2, results.n do _G.cs.print(results[i]) end
      else
        message = type(results[2]) == "table" and results[2].costate_exit or results[2]
      end
    end
    if message then print(message) end
  end
  print()
  return 0
end

return M
