-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.dataset "image" { path = "x.png" }: a picture as a density in the plane, constant in each pixel. Its longer side
-- runs from -extent to extent, its middle is the origin, y points up; `cells` [H, W] has the log densities, row 1 on top.
local check_draw = require "costate.data.draw"
local core = require "costate.core"

local M = {}

function M.is(self) return core.kind(self.cells) == "tensor" and core.kind(self.cumulative) == "tensor" end

function M.start(self) self.box = { -self.extent, self.extent } end

function M.class(Dataset)
  local Image = setmetatable({ __name = Dataset.__name }, { __index = Dataset })
  Image.__index = Image

  --- n new points, rows [n, 2].
  function Image:draw(rng, n)
    check_draw("data:draw(rng, n)", rng, n)
    local height, width = table.unpack(self.cells.shape)
    local place = core.convert(rng:weighted(self.cumulative, n), "f64") -- f32 would not divide exactly
    local row = core.floor((place + 0.5) / width)
    local column, u = place - width * row, core.rows(rng:uniform(n, 2))
    local x = core.rows(core.convert(column - 0.5 * width, core.dtype())) + u:column(1)
    local y = core.rows(core.convert(0.5 * height - row, core.dtype())) - u:column(2)
    return core.stack { self.pixel * x, self.pixel * y }
  end

  --- log p of rows [n, 2]: minus infinity beside the picture.
  function Image:log_density(x)
    if not core.kind(x) then x = core.rows(core.tensor(x)) end
    if x.rank ~= 2 or x.shape[2] ~= 2 then core.fail("log_density takes points, rows [n, 2]") end
    local height, width = table.unpack(self.cells.shape)
    local column = core.floor(x:column(1) / self.pixel + 0.5 * width)
    local row = core.floor(0.5 * height - x:column(2) / self.pixel)
    local function within(i, n) return core.ge(i, 0) * core.lt(i, n) end
    local inside = within(row, height) * within(column, width)
    local place = core.where(inside, width * row + column, 0)
    local cells = core.convert(self.cells, x.dtype):reshape(-1)
    return core.where(inside, core.take(cells, core.cast(place, "i64")), -math.huge)
  end

  function Image:__tostring()
    return ("dataset '%s': %s, %d x %d pixels; entropy %.5f nats"):format(self.name, self.options.path,
      self.cells.shape[2], self.cells.shape[1], self.entropy)
  end

  return Image
end

return M
