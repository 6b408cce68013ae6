// The Python module autocog_llamacpp._native. It checks arguments, and releases the GIL during
// evaluation.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/automaton_bindings.h"
#include "evaluation/session.h"
#include "llama/errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace autocog {

namespace {

Tokens check_sequence(Tokens tokens, int width) {
  if (tokens.empty()) throw nb::value_error("the sequence is empty");
  for (const auto token : tokens) {
    if (token < 0 || token >= width) throw nb::value_error("a token is outside the vocabulary");
  }
  return tokens;
}

// A query with the arrays that it points to.
struct BoundQuery {
  TreeQuery query;
  Int32Array tokens, parents, top_at;
  BoolArray mask;
};

BoundQuery to_tree_query(nb::handle object, int width) {
  BoundQuery bound;
  bound.query.prefix = check_sequence(nb::cast<Tokens>(object.attr("prefix")), width);
  bound.tokens = nb::cast<Int32Array>(object.attr("tokens"));
  bound.parents = nb::cast<Int32Array>(object.attr("parents"));
  bound.top_at = nb::cast<Int32Array>(object.attr("top_at"));
  TreeQuery& query = bound.query;
  query.tokens = bound.tokens.data();
  query.parents = bound.parents.data();
  query.size = bound.tokens.shape(0);
  query.top_at.assign(bound.top_at.data(), bound.top_at.data() + bound.top_at.shape(0));
  const auto top_k = nb::cast<std::int64_t>(object.attr("top_k"));
  if (top_k < 0) throw nb::value_error("top_k is negative");
  query.top_k = static_cast<std::size_t>(top_k);
  query.with_mask_logprobs = nb::cast<bool>(object.attr("with_mask_logprobs"));
  if (bound.parents.shape(0) != query.size) {
    throw nb::value_error("tokens and parents have different lengths");
  }
  for (std::size_t i = 0; i < query.size; ++i) {
    if (query.tokens[i] < 0 || query.tokens[i] >= width) {
      throw nb::value_error("a token is outside the vocabulary");
    }
    if (query.parents[i] < -1 || query.parents[i] >= static_cast<std::int64_t>(i)) {
      throw nb::value_error("a parent is not before its child");
    }
  }
  for (const auto at : query.top_at) {
    if (at < -1 || at >= static_cast<std::int64_t>(query.size)) {
      throw nb::value_error("top_at is outside the tree");
    }
  }
  if (const nb::object mask = object.attr("mask"); !mask.is_none()) {
    bound.mask = nb::cast<BoolArray>(mask);
    if (bound.mask.shape(0) != static_cast<std::size_t>(width)) {
      throw nb::value_error("the mask does not have one entry for each token");
    }
    query.mask = reinterpret_cast<const std::uint8_t*>(bound.mask.data());
  }
  return bound;
}

nb::dict to_fields(TreeScores& scores, const TreeQuery& query) {
  const std::size_t rows = query.top_at.size();
  nb::dict fields;
  fields["values"] = array(std::move(scores.values));
  fields["top_tokens"] = array(std::move(scores.top_tokens), rows, query.top_k);
  fields["top_logprobs"] = array(std::move(scores.top_logprobs), rows, query.top_k);
  if (query.with_mask_logprobs) fields["mask_logprobs"] = array(std::move(scores.mask_logprobs));
  fields["tokens_evaluated"] = scores.tokens_evaluated;
  return fields;
}

nb::list score_trees(Session& session, const nb::sequence& objects) {
  std::vector<BoundQuery> bound;
  std::vector<TreeQuery> queries;
  for (const nb::handle object : objects) {
    bound.push_back(to_tree_query(object, session.limits().width));
    queries.push_back(bound.back().query);
  }
  std::vector<TreeScores> answers;
  {
    nb::gil_scoped_release release;
    answers = session.score_trees(queries);
  }
  nb::list results;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    results.append(to_fields(answers[i], queries[i]));
  }
  return results;
}

nb::dict score_isolated(Session& session, nb::handle object, std::int64_t start) {
  const BoundQuery bound = to_tree_query(object, session.limits().width);
  if (start < 0 || start >= static_cast<std::int64_t>(bound.query.prefix.size())) {
    throw nb::value_error("isolated_start is not below the length of the prefix");
  }
  TreeScores scores;
  {
    nb::gil_scoped_release release;
    scores = session.score_isolated(bound.query, static_cast<std::size_t>(start));
  }
  return to_fields(scores, bound.query);
}

nb::object row(Session& session, Tokens tokens) {
  tokens = check_sequence(std::move(tokens), session.limits().width);
  std::vector<float> logprobs;
  {
    nb::gil_scoped_release release;
    logprobs = session.row(tokens);
  }
  return array(std::move(logprobs));
}

nb::object start(Session& session, Tokens tokens, int count, nb::list handles) {
  tokens = check_sequence(std::move(tokens), session.limits().width);
  if (count < 1 || count > session.limits().sequences) {
    throw nb::value_error("count is not between 1 and the number of sequences");
  }
  std::vector<float> logits;
  std::vector<int> started;
  try {
    nb::gil_scoped_release release;
    logits = session.evaluator().start(tokens, count, started);
  } catch (...) {
    for (const int handle : started) handles.append(handle);
    throw;
  }
  for (const int handle : started) handles.append(handle);
  return array(std::move(logits));
}

nb::object step(Session& session, const std::vector<int>& handles, Tokens tokens) {
  tokens = check_sequence(std::move(tokens), session.limits().width);
  if (handles.size() != tokens.size()) {
    throw nb::value_error("handles and tokens have different lengths");
  }
  const auto width = static_cast<std::size_t>(session.limits().width);
  std::vector<float> rows;
  {
    nb::gil_scoped_release release;
    const float* logits = session.evaluator().step(handles, tokens);
    rows.assign(logits, logits + handles.size() * width);
  }
  return array(std::move(rows), handles.size(), width);
}

// The Python exception types of the module.
struct ExceptionTypes {
  nb::object decode_error, request_error;
};

void translate(const std::exception_ptr& thrown, void* payload) {
  const auto* types = static_cast<const ExceptionTypes*>(payload);
  try {
    std::rethrow_exception(thrown);
  } catch (const DecodeError& error) {
    PyErr_SetObject(types->decode_error.ptr(), nb::make_tuple(error.code).ptr());
  } catch (const RequestError& error) {
    PyErr_SetObject(types->request_error.ptr(), nb::make_tuple(error.what(), error.hint).ptr());
  } catch (const std::bad_cast&) {
    PyErr_SetString(PyExc_TypeError, "an argument has the wrong type");
  }
}

nb::object new_exception_type(nb::module_& module, const char* name, const char* doc) {
  const std::string full_name = std::string("autocog_llamacpp._native.") + name;
  nb::object type =
      nb::steal(PyErr_NewExceptionWithDoc(full_name.c_str(), doc, PyExc_Exception, nullptr));
  module.attr(name) = type;
  return type;
}

}  // namespace

}  // namespace autocog

NB_MODULE(_native, module) {
  using namespace autocog;
  module.doc() = "Token trees and automata in C++, on the llama.cpp that llama_cpp has loaded.";
  module.attr("BUILT_FOR") = AUTOCOG_BUILT_FOR;
  module.attr("SOURCES_DIGEST") = AUTOCOG_SOURCES_DIGEST;

  // Never deleted, like the translator.
  auto* types = new ExceptionTypes{
      new_exception_type(module, "DecodeError", "llama_decode failed; args: its code."),
      new_exception_type(module, "RequestError",
                         "The request is not possible now; args: message and hint."),
  };
  nb::register_exception_translator(translate, types);

  nb::class_<Session>(module, "Session",
                      "A context of llama.cpp with its caches. Calls must not overlap.")
      .def(
          "__init__",
          [](Session* self, const nb::callable& address, std::uintptr_t context,
             std::uintptr_t stop, int cells, int sequences, int batch, int rows, int width,
             bool recurrent) {
            const LlamaApi api([&](const std::string& name) {
              return nb::cast<std::uintptr_t>(address(name));
            });
            new (self) Session(api, reinterpret_cast<llama_context*>(context),
                               reinterpret_cast<const volatile char*>(stop),
                               Limits{cells, sequences, batch, rows, width}, recurrent);
          },
          "address"_a, "context"_a, "stop"_a, nb::kw_only(), "cells"_a, "sequences"_a, "batch"_a,
          "rows"_a, "width"_a, "recurrent"_a)
      .def("score_trees", &score_trees, "queries"_a, "Fields of the TreeScores of each TreeQuery.")
      .def("score_isolated", &score_isolated, "query"_a, "start"_a,
           "Fields of the TreeScores of one TreeQuery, which depend on it alone.")
      .def("row", &row, "tokens"_a, "float32 (V,): log-probabilities after a sequence.")
      .def("start", &start, "tokens"_a, "count"_a, "handles"_a,
           "Hold sequences, and append them to `handles`. Returns the logits (V,) after `tokens`.")
      .def("step", &step, "handles"_a, "tokens"_a,
           "Append a token to each sequence. Returns the logits (n, V).")
      .def(
          "finish",
          [](Session& self, const std::vector<int>& handles, const std::vector<Tokens>& texts) {
            self.evaluator().finish(handles, texts);
          },
          "handles"_a, "texts"_a, "Stop holding sequences that were continued with these tokens.")
      .def("clear", &Session::clear, "Remove all cached tokens and rows.")
      .def(
          "max_parallel",
          [](Session& self, int fitting) { return self.evaluator().max_parallel(fitting); },
          "fitting"_a,
          "The number of sequences that can be held at once, if the cells have room for `fitting`.")
      .def(
          "sequence_lengths", [](Session& self) { return self.evaluator().sequence_lengths(); },
          "The number of tokens of each sequence, according to the session's bookkeeping.")
      .def_prop_ro(
          "active_sequences", [](Session& self) { return self.evaluator().active_sequences(); },
          "The number of sequences that completions hold.")
      .def_prop_rw(
          "in_use", [](Session& self) { return self.evaluator().in_use; },
          [](Session& self, bool in_use) { self.evaluator().in_use = in_use; },
          "Whether a completion is running. It holds sequences between calls.");

  bind_automata(module);
#ifdef NDEBUG
  // If the program ends while a thread uses a model, nanobind would report a leak.
  nb::set_leak_warnings(false);
#endif
}
