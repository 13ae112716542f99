-- SPDX-License-Identifier: GPL-3.0-or-later
-- Small SVG files: gnuplot spends 110 bytes on every point. Filled points of one size and colour that follow each other
-- become one path of lines of no length with round ends, some 15 bytes a point.
local core = require "costate.core"

local POINT <const> = "^%s*<use xlink:href='#gpPt6' transform='translate%(([%d.-]+),([%d.-]+)%) scale%(([%d.]+)%)' "
  .. "color='([^']*)'/>$"

return function(path)
  local file = io.open(path, "r")
  if not file then return end
  local out, places, size, colour = {}, {}, nil, nil
  local function flush()
    if #places == 0 then return end
    out[#out + 1] = ("<path d='%s' stroke='%s' stroke-width='%.2f' stroke-linecap='round'/>"):format(
      table.concat(places), colour, 2 * size)
    places = {}
  end
  for line in file:lines() do
    local x, y, s, c = line:match(POINT)
    if s ~= size or c ~= colour or not x then flush() end
    if x then
      places[#places + 1] = ("M%.1f %.1fh0"):format(x, y)
      size, colour = s, c
    else
      out[#out + 1] = line
    end
  end
  flush()
  file:close()
  core.write_file(path, table.concat(out, "\n") .. "\n")
end
