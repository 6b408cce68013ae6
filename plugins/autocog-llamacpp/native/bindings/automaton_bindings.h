// Prepared automata, and what becomes of their runs, across the border.

#pragma once

#include <nanobind/nanobind.h>

namespace autocog {

void bind_runs(nanobind::module_& module);

}  // namespace autocog
