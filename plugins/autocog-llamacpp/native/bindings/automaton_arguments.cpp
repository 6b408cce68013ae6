#include "bindings/automaton_arguments.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "bindings/arrays.h"

namespace nb = nanobind;

namespace autocog {

namespace {

template <typename Value>
Value get(nb::handle object, const char* name) {
  return nb::cast<Value>(object.attr(name));
}

// The attribute, or `fallback` if it is None.
template <typename Value>
Value get_or(nb::handle object, const char* name, Value fallback) {
  const nb::object value = object.attr(name);
  return value.is_none() ? fallback : nb::cast<Value>(value);
}

void check_indices(const std::vector<int>& indices, int begin, std::size_t end,
                   const char* message) {
  for (const int index : indices) {
    if (index < begin || index >= static_cast<std::int64_t>(end)) throw nb::value_error(message);
  }
}

void check_tokens(const Tokens& tokens, std::size_t width) {
  for (const auto token : tokens) {
    if (token < 0 || static_cast<std::size_t>(token) >= width) {
      throw nb::value_error("a token is outside the vocabulary");
    }
  }
}

std::shared_ptr<Mask> to_mask(nb::handle object, std::size_t width, Masks& masks) {
  if (object.is_none()) return nullptr;
  const auto mask = nb::cast<BoolArray>(object);
  if (mask.shape(0) != width) {
    throw nb::value_error("the mask does not have one entry for each token");
  }
  auto& copy = masks[mask.data()];
  // Python may have reused the address for another mask.
  if (!copy || !std::equal(copy->begin(), copy->end(), mask.data())) {
    copy = std::make_shared<Mask>(mask.data(), mask.data() + width);
  }
  return copy;
}

template <typename Value>
Value to_enum(nb::handle object, const char* attribute,
              std::initializer_list<std::pair<const char*, Value>> values) {
  const auto name = get<std::string>(object, attribute);
  for (const auto& [value_name, value] : values) {
    if (name == value_name) return value;
  }
  throw nb::value_error("unknown kind of action, or unknown norm");
}

Action to_action(nb::handle object, std::size_t width, Masks& masks) {
  Action action;
  action.kind = to_enum<Kind>(
      object, "kind",
      {{"text", Kind::text}, {"choose", Kind::choose}, {"complete", Kind::complete}});
  action.max_visits = get_or(object, "max_visits", kUnlimited);
  action.successors = get<std::vector<int>>(object, "successors");
  if (action.kind == Kind::text) return action;
  action.selection.width = get_or(object, "width", kUnlimited);
  action.selection.threshold = get<double>(object, "threshold");
  action.selection.on_mean = get<bool>(object, "on_mean");
  if (action.kind == Kind::choose) {
    action.choices = get<int>(object, "choices");
    action.top = get_or(object, "top", kUnlimited);
    if (action.top == 0) throw nb::value_error("top is less than 1");
    action.norm = to_enum<Norm>(object, "norm",
                                {{"sum", Norm::sum},
                                 {"mean", Norm::mean},
                                 {"per_byte", Norm::per_byte},
                                 {"pmi", Norm::pmi}});
    return action;
  }
  action.length = get<int>(object, "length");
  action.beams = get<int>(object, "beams");
  action.length_penalty = get<double>(object, "length_penalty");
  action.stops = to_strings(object.attr("stops"));
  action.allowed.is_constrained = get<bool>(object, "is_constrained");
  action.allowed.unmasked = to_mask(object.attr("unmasked"), width, masks);
  action.allowed.in_set = to_mask(object.attr("in_set"), width, masks);
  action.allowed.stops = get<std::vector<Tokens>>(object, "stop_ids");
  if (action.length < 1 || action.beams < 1) {
    throw nb::value_error("length or beams is less than 1");
  }
  if (action.allowed.is_constrained && !action.allowed.in_set) {
    throw nb::value_error("the token set is missing");
  }
  for (const Tokens& stop : action.allowed.stops) check_tokens(stop, width);
  return action;
}

// The order of the choices in a tree with this number of nodes, EOS excluded.
LeafOrder to_order(nb::handle object, std::size_t nodes, std::size_t count) {
  const auto indices = [&](const char* name) {
    const auto values = get<Array<std::int64_t>>(object, name);
    return std::vector<int>(values.data(), values.data() + values.shape(0));
  };
  LeafOrder order;
  order.choices = indices("choices");
  order.starts = indices("starts");
  order.stops = indices("stops");
  order.children = indices("children");
  order.child_starts = indices("child_starts");
  order.choice_at = indices("choice_at");
  if (order.choices.size() != count || order.starts.size() != nodes + 1 ||
      order.stops.size() != nodes + 1 || order.children.size() != nodes ||
      order.child_starts.size() != nodes + 2 || order.choice_at.size() != nodes + 1 ||
      !std::is_sorted(order.child_starts.begin(), order.child_starts.end())) {
    throw nb::value_error("the order of the choices has wrong lengths");
  }
  check_indices(order.choices, 0, count, "there is no such choice");
  check_indices(order.starts, 0, count + 1, "there is no such choice");
  check_indices(order.stops, 0, count + 1, "there is no such choice");
  check_indices(order.children, 1, nodes + 1, "a child is outside the tree");
  check_indices(order.child_starts, 0, nodes + 1, "a child is outside the tree");
  check_indices(order.choice_at, -1, count, "there is no such choice");
  std::vector<char> is_child(nodes + 1, 0);
  for (const int child : order.children) {
    if (is_child[child]) throw nb::value_error("a node is the child of two nodes");
    is_child[child] = 1;
  }
  for (std::size_t node = 0; node <= nodes; ++node) {
    const bool is_leaf = order.child_starts[node] == order.child_starts[node + 1];
    if (is_leaf && order.choice_at[node] < 0) {
      throw nb::value_error("no choice ends at a leaf of the tree");
    }
  }
  return order;
}

// The choices of a step: their token tree, and how paths continue after them.
void read_choices(PreparedStep& step, nb::handle object, const Action& action) {
  const auto count = static_cast<std::size_t>(action.choices);
  step.tokens = get<std::vector<std::int32_t>>(object, "tokens");
  step.parents = get<std::vector<std::int32_t>>(object, "parents");
  step.path_nodes = get<std::vector<int>>(object, "path_nodes");
  step.path_starts = get<std::vector<int>>(object, "path_starts");
  step.ends = get<std::vector<int>>(object, "ends");
  step.eos = get<int>(object, "eos");
  step.eos_token = get<int>(object, "eos_token");
  step.byte_lengths = get<std::vector<double>>(object, "byte_lengths");
  step.unconditional = get<Tokens>(object, "unconditional");
  step.kept_tokens = get<std::vector<int>>(object, "kept_tokens");
  step.retokenized_bytes = to_strings(object.attr("retokenized_bytes"));
  const std::size_t nodes = step.tokens.size();
  if (step.ends.size() != count || step.path_starts.size() != count + 1 ||
      step.byte_lengths.size() != count || step.kept_tokens.size() != count ||
      step.retokenized_bytes.size() != count || step.parents.size() != nodes ||
      nodes < count * step.eos ||
      step.path_starts.back() != static_cast<int>(step.path_nodes.size())) {
    throw nb::value_error("the arrays of the choices have wrong lengths");
  }
  check_indices(step.path_nodes, 0, nodes, "a path is outside the tree");
  check_indices(step.ends, 0, nodes, "an end is outside the tree");
  check_indices(step.path_starts, 0, step.path_nodes.size() + 1, "a path is outside the tree");
  for (std::size_t i = 0; i < count; ++i) {
    const int length = step.path_starts[i + 1] - step.path_starts[i] + (step.eos > 0);
    if (length < 1 || step.kept_tokens[i] < 0 || step.kept_tokens[i] > length) {
      throw nb::value_error("a choice has no tokens, or keeps too many");
    }
  }
  for (std::size_t i = 0; i < nodes; ++i) {
    if (step.parents[i] < -1 || step.parents[i] >= static_cast<std::int64_t>(i)) {
      throw nb::value_error("a parent is not before its child");
    }
  }
  if (action.top == kUnlimited) return;
  step.order = to_order(object.attr("order"), nodes - count * step.eos, count);
  step.unconditional_logprobs = get<std::vector<double>>(object, "unconditional_logprobs");
  if (action.norm == Norm::pmi && step.unconditional_logprobs.size() != count) {
    throw nb::value_error("the choices have no unconditional log-probabilities");
  }
}

}  // namespace

std::string to_string(nb::handle object) {
  const auto raw = nb::cast<nb::bytes>(object);
  return {raw.c_str(), raw.size()};
}

std::vector<std::string> to_strings(nb::handle objects) {
  std::vector<std::string> strings;
  for (const nb::handle object : objects) strings.push_back(to_string(object));
  return strings;
}

std::shared_ptr<PreparedAutomaton> to_automaton(nb::handle object, std::size_t width,
                                                Masks& masks) {
  auto automaton = std::make_shared<PreparedAutomaton>();
  for (const nb::handle action_object : object.attr("actions")) {
    automaton->actions.push_back(to_action(action_object, width, masks));
    Action& action = automaton->actions.back();
    if (action.max_visits >= 0) action.visit_counter = automaton->visit_counters++;
  }
  if (automaton->actions.empty()) throw nb::value_error("the automaton has no actions");
  for (const Action& action : automaton->actions) {
    check_indices(action.successors, 0, automaton->actions.size(), "there is no such successor");
    const auto branches = action.kind == Kind::choose ? static_cast<std::size_t>(action.choices) : 1;
    if (action.successors.size() > 1 && action.successors.size() != branches) {
      throw nb::value_error("an action does not have one successor for each branch");
    }
  }
  automaton->eos = get<Tokens>(object, "eos");
  automaton->context_length = get_or(object, "context_length", kUnlimited);
  const nb::object budget = object.attr("budget");
  automaton->budget.tokens = get_or<std::int64_t>(budget, "tokens", kUnlimited);
  automaton->budget.paths = get_or<std::int64_t>(budget, "paths", kUnlimited);
  automaton->budget.seconds = get_or<double>(budget, "seconds", kUnlimited);
  automaton->best_first = get<bool>(object, "best_first");
  automaton->top = get_or(object, "top", kUnlimited);
  automaton->nodes_per_step = std::max(1, get<int>(object, "nodes_per_step"));
  return automaton;
}

std::shared_ptr<PreparedStep> to_step(nb::handle object, const Action* action,
                                      std::size_t pending_count, std::size_t width) {
  auto step = std::make_shared<PreparedStep>();
  step->ids = get<Tokens>(object, "ids");
  for (const nb::handle text_object : object.attr("settled")) {
    const auto text = nb::cast<nb::tuple>(text_object);
    step->texts.push_back({nb::cast<int>(text[0]), nb::cast<int>(text[1]),
                           nb::cast<int>(text[2]), nb::cast<bool>(text[3])});
  }
  step->scored_from = get<int>(object, "scored_from");
  step->room = get<int>(object, "room");
  const auto size = static_cast<int>(step->ids.size());
  if (step->scored_from < 0 || step->scored_from > size) {
    throw nb::value_error("scored_from is outside the ids");
  }
  for (const PreparedStep::TokenizedText& text : step->texts) {
    const bool inside = text.pending >= 0 && text.pending < static_cast<int>(pending_count) &&
                        text.start >= 0 && text.count >= 0 && text.start + text.count <= size;
    if (!inside || (text.evaluated && text.count > 0 && text.start < step->scored_from)) {
      throw nb::value_error("a text is outside the ids");
    }
  }
  const bool is_choose = action != nullptr && action->kind == Kind::choose;
  if (is_choose) {
    read_choices(*step, object.attr("choices"), *action);
  }
  for (const Tokens* tokens : {&step->ids, &step->tokens, &step->unconditional}) {
    check_tokens(*tokens, width);
  }
  if (is_choose && action->norm == Norm::pmi && action->top == kUnlimited &&
      step->unconditional.empty()) {
    throw nb::value_error("the unconditional prompt has no tokens");
  }
  step->make_query_arrays();
  return step;
}

}  // namespace autocog
