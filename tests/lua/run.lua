-- SPDX-License-Identifier: GPL-3.0-or-later
-- Runs the *_spec.lua files given, or all beside this file: describe/it as in busted, and nothing more.
-- Prints every failure and ends with "N passed, N failed".
local here = arg[0]:match("^(.*[/\\])") or "./"
local passed, failed, names = 0, 0, {}

function describe(name, body) -- luacheck: ignore
  names[#names + 1] = name
  body()
  names[#names] = nil
end

function it(name, body) -- luacheck: ignore
  local ok, e = xpcall(body, function(e) return debug.traceback(tostring(e), 2) end)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
    print(("FAILED %s: %s\n%s"):format(table.concat(names, " "), name, e))
  end
end

--- Whether f raises a text that contains all the patterns (plain text).
function raises(f, ...) -- luacheck: ignore
  local ok, e = pcall(f)
  assert(not ok, "no error was raised")
  e = tostring(e)
  for _, text in ipairs { ... } do
    assert(e:find(text, 1, true), ("the error lacks %q: %s"):format(text, e))
  end
  return e
end

function near(a, b, tolerance) -- luacheck: ignore
  local cs = require "costate"
  if type(a) == "number" then
    local d = math.abs(a - b)
    assert(d <= (tolerance or 1e-9) * (1 + math.abs(b)), ("%.17g is not %.17g"):format(a, b))
    return
  end
  if type(b) == "table" then b = cs.tensor(b) end
  local ok, worst = a:near(b, tolerance)
  assert(ok, ("differ by %g:\n%s\n%s"):format(worst, tostring(a), tostring(b)))
end

local files = { table.unpack(arg) }
if #files == 0 then
  local list = io.popen(("ls '%s' 2>/dev/null"):format(here))
  for line in list:lines() do
    if line:match("_spec%.lua$") then files[#files + 1] = here .. line end
  end
  list:close()
end
for _, file in ipairs(files) do
  local chunk, message = loadfile(file)
  if chunk then
    local ok, e = xpcall(chunk, debug.traceback)
    if not ok then
      failed = failed + 1
      print("FAILED " .. file .. "\n" .. tostring(e))
    end
  else
    failed = failed + 1
    print("FAILED " .. tostring(message))
  end
end
print(("%d passed, %d failed"):format(passed, failed))
if failed > 0 then os.exit(1, true) end
