-- SPDX-License-Identifier: GPL-3.0-or-later
-- The commands of the `costate` program. main(arguments) returns the exit status: 0 done, 1 the
-- script failed, 2 wrong usage, 3 interrupted.
local core = require "costate.core"

local M = {}

local usage_text <const> = [[
usage: costate COMMAND ...
  run SCRIPT [--seed N] [--out DIR] [--threads N] [--dtype f32|f64] [--quiet] [--profile] [--NAME VALUE ...]
                         run a script; --help lists the options it declares
  check SCRIPT [--json FILE] [--directions N] [...]
                         compare every gradient method of the script's training step; those that follow the solve
                         once for every number only up to N of them (2048)
  bench [NAME...] [--json FILE] [--threads N] [--dtype f32|f64] [--inputs DIR]
                         time iterations of the standard workloads, in f32 unless told; keep their
                         inputs in DIR for other programs
  plugins [NAME]         what is installed, or what one plugin registers
  help THING             a solver, a model, a loss, ... and its options; `help solvers` lists all of a kind
  repl                   read, evaluate, print
  version                the version of Costate
]]

local function usage(message)
  io.stderr:write("costate: ", message, "\ntry `costate help`\n")
  return 2
end

--- Splits arguments into positional ones and --name value pairs. `flags` take no value.
local function parse(args, first, flags)
  local positional, given, order = {}, {}, {}
  local i = first
  while i <= #args do
    local a = args[i]
    local name, value = a:match("^%-%-([%w_%-]+)=(.*)$")
    if not name then name = a:match("^%-%-([%w_%-]+)$") end
    if not name then
      positional[#positional + 1] = a
    else
      if value == nil and not flags[name] then
        local following = args[i + 1]
        if following and not following:match("^%-%-%a") then
          value, i = following, i + 1
        else
          value = true
        end
      end
      if value == nil then value = true end
      given[name] = value
      order[#order + 1] = name
    end
    i = i + 1
  end
  return positional, given, order
end

local function usage_error(message) error({ costate_exit = "usage", message = message }, 0) end

local function whole(given, name, least, most)
  local x = given[name]
  if x == nil then return nil end
  if x == true then usage_error(("--%s needs a value"):format(name)) end
  local n = math.tointeger(tonumber(x))
  if not n or n < least or n > most then
    local range = most < math.maxinteger and ("from %d to %d"):format(least, most) or ("of at least %d"):format(least)
    usage_error(("--%s must be an integer %s, got '%s'"):format(name, range, x))
  end
  return n
end

--- Options that every script understands; they are taken out of `given`.
local function common(given, order)
  local seed, threads, dtype = whole(given, "seed", 0, math.maxinteger), whole(given, "threads", 1, 1024), given.dtype
  if seed then core.seed(seed) end
  if threads then core.threads(threads) end
  if dtype ~= nil and dtype ~= "f32" and dtype ~= "f64" then
    usage_error(("--dtype is f32 or f64, got '%s'"):format(tostring(dtype)))
  end
  if dtype then core.dtype(dtype) end
  local own = { seed = true, threads = true, dtype = true, out = true, quiet = true, json = true, help = true,
    profile = true, resume = true }
  local rest = {}
  for _, name in ipairs(order) do
    if not own[name] then rest[#rest + 1] = name end
  end
  return rest
end

-- ---- scripts ------------------------------------------------------------------------------------------

local function traceback(e)
  if type(e) == "table" and e.costate_exit then return e end
  local message = type(e) == "string" and e or tostring(e)
  return { failure = true, text = debug.traceback(message, 2) }
end

--- Turns how a script ended into an exit status.
local function conclude(e, script)
  if e.costate_exit == "usage" then
    return usage(e.message), "failed"
  elseif e.costate_exit == "help" then
    print(("options of %s:\n%s"):format(script, e.message ~= "" and e.message or "  none"))
    return 0, "ok"
  elseif e.costate_exit == "interrupted" then
    io.stderr:write("costate: interrupted\n")
    return 3, "interrupted"
  end
  io.stderr:write("costate: ", e.text or tostring(e.message), "\n")
  return 1, "failed"
end

--- Loads and runs a script with the options of the command line. Returns exit status, status word.
local function run_script(path, given, order)
  local run, script_options = require "costate.run", require "costate.options"
  local chunk, message = loadfile(path)
  if not chunk then
    local missing = core.exists(path) ~= "file"
    io.stderr:write("costate: ", message, "\n")
    return missing and 2 or 1, "failed"
  end
  run.script, run.started = path, os.date("!%Y-%m-%dT%H:%M:%SZ")
  run.quiet = given.quiet ~= nil
  script_options.given, script_options.order, script_options.help = given, order, given.help ~= nil
  local ok, e = xpcall(chunk, traceback, path)
  if ok and script_options.help and not script_options.taken then
    print(("options of %s:\n  none"):format(path))
  elseif ok and #order > 0 and not script_options.taken then
    ok, e = false, { costate_exit = "usage", message = "the script takes no options, got --" .. order[1] }
  end
  if ok and (run.stopped or select(2, run.interrupted())) then ok, e = false, { costate_exit = "interrupted" } end -- a pcall took the error
  if ok then return 0, "ok" end
  return conclude(e, path)
end

local function write_json(given, x)
  if not given.json then return end
  local ok, message = core.write_file(given.json, core.json(x) .. "\n")
  if not ok then usage_error("--json: " .. message) end
end

local function prepare(args, flags)
  local positional, given, order = parse(args, 2, flags)
  local rest = common(given, order)
  if given.json == true then usage_error("--json needs a file") end
  return positional, given, rest
end

local function one_script(positional, command)
  if not positional[1] then usage_error(("%s needs a script: costate %s SCRIPT"):format(command, command)) end
  if positional[2] then usage_error("one script at a time: what is '" .. positional[2] .. "'?") end
  return positional[1]
end

local commands = {}

--- Whole-process figures, then by phase: the instructions of programs, and what was outside of them.
local function print_profile(wall)
  local allocations, live, peak = core.memory()
  io.write(("wall %.3f s, peak resident %d KiB, Costate memory %.1f MiB at most (%.1f now), %d allocations\n")
    :format(wall, core.peak_rss(), peak / 2 ^ 20, live / 2 ^ 20, allocations))
  local rows, inside, rest = core.profile(), 0, 0
  for _, r in ipairs(rows) do inside = inside + r.seconds end
  local shown = 24
  io.write(("%9s %6s %10s %9s  %s\n"):format("seconds", "share", "calls", "us a call", "instruction, without those inside it"))
  local function line(seconds, calls, what)
    io.write(("%9.4f %5.1f%% %10s %9s  %s\n"):format(seconds, 100 * seconds / wall, calls or "",
      calls and ("%.3f"):format(1e6 * seconds / calls) or "", what))
  end
  for i, r in ipairs(rows) do
    if i <= shown then line(r.seconds, r.calls, r.what) else rest = rest + r.seconds end
  end
  if rest > 0 then line(rest, nil, "other instructions") end
  line(math.max(wall - inside, 0), nil, "outside of programs: Lua, data, updates, output, and the timing itself")
end

function commands.run(args)
  local positional, given, rest = prepare(args, { quiet = true, profile = true, help = true })
  local script = one_script(positional, "run")
  if given.resume then usage_error("--resume is not available yet") end
  local run = require "costate.run"
  require "costate"
  run.interrupted = require("costate._host").interrupted
  run.arguments = table.move(args, 1, #args, 1, {})
  if given.out == true or given.out == "" then usage_error("--out needs a directory") end
  if given.out then
    local ok, message = pcall(run.open, given.out)
    if not ok then usage_error("--out: " .. tostring(message)) end
  end
  if given.profile then core.profile() end
  local began = core.clock()
  local code, status = run_script(script, given, rest)
  run.close(status)
  if given.profile then print_profile(core.clock() - began) end
  return code
end

function commands.check(args)
  local positional, given, rest = prepare(args, { quiet = true, help = true })
  local script, most = one_script(positional, "check"), whole(given, "directions", 1, math.maxinteger)
  for i = #rest, 1, -1 do
    if rest[i] == "directions" then table.remove(rest, i) end
  end
  require "costate"
  local check = require "costate.check"
  local outcome = {}
  require("costate.train").intercept = function(t)
    t.place = core.place()
    outcome.result = check.training(t, most)
    error({ costate_exit = "checked" }, 0)
  end
  local run = require "costate.run"
  run.quiet = true
  local conclude_own = conclude
  conclude = function(e, path) -- luacheck: ignore
    if e.costate_exit == "checked" then return 0, "ok" end
    return conclude_own(e, path)
  end
  local code = run_script(script, given, rest)
  if code ~= 0 then return code end
  if not outcome.result then
    io.stderr:write("costate: ", script, " ended without cs.train: there is nothing to check\n")
    return 1
  end
  io.write(check.format(outcome.result))
  write_json(given, check.plain(outcome.result))
  return outcome.result.ok and 0 or 1
end

function commands.bench(args)
  local positional, given, rest = prepare(args, {})
  if #rest == 1 and rest[1] == "inputs" and given.inputs ~= true then
    local ok, message = core.mkdir(given.inputs)
    if not ok then usage_error("--inputs: " .. message) end
  elseif rest[1] then
    usage_error(rest[1] == "inputs" and "--inputs needs a directory" or "unknown option '--" .. rest[1] .. "' of bench")
  end
  if not given.dtype then core.dtype("f32") end -- what peers use unasked
  require "costate"
  local bench = require "costate.bench"
  local rows = {}
  local names = #positional > 0 and positional or bench.names
  for _, name in ipairs(names) do
    if not bench.known(name) then
      usage_error(("unknown workload '%s': there are %s"):format(name, table.concat(bench.names, ", ")))
    end
  end
  for _, name in ipairs(names) do
    for _, row in ipairs(bench.run(name, function(row) io.write(bench.format(row)) io.flush() end, given.inputs)) do
      rows[#rows + 1] = row
    end
  end
  write_json(given, rows)
  return 0
end

function commands.plugins(args)
  return require("costate._help").plugins(args[2])
end

function commands.help(args)
  if not args[2] or commands[args[2]] then
    io.write(usage_text)
    return 0
  end
  return require("costate._help").thing(args[2])
end

function commands.repl()
  return require("costate._repl").run()
end

function commands.version()
  print("costate " .. core.version)
  return 0
end

--- Runs one command; usage errors raised anywhere inside end with status 2.
function M.main(args)
  local name = args[1]
  if name == nil then
    io.stderr:write(usage_text)
    return 2
  end
  if name == "--help" or name == "-h" then name = "help" end
  if name == "--version" then name = "version" end
  local command = commands[name]
  if not command then
    local names = {}
    for n in pairs(commands) do names[#names + 1] = n end
    table.sort(names)
    local near = core.suggest(name, names)
    return usage(("unknown command '%s'%s"):format(name, near and (": did you mean '" .. near .. "'?") or ""))
  end
  local ok, result = xpcall(command, traceback, args)
  if ok then return result end
  return (conclude(result, args[2] or ""))
end

return M
