-- SPDX-License-Identifier: GPL-3.0-or-later
-- Series of a panel: where their numbers come from, and how gnuplot is told to draw them.
local core = require "costate.core"
local options = require "costate._options"

local M = {}

--- A text as gnuplot takes it.
function M.quoted(s) return "'" .. tostring(s):gsub("'", "''") .. "'" end

local colours <const> = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999" }
local series_spec = { x = "table|tensor!", y = "table|tensor", name = "string", style = "string", colour = "string" }

local function list_of(x)
  if core.kind(x) == "tensor" then return core.reshape(x, -1):totable() end
  return x
end

local function number(x) return x == x and math.abs(x) < 1e300 and ("%.9g"):format(x):gsub(",", ".") or "NaN" end

--- Styles of a series, with its colour: "dots" are small points, for thousands of them; "area" is filled down to zero,
--- "region" within a closed line.
local filled <const> = " linecolor rgb '%s' fillstyle transparent solid 0.25 "
local styles <const> = {
  lines = "lines linewidth 1.2 linecolor rgb '%s'",
  dashes = "lines dashtype 2 linewidth 1.2 linecolor rgb '%s'",
  points = "points pointtype 7 pointsize 0.4 linecolor rgb '%s'",
  dots = "points pointtype 7 pointsize 0.22 linecolor rgb '%s'",
  circles = "points pointtype 6 pointsize 0.7 linecolor rgb '%s'",
  linespoints = "linespoints pointtype 7 pointsize 0.4 linecolor rgb '%s'",
  area = "filledcurves y=0" .. filled .. "noborder",
  region = "filledcurves closed" .. filled .. "border",
}

local function style_of(name)
  if styles[name] then return styles[name] end
  local names = {}
  for k in pairs(styles) do names[#names + 1] = k end
  table.sort(names)
  options.one_of("plot: a style", name, names)
end

--- The data of a series, as block `name`, and its part of the plot command.
function M.curve(s, i, o, name, lines)
  lines[#lines + 1] = name .. " << E"
  for k = 1, math.min(#s.x, #s.y) do lines[#lines + 1] = number(s.x[k]) .. " " .. number(s.y[k]) end
  lines[#lines + 1] = "E"
  local look = style_of(s.style or o.style or "lines"):format(s.colour or colours[(i - 1) % #colours + 1])
  return ("%s using 1:2 with %s %s"):format(name, look, s.name and "title " .. M.quoted(s.name) or "notitle")
end

--- Series out of values [T, D] or [B, T, D]: columns = { 1, 3 } draws column 3 over column 1 (a phase
--- plot); x = times draws every column over time.
local function series_of(values, o)
  local out, sets = {}, values.rank == 3 and values.shape[1] or 1
  for b = 1, sets do
    local v = values.rank == 3 and values[b] or values
    local function column(i) return core.column(v, i):totable() end
    if v.rank == 1 then
      local x = list_of(o.x) or core.arange(1, v.count + 1):totable()
      out[#out + 1] = { x = x, y = v:totable(), name = o.names and o.names[1] }
    elseif o.columns then
      out[#out + 1] = { x = column(o.columns[1]), y = column(o.columns[2]), name = o.names and o.names[b] }
    else
      local x = list_of(o.x) or core.arange(1, v.shape[1] + 1):totable()
      for i = 1, v.shape[2] do
        out[#out + 1] = { x = x, y = column(i), name = o.names and o.names[i] or b == 1 and ("column " .. i) or nil }
      end
    end
  end
  return out
end

--- One of the option `series`, whose x and y may also stand first and second; points [n, 2] are both.
local function series_given(what, s)
  local named = {}
  if type(s) ~= "table" then core.fail(("%s is a table { x =, y =, name = }, got a %s"):format(what, type(s))) end
  for k, v in pairs(s) do named[k == 1 and "x" or k == 2 and "y" or k] = v end
  local o = options.check(what, named, series_spec)
  if not o.y then
    if core.kind(o.x) ~= "tensor" or o.x.rank ~= 2 or o.x.shape[2] ~= 2 then
      core.fail(("option 'y' of %s is required, unless x is a tensor of points [n, 2]"):format(what))
    end
    o.x, o.y = o.x:columns()
  end
  o.x, o.y = list_of(o.x), list_of(o.y)
  return o
end

--- Series of the option `series`, after those of values.
function M.all(what, values, o)
  if type(values) == "table" and not core.kind(values) then values = core.tensor(values) end
  local series = values ~= nil and series_of(values, o) or {}
  for i, s in ipairs(o.series or {}) do series[#series + 1] = series_given(("series %d of %s"):format(i, what), s) end
  for i, s in ipairs(series) do
    if #s.x ~= #s.y then core.fail(("series %d of %s has %d numbers x and %d numbers y"):format(i, what, #s.x, #s.y)) end
  end
  if #series == 0 and o.density == nil then core.fail(what .. ": there is nothing to draw") end
  return series
end

return M
