// autocog_llamacpp._native: what Python sees of it. Arguments are checked here, the GIL is let go.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

#include "bindings/arrays.h"
#include "llama/errors.h"
#include "bindings/automaton_bindings.h"
#include "evaluation/session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace autocog {

namespace {

Tokens checked(Tokens tokens, int width) {
  if (tokens.empty()) throw nb::value_error("an empty sequence");
  for (const auto token : tokens) {
    if (token < 0 || token >= width) throw nb::value_error("a token outside the vocabulary");
  }
  return tokens;
}

// A query with the arrays that it points to.
struct Given {
  Query query;
  Int32Array tokens, parents, top_at;
  BoolArray mask;
};

Given given_query(nb::handle asked, int width) {
  Given given;
  given.query.prefix = checked(nb::cast<Tokens>(asked.attr("prefix")), width);
  given.tokens = nb::cast<Int32Array>(asked.attr("tokens"));
  given.parents = nb::cast<Int32Array>(asked.attr("parents"));
  given.top_at = nb::cast<Int32Array>(asked.attr("top_at"));
  Query& query = given.query;
  query.tokens = given.tokens.data();
  query.parents = given.parents.data();
  query.size = given.tokens.shape(0);
  query.top_at.assign(given.top_at.data(), given.top_at.data() + given.top_at.shape(0));
  const auto top_k = nb::cast<std::int64_t>(asked.attr("top_k"));
  if (top_k < 0) throw nb::value_error("a negative top_k");
  query.top_k = static_cast<std::size_t>(top_k);
  if (given.parents.shape(0) != query.size) throw nb::value_error("not one parent a token");
  for (std::size_t i = 0; i < query.size; ++i) {
    if (query.tokens[i] < 0 || query.tokens[i] >= width) {
      throw nb::value_error("a token outside the vocabulary");
    }
    if (query.parents[i] < -1 || query.parents[i] >= static_cast<std::int64_t>(i)) {
      throw nb::value_error("a parent that is not before its child");
    }
  }
  for (const auto at : query.top_at) {
    if (at < -1 || at >= static_cast<std::int64_t>(query.size)) {
      throw nb::value_error("top_at is outside the tree");
    }
  }
  if (const nb::object mask = asked.attr("mask"); !mask.is_none()) {
    given.mask = nb::cast<BoolArray>(mask);
    if (given.mask.shape(0) != static_cast<std::size_t>(width)) {
      throw nb::value_error("a mask of another width");
    }
    query.mask = reinterpret_cast<const std::uint8_t*>(given.mask.data());
  }
  return given;
}

nb::list score_trees(Session& session, const nb::sequence& asked) {
  std::vector<Given> given;
  std::vector<Query> queries;
  for (const nb::handle one : asked) {
    given.push_back(given_query(one, session.limits().width));
    queries.push_back(given.back().query);
  }
  std::vector<Answer> answers;
  {
    nb::gil_scoped_release release;
    answers = session.score_trees(queries);
  }
  nb::list found;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const std::size_t rows = queries[i].top_at.size();
    const std::size_t columns = queries[i].top_k;
    found.append(nb::make_tuple(array(std::move(answers[i].values)),
                                array(std::move(answers[i].top_tokens), rows, columns),
                                array(std::move(answers[i].top_logprobs), rows, columns),
                                answers[i].evaluated));
  }
  return found;
}

nb::object row(Session& session, Tokens tokens) {
  tokens = checked(std::move(tokens), session.limits().width);
  std::vector<float> found;
  {
    nb::gil_scoped_release release;
    found = session.row(tokens);
  }
  return array(std::move(found));
}

nb::object open(Session& session, Tokens tokens, int count, nb::list handles) {
  tokens = checked(std::move(tokens), session.limits().width);
  if (count < 1 || count > session.limits().sequences) throw nb::value_error("so many sequences");
  std::vector<float> found;
  std::vector<int> opened;
  try {
    nb::gil_scoped_release release;
    found = session.evaluator().open(tokens, count, opened);
  } catch (...) {
    for (const int handle : opened) handles.append(handle);
    throw;
  }
  for (const int handle : opened) handles.append(handle);
  return array(std::move(found));
}

nb::object step(Session& session, const std::vector<int>& handles, Tokens tokens) {
  tokens = checked(std::move(tokens), session.limits().width);
  if (handles.size() != tokens.size()) throw nb::value_error("not one token a sequence");
  const auto width = static_cast<std::size_t>(session.limits().width);
  std::vector<float> rows;
  {
    nb::gil_scoped_release release;
    const float* found = session.evaluator().step(handles, tokens);
    rows.assign(found, found + handles.size() * width);
  }
  return array(std::move(rows), handles.size(), width);
}

// The exceptions that cross the border, made in Python: their types and how they are filled.
struct Errors {
  nb::object decode, refused;
};

void translate(const std::exception_ptr& thrown, void* payload) {
  const auto* errors = static_cast<const Errors*>(payload);
  try {
    std::rethrow_exception(thrown);
  } catch (const DecodeFailure& failure) {
    PyErr_SetObject(errors->decode.ptr(), nb::make_tuple(failure.code).ptr());
  } catch (const Refused& refused) {
    PyErr_SetObject(errors->refused.ptr(), nb::make_tuple(refused.what(), refused.hint).ptr());
  } catch (const std::bad_cast&) {
    PyErr_SetString(PyExc_TypeError, "something of another type than it must be");
  }
}

nb::object new_error(nb::module_& module, const char* name, const char* text) {
  const std::string full = std::string("autocog_llamacpp._native.") + name;
  nb::object made =
      nb::steal(PyErr_NewExceptionWithDoc(full.c_str(), text, PyExc_Exception, nullptr));
  module.attr(name) = made;
  return made;
}

}  // namespace

}  // namespace autocog

NB_MODULE(_native, module) {
  using namespace autocog;
  module.doc() = "Token trees in C++, over the llama.cpp that llama_cpp has loaded.";
  module.attr("BUILT_FOR") = AUTOCOG_BUILT_FOR;
  module.attr("SOURCES") = AUTOCOG_SOURCES;

  // Kept for the life of the process, as the translator is.
  auto* errors = new Errors{
      new_error(module, "DecodeError", "llama.cpp's code for a batch that it did not evaluate."),
      new_error(module, "RefusedError", "What cannot be served as things are, and what to do."),
  };
  nb::register_exception_translator(translate, errors);

  nb::class_<Session>(module, "Session",
                      "A context of llama.cpp with what it keeps. Calls must not overlap.")
      .def(
          "__init__",
          [](Session* self, const nb::callable& address, std::uintptr_t context,
             std::uintptr_t stop, int cells, int sequences, int batch, int rows, int width,
             bool recurrent) {
            const Api api([&](const std::string& name) {
              return nb::cast<std::uintptr_t>(address(name));
            });
            new (self) Session(api, reinterpret_cast<llama_context*>(context),
                               reinterpret_cast<const volatile char*>(stop),
                               Limits{cells, sequences, batch, rows, width}, recurrent);
          },
          "address"_a, "context"_a, "stop"_a, nb::kw_only(), "cells"_a, "sequences"_a, "batch"_a,
          "rows"_a, "width"_a, "recurrent"_a)
      .def("score_trees", &score_trees, "queries"_a,
           "(values, top_tokens, top_logprobs, evaluated) of each TreeQuery.")
      .def("row", &row, "tokens"_a, "float32 (V,): log-probabilities after a sequence.")
      .def("open", &open, "tokens"_a, "count"_a, "handles"_a,
           "Hold sequences, entered into `handles`; the logits (V,) after `tokens`.")
      .def("step", &step, "handles"_a, "tokens"_a, "The logits (n, V) after one token more.")
      .def(
          "release",
          [](Session& self, const std::vector<int>& handles, const std::vector<Tokens>& texts) {
            self.evaluator().release(handles, texts);
          },
          "handles"_a, "texts"_a, "Let go of sequences, continued with these tokens.")
      .def("forget", &Session::forget, "Drop everything that was kept from earlier calls.")
      .def(
          "together", [](Session& self, int fitting) { return self.evaluator().together(fitting); },
          "fitting"_a, "How many sequences may be held at once, if `fitting` go into the cells.")
      .def(
          "lengths", [](Session& self) { return self.evaluator().lengths(); },
          "How many tokens each sequence is believed to have in memory.")
      .def_prop_ro(
          "held", [](Session& self) { return self.evaluator().held(); },
          "How many sequences completions hold.")
      .def_prop_rw(
          "lent", [](Session& self) { return self.evaluator().lent; },
          [](Session& self, bool lent) { self.evaluator().lent = lent; },
          "Whether a completion is running, which holds sequences between calls.");

  bind_runs(module);
#ifdef NDEBUG
  // A program that ends while one of its threads still uses a model has no leak of ours.
  nb::set_leak_warnings(false);
#endif
}
