// Python interface of prepared automata and their runs.

#pragma once

#include <nanobind/nanobind.h>

namespace autocog {

void bind_automata(nanobind::module_& module);

}  // namespace autocog
