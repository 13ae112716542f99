-- SPDX-License-Identifier: GPL-3.0-or-later
-- What `costate check` changes in the flows and controls of a loss while it records it; nil otherwise:
--   gradient               name of another gradient method for every flow
--   probe(group, x)        x + 0, of which the zero can be differentiated by ("state", "times")
--   control(u)             the values of a control, likewise
--   flow(flow, state, times, captures)   told of every solve that is recorded
return {}
