#include "bindings/automaton_bindings.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <vector>

#include "automaton/run_group.h"
#include "automaton/token_text.h"
#include "bindings/automaton_arguments.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace autocog {

namespace {

nb::bytes to_bytes(const std::string& raw) { return nb::bytes(raw.data(), raw.size()); }

// A group, and the objects that must live as long.
struct BoundRunGroup {
  BoundRunGroup(Session& session, TokenBytes& token_bytes)
      : group(session, token_bytes), session(session) {}
  RunGroup group;
  Session& session;
  Masks masks;
};

nb::list missing_steps(BoundRunGroup& self, int run) {
  nb::list steps;
  for (const AutomatonRun::MissingStep& step : self.group.run(run).missing_steps()) {
    nb::list pending;
    for (const PendingText& text : step.path->pending) {
      pending.append(nb::make_tuple(text.action, to_bytes(text.bytes), text.node));
    }
    steps.append(
        nb::make_tuple(to_bytes(step.key), step.path->action, step.path->ids, pending));
  }
  return steps;
}

void add_step(BoundRunGroup& self, int id, const nb::bytes& key, int action_index, int id_count,
              int pending_count, nb::handle object) {
  AutomatonRun& run = self.group.run(id);
  const auto& actions = run.automaton().actions;
  const Action* action = action_index < 0 ? nullptr : &actions.at(action_index);
  auto step = to_step(object, action, pending_count, self.session.limits().width);
  if (id_count == 0 && step->scored_from == 0) {
    throw nb::value_error("the first token has no prompt to score it after");
  }
  run.add_step(to_string(key), std::move(step));
}

// By the values of the enumerations in automaton/automaton.h and automaton/automaton_run.h.
constexpr const char* kPrunedBy[] = {nullptr,     "width",      "threshold",
                                     "duplicate", "max_visits", "budget"};
constexpr const char* kFinishReasons[] = {nullptr, "stop", "eos", "length"};
constexpr const char* kRunErrors[] = {nullptr, "nothing_allowed", "not_a_number", "above_zero",
                                      "exception"};

template <typename Enum, std::size_t size>
nb::object to_name(const char* const (&names)[size], Enum value) {
  const char* name = names[static_cast<std::size_t>(value)];
  return name == nullptr ? nb::none() : nb::object(nb::str(name));
}

nb::dict to_dict(const ThoughtNode& node) {
  nb::dict fields;
  fields["action"] = node.action;
  fields["choice"] = node.choice;
  fields["text"] = to_bytes(node.text);
  fields["tokens"] = nb::tuple(nb::cast(node.tokens));
  fields["logprobs"] = nb::tuple(nb::cast(node.logprobs));
  fields["path_logprob"] = node.path_logprob;
  fields["length"] = node.length;
  fields["prob"] = node.prob;
  fields["prob_bounds"] =
      node.prob_bounds ? nb::object(nb::make_tuple(node.prob_bounds->lowest, node.prob_bounds->highest))
                       : nb::none();
  fields["pruned_by"] = to_name(kPrunedBy, node.pruned_by);
  fields["finish_reason"] = to_name(kFinishReasons, node.finish_reason);
  fields["last"] = node.last;
  fields["retokenized"] = node.retokenized;
  fields["parent"] = node.parent;
  fields["kept_tokens"] = node.kept_tokens < 0 ? nb::none() : nb::object(nb::int_(node.kept_tokens));
  fields["tokens_before"] = nb::tuple(nb::cast(node.tokens_before));
  return fields;
}

nb::dict result(BoundRunGroup& self, int id) {
  const AutomatonRun& run = self.group.run(id);
  nb::list nodes;
  for (const ThoughtNode& node : run.nodes) nodes.append(to_dict(node));
  nb::dict fields;
  fields["nodes"] = nodes;
  fields["stopped_by"] = run.stopped_by;
  fields["error"] = to_name(kRunErrors, run.error());
  fields["error_action"] = run.error_action();
  fields["model_calls"] = run.model_calls;
  fields["tokens_evaluated"] = run.tokens_evaluated;
  fields["unique_tokens"] = run.unique_tokens();
  fields["seconds_model"] = run.seconds_model;
  fields["seconds"] = run.seconds();
  return fields;
}

}  // namespace

void bind_automata(nb::module_& module) {
  module.def(
      "decode_utf8_lossy",
      [](const nb::bytes& raw) { return to_bytes(decode_utf8_lossy(to_string(raw))); }, "raw"_a,
      "Replace invalid UTF-8 by U+FFFD, as Python's decoder does.");
  module.def(
      "find_first_stop",
      [](const nb::bytes& raw, std::size_t before, const nb::list& stops) {
        return find_first_stop(to_string(raw), before, to_strings(stops));
      },
      "raw"_a, "before"_a, "stops"_a, "The position of the first complete stop; -1: none.");

  nb::class_<TokenBytes>(module, "TokenBytes", "The bytes of a model's tokens.")
      .def(
          "__init__",
          [](TokenBytes* self, const nb::callable& address, std::uintptr_t vocabulary, int size,
             const Tokens& special) {
            const LlamaApi api([&](const std::string& name) {
              return nb::cast<std::uintptr_t>(address(name));
            });
            new (self)
                TokenBytes(api, reinterpret_cast<const llama_vocab*>(vocabulary), size, special);
          },
          "address"_a, "vocabulary"_a, "size"_a, "special"_a)
      .def(
          "all",
          [](TokenBytes& self) {
            nb::list all;
            for (std::int32_t token = 0; token < self.size(); ++token) {
              all.append(to_bytes(self.of(token)));
            }
            return all;
          },
          "The bytes of every token.");

  nb::class_<BoundRunGroup>(module, "RunGroup",
                            "Runs of automata that advance together. Calls must not overlap.")
      .def(nb::init<Session&, TokenBytes&>(), "session"_a, "token_bytes"_a,
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def(
          "start",
          [](BoundRunGroup& self, nb::handle automaton) {
            return self.group.start(
                to_automaton(automaton, self.session.limits().width, self.masks));
          },
          "automaton"_a, "Start a run of a PreparedAutomaton. Returns its id.")
      .def(
          "advance",
          [](BoundRunGroup& self, double seconds) {
            nb::gil_scoped_release release;
            self.group.advance(seconds);
          },
          "seconds"_a, "Advance until a run is done or needs a step, or the time is over.")
      .def(
          "waiting", [](BoundRunGroup& self) { return self.group.waiting(); },
          "Ids of the runs that are done or need steps.")
      .def(
          "is_done", [](BoundRunGroup& self, int run) { return self.group.run(run).is_done(); },
          "run"_a)
      .def("missing_steps", &missing_steps, "run"_a,
           "(key, action, ids, [(text action, bytes, node), ...]) of the steps that a run needs.")
      .def("add_step", &add_step, "run"_a, "key"_a, "action"_a, "id_count"_a, "pending_count"_a,
           "step"_a, "Add a PreparedStep that a run needs.")
      .def("result", &result, "run"_a, "The nodes, the error and the statistics of a run.")
      .def(
          "finish", [](BoundRunGroup& self, int run) { self.group.finish(run); }, "run"_a,
          "Remove a run. Raises the exception that ended it.");
}

}  // namespace autocog
