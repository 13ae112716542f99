-- SPDX-License-Identifier: GPL-3.0-or-later
-- How far `costate check` moves a number x to difference a loss by it: h = eps max(|x|, sqrt(eps) scale), scale being
-- the root mean square of the tensor that x belongs to, and eps the cube root of the float type's resolution. What is
-- zero beside others of size one may matter at a size of its own, as what is between two stages of a stiff reaction
-- does; where all are zero h is eps. Random directions move all numbers of a kind, by eps of their root mean square.
-- Times stand close to each other, whatever they are.
local core = require "costate.core"

local eps <const> = { f64 = 6.1e-6, f32 = 4.9e-3 }
local of_times <const> = { f64 = 1e-6, f32 = 1e-3 }

local function sum_of_squares(x)
  local sum = 0
  for k = 1, x.count do sum = sum + x[k] ^ 2 end
  return sum
end

--- variables as check/record.lua has them, and a tensor of what each of them is. Gives h(group, variable, k), without a
--- variable that along random directions of the group.
return function(variables, tensors)
  local e, value, least, sums, counts = eps[core.dtype()], {}, {}, {}, {}
  for i, v in ipairs(variables) do
    local x = core.view(tensors[i]:clone(), 0, { tensors[i].count })
    local sum = sum_of_squares(x)
    value[v], least[v] = x, sum > 0 and math.sqrt(e * sum / x.count) or 1
    sums[v.group], counts[v.group] = (sums[v.group] or 0) + sum, (counts[v.group] or 0) + x.count
  end
  return function(group, v, k)
    if group == "times" then return of_times[core.dtype()] end
    if v then return e * math.max(math.abs(value[v][k]), least[v]) end
    return e * (sums[group] > 0 and math.sqrt(sums[group] / counts[group]) or 1)
  end
end
