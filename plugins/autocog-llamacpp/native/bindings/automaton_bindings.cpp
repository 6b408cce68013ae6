#include "bindings/automaton_bindings.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "automaton/automaton.h"
#include "automaton/run_group.h"
#include "automaton/token_text.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace autocog {

namespace {

template <typename Value>
Value get(nb::handle from, const char* name) {
  return nb::cast<Value>(from.attr(name));
}

// None becomes `otherwise`.
template <typename Value>
Value get_or(nb::handle from, const char* name, Value otherwise) {
  const nb::object found = from.attr(name);
  return found.is_none() ? otherwise : nb::cast<Value>(found);
}

std::string bytes_of(nb::handle given) {
  const auto raw = nb::cast<nb::bytes>(given);
  return {raw.c_str(), raw.size()};
}

std::vector<std::string> all_bytes(nb::handle given) {
  std::vector<std::string> found;
  for (const nb::handle one : given) found.push_back(bytes_of(one));
  return found;
}

void check_indices(const std::vector<int>& indices, int from, std::size_t to, const char* what) {
  for (const int index : indices) {
    if (index < from || index >= static_cast<std::int64_t>(to)) throw nb::value_error(what);
  }
}

void check_tokens(const Tokens& tokens, std::size_t width) {
  for (const auto token : tokens) {
    if (token < 0 || static_cast<std::size_t>(token) >= width) {
      throw nb::value_error("a token outside the vocabulary");
    }
  }
}

// Masks by where they are in Python: runs of one automaton have the same, and share the copy.
using Masks = std::map<const void*, std::shared_ptr<Mask>>;

std::shared_ptr<Mask> mask_of(nb::handle given, std::size_t width, Masks& masks) {
  if (given.is_none()) return nullptr;
  const auto mask = nb::cast<BoolArray>(given);
  if (mask.shape(0) != width) throw nb::value_error("a mask of another width");
  auto& known = masks[mask.data()];
  // Python may have put another mask there since.
  if (!known || !std::equal(known->begin(), known->end(), mask.data())) {
    known = std::make_shared<Mask>(mask.data(), mask.data() + width);
  }
  return known;
}

template <typename Value>
Value one_of(nb::handle from, const char* name,
             std::initializer_list<std::pair<const char*, Value>> values) {
  const auto given = get<std::string>(from, name);
  for (const auto& [known, value] : values) {
    if (given == known) return value;
  }
  throw nb::value_error("an unknown kind of action, or norm");
}

Action action_of(nb::handle given, std::size_t width, Masks& masks) {
  Action action;
  action.kind = one_of<Kind>(
      given, "kind",
      {{"text", Kind::text}, {"choose", Kind::choose}, {"complete", Kind::complete}});
  action.max_visits = get_or(given, "max_visits", kUnlimited);
  action.successors = get<std::vector<int>>(given, "successors");
  if (action.kind == Kind::text) return action;
  action.following.width = get_or(given, "width", kUnlimited);
  action.following.threshold = get<double>(given, "threshold");
  action.following.on_mean = get<bool>(given, "on_mean");
  if (action.kind == Kind::choose) {
    action.choices = get<int>(given, "choices");
    action.norm = one_of<Norm>(given, "norm",
                               {{"sum", Norm::sum},
                                {"mean", Norm::mean},
                                {"per_byte", Norm::per_byte},
                                {"pmi", Norm::pmi}});
    return action;
  }
  action.length = get<int>(given, "length");
  action.beams = get<int>(given, "beams");
  action.length_penalty = get<double>(given, "length_penalty");
  action.stops = all_bytes(given.attr("stops"));
  action.allowed.limited = get<bool>(given, "limited");
  action.allowed.free = mask_of(given.attr("free"), width, masks);
  action.allowed.in_set = mask_of(given.attr("in_set"), width, masks);
  action.allowed.stops = get<std::vector<Tokens>>(given, "stop_ids");
  if (action.length < 1 || action.beams < 1) throw nb::value_error("no length, or no beams");
  if (action.allowed.limited && !action.allowed.in_set) throw nb::value_error("no set");
  for (const Tokens& stop : action.allowed.stops) check_tokens(stop, width);
  return action;
}

std::shared_ptr<Program> program_of(nb::handle given, std::size_t width, Masks& masks) {
  auto program = std::make_shared<Program>();
  for (const nb::handle one : given.attr("actions")) {
    program->actions.push_back(action_of(one, width, masks));
    Action& action = program->actions.back();
    if (action.max_visits >= 0) action.bounded = program->bounded++;
  }
  if (program->actions.empty()) throw nb::value_error("no actions");
  for (const Action& action : program->actions) {
    check_indices(action.successors, 0, program->actions.size(), "no such successor");
    const auto branches = action.kind == Kind::choose ? static_cast<std::size_t>(action.choices) : 1;
    if (action.successors.size() > 1 && action.successors.size() != branches) {
      throw nb::value_error("not one successor a branch");
    }
  }
  program->eos = get<Tokens>(given, "eos");
  program->context_length = get_or(given, "context_length", kUnlimited);
  const nb::object budget = given.attr("budget");
  program->budget.tokens = get_or<std::int64_t>(budget, "tokens", kUnlimited);
  program->budget.paths = get_or<std::int64_t>(budget, "paths", kUnlimited);
  program->budget.seconds = get_or<double>(budget, "seconds", kUnlimited);
  program->best_first = get<bool>(given, "best_first");
  program->top = get_or(given, "top", kUnlimited);
  return program;
}

std::shared_ptr<Site> site_of(nb::handle given, const Action* action, std::size_t pending,
                              std::size_t width) {
  auto site = std::make_shared<Site>();
  site->ids = get<Tokens>(given, "ids");
  for (const nb::handle one : given.attr("settled")) {
    const auto text = nb::cast<nb::tuple>(one);
    site->settled.push_back({nb::cast<int>(text[0]), nb::cast<int>(text[1]),
                             nb::cast<int>(text[2]), nb::cast<bool>(text[3])});
  }
  site->scored_from = get<int>(given, "scored_from");
  site->room = get<int>(given, "room");
  const auto size = static_cast<int>(site->ids.size());
  if (site->scored_from < 0 || site->scored_from > size) throw nb::value_error("scored_from");
  for (const Site::Settled& text : site->settled) {
    const bool inside = text.pending >= 0 && text.pending < static_cast<int>(pending) &&
                        text.start >= 0 && text.count >= 0 && text.start + text.count <= size;
    if (!inside || (text.evaluated && text.count > 0 && text.start < site->scored_from)) {
      throw nb::value_error("a text outside the ids");
    }
  }
  if (action != nullptr && action->kind == Kind::choose) {
    const nb::object tree = given.attr("choices");
    site->tokens = get<std::vector<std::int32_t>>(tree, "tokens");
    site->parents = get<std::vector<std::int32_t>>(tree, "parents");
    site->path_nodes = get<std::vector<int>>(tree, "path_nodes");
    site->path_starts = get<std::vector<int>>(tree, "path_starts");
    site->ends = get<std::vector<int>>(tree, "ends");
    site->eos = get<int>(tree, "eos");
    site->eos_token = get<int>(tree, "eos_token");
    site->sizes = get<std::vector<double>>(tree, "sizes");
    site->unconditional = get<Tokens>(tree, "unconditional");
    site->kept = get<std::vector<int>>(tree, "kept_tokens");
    site->rest = all_bytes(tree.attr("retokenized_bytes"));
    const auto count = static_cast<std::size_t>(action->choices);
    const std::size_t nodes = site->tokens.size();
    if (site->ends.size() != count || site->path_starts.size() != count + 1 ||
        site->sizes.size() != count || site->kept.size() != count || site->rest.size() != count ||
        site->parents.size() != nodes || nodes < count * site->eos ||
        site->path_starts.back() != static_cast<int>(site->path_nodes.size())) {
      throw nb::value_error("a tree for other choices");
    }
    check_indices(site->path_nodes, 0, nodes, "a path outside the tree");
    check_indices(site->ends, 0, nodes, "an end outside the tree");
    check_indices(site->path_starts, 0, site->path_nodes.size() + 1, "a path outside the tree");
    for (std::size_t i = 0; i < count; ++i) {
      const int length = site->path_starts[i + 1] - site->path_starts[i] + (site->eos > 0);
      if (length < 1 || site->kept[i] < 0 || site->kept[i] > length) {
        throw nb::value_error("a choice without tokens, or with others than its own");
      }
    }
    for (std::size_t i = 0; i < nodes; ++i) {
      if (site->parents[i] < -1 || site->parents[i] >= static_cast<std::int64_t>(i)) {
        throw nb::value_error("a parent that is not before its child");
      }
    }
  }
  for (const Tokens* tokens : {&site->ids, &site->tokens, &site->unconditional}) {
    check_tokens(*tokens, width);
  }
  if (action != nullptr && action->norm == Norm::pmi && action->kind == Kind::choose &&
      site->unconditional.empty()) {
    throw nb::value_error("nothing to condition on");
  }
  site->lay_out();
  return site;
}

nb::bytes as_bytes(const std::string& raw) { return nb::bytes(raw.data(), raw.size()); }

// Runs with what they need for as long as they live.
struct BoundRuns {
  BoundRuns(Session& session, Pieces& pieces) : runs(session, pieces), session(session) {}
  Runs runs;
  Session& session;
  Masks masks;
};

// (key, action, ids, ((text action, rest, node), ...)) of every site that a run needs.
nb::list missing_sites(BoundRuns& self, int number) {
  nb::list found;
  for (const Run::Missing& one : self.runs.run(number).missing()) {
    nb::list pending;
    for (const Pending& text : one.live->pending) {
      pending.append(nb::make_tuple(text.action, as_bytes(text.rest), text.node));
    }
    found.append(nb::make_tuple(as_bytes(one.key), one.live->action, one.live->ids, pending));
  }
  return found;
}

// What a node is made of; see `extension/runs.py`.
nb::tuple node_of(const Node& node) {
  return nb::make_tuple(node.action, node.choice, as_bytes(node.text), nb::tuple(nb::cast(node.tokens)),
                        nb::tuple(nb::cast(node.logprobs)), node.logprob, node.length, node.prob,
                        static_cast<int>(node.pruned), static_cast<int>(node.finish), node.last,
                        node.retokenized, node.parent);
}

}  // namespace

void bind_runs(nb::module_& module) {
  module.def(
      "replaced", [](const nb::bytes& raw) { return as_bytes(replaced(bytes_of(raw))); }, "raw"_a,
      "UTF-8 with U+FFFD for what is none, as Python's decoder has it.");
  module.def(
      "first_stop",
      [](const nb::bytes& raw, std::size_t before, const nb::list& stops) {
        return first_stop(bytes_of(raw), before, all_bytes(stops));
      },
      "raw"_a, "before"_a, "stops"_a, "Where the first complete stop begins; -1: there is none.");

  // By the numbers of the enumerations in automaton/automaton.h and automaton_run.h.
  module.attr("PRUNED") =
      nb::make_tuple(nb::none(), "width", "threshold", "duplicate", "max_visits", "budget");
  module.attr("FINISH") = nb::make_tuple(nb::none(), "stop", "eos", "length");
  module.attr("FAULTS") =
      nb::make_tuple(nb::none(), "nothing_allowed", "not_a_number", "above_zero", "given");

  nb::class_<Pieces>(module, "Pieces", "The bytes of a model's tokens.")
      .def(
          "__init__",
          [](Pieces* self, const nb::callable& address, std::uintptr_t vocabulary, int size,
             const Tokens& special) {
            const Api api([&](const std::string& name) {
              return nb::cast<std::uintptr_t>(address(name));
            });
            new (self)
                Pieces(api, reinterpret_cast<const llama_vocab*>(vocabulary), size, special);
          },
          "address"_a, "vocabulary"_a, "size"_a, "special"_a)
      .def(
          "all",
          [](Pieces& self) {
            nb::list found;
            for (std::int32_t token = 0; token < self.size(); ++token) {
              found.append(as_bytes(self.of(token)));
            }
            return found;
          },
          "The bytes of every token.");

  nb::class_<BoundRuns>(module, "Runs", "Runs of automata, side by side. Calls must not overlap.")
      .def(nb::init<Session&, Pieces&>(), "session"_a, "pieces"_a, nb::keep_alive<1, 2>(),
           nb::keep_alive<1, 3>())
      .def(
          "begin",
          [](BoundRuns& self, nb::handle program) {
            return self.runs.begin(
                program_of(program, self.session.limits().width, self.masks));
          },
          "program"_a, "Begin a run of a prepared automaton; its number.")
      .def(
          "advance",
          [](BoundRuns& self, double seconds) {
            nb::gil_scoped_release release;
            self.runs.advance(seconds);
          },
          "seconds"_a,
          "Go on until a run has come to its end, or failed, or needs a site; or for so long.")
      .def(
          "waiting", [](BoundRuns& self) { return self.runs.waiting(); },
          "Runs that need sites, or have come to their ends.")
      .def(
          "done", [](BoundRuns& self, int number) { return self.runs.run(number).done(); },
          "number"_a)
      .def("missing", &missing_sites, "number"_a, "The sites that a run needs.")
      .def(
          "give",
          [](BoundRuns& self, int number, const nb::bytes& key, int action, int before, int pending,
             nb::handle site) {
            Run& run = self.runs.run(number);
            const auto& actions = run.program().actions;
            const Action* of = action < 0 ? nullptr : &actions.at(action);
            auto made = site_of(site, of, pending, self.session.limits().width);
            if (before == 0 && made->scored_from == 0) {
              throw nb::value_error("nothing to condition on");
            }
            run.give(bytes_of(key), std::move(made));
          },
          "number"_a, "key"_a, "action"_a, "before"_a, "pending"_a, "site"_a,
          "A site that a run needs, after so many ids and pending texts.")
      .def(
          "result",
          [](BoundRuns& self, int number) {
            const Run& run = self.runs.run(number);
            nb::list nodes;
            for (const Node& node : run.nodes) nodes.append(node_of(node));
            return nb::make_tuple(nodes, run.stopped, static_cast<int>(run.fault()),
                                  run.faulty_action(), run.calls, run.evaluated,
                                  run.unique_tokens(), run.seconds_model, run.seconds());
          },
          "number"_a, "What a run has come to.")
      .def(
          "end", [](BoundRuns& self, int number) { self.runs.end(number); }, "number"_a,
          "Let go of a run; raises what the model has met for it.");
}

}  // namespace autocog
