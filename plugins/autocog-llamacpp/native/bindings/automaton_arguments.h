// Conversion of core's prepared automata and steps from Python, with checks.

#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "automaton/automaton.h"

namespace autocog {

// Copies of masks by address. Runs of one automaton have the same masks, and share the copies.
using Masks = std::map<const void*, std::shared_ptr<Mask>>;

std::string to_string(nanobind::handle object);
std::vector<std::string> to_strings(nanobind::handle objects);

std::shared_ptr<PreparedAutomaton> to_automaton(nanobind::handle object, std::size_t width,
                                                Masks& masks);

// action: null at the end of a path.
std::shared_ptr<PreparedStep> to_step(nanobind::handle object, const Action* action,
                                      std::size_t pending_count, std::size_t width);

}  // namespace autocog
