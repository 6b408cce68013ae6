// Evaluates prefix forests, and holds sequences for completions. C++ counterpart of
// llama/session.py.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "evaluation/prefix_forest.h"
#include "llama/context.h"

namespace autocog {

using Tokens = std::vector<std::int32_t>;

// Receives nodes of the forest, and the logits (r, V) after them.
using Sink = std::function<void(const std::vector<int>& nodes, const float* logits)>;

class Evaluator {
 public:
  explicit Evaluator(Context& context) : context_(context) {}
  virtual ~Evaluator() = default;

  // Whether a completion is running. It holds sequences from one call to the next.
  bool in_use = false;

  // Pass the logits of each node that needs a row to `sink`, and count the evaluated nodes.
  virtual void evaluate(PrefixForest& forest, const Sink& sink) = 0;

  // Hold `count` sequences that start with `tokens`, and append their ids to `handles`. Returns
  // the logits (V,) after `tokens`.
  virtual std::vector<float> start(const Tokens& tokens, int count, std::vector<int>& handles) = 0;

  // Append a token to each sequence. Returns the logits (n, V) after them, valid until the next
  // call.
  const float* step(const std::vector<int>& handles, const Tokens& tokens);

  // Stop holding sequences that were continued with `texts`. Later calls may reuse their cells.
  virtual void finish(const std::vector<int>& handles, const std::vector<Tokens>& texts) = 0;

  // Remove everything from memory.
  virtual void clear() = 0;

  // Whether memory holds just what is left of an isolated query that started with these tokens.
  bool holds_isolated(const Tokens& start) const { return isolated_start_ == start; }
  // Remove all but the start of an isolated query from memory.
  void end_isolated(const Tokens& start);

  // The number of tokens of each sequence in memory, according to our bookkeeping.
  virtual std::vector<int> sequence_lengths() const = 0;
  // The number of sequences that completions hold.
  virtual int active_sequences() const = 0;

  // The number of sequences that completions can hold at once, if the cells have room for
  // `fitting`.
  virtual int max_parallel(int fitting) const = 0;

 protected:
  // If the previous call was interrupted, the state of the memory is unknown: clear it. Every call
  // that changes memory begins with this.
  void recover(bool finishing = false);

  // Remove everything but these tokens from memory. Returns whether it has all of them.
  virtual bool keep_only(const Tokens& tokens) = 0;

  // The number of tokens of a held sequence; -1 if it is not held.
  virtual int length_of(int handle) const = 0;
  // Free cells for one token on each of `count` held sequences.
  virtual void make_step_room(int count) = 0;
  // Record that each held sequence has one more token.
  virtual void record_step(const std::vector<int>& handles, const Tokens& tokens) = 0;

  Context& context_;
  // False while a call changes memory, and after a call that did not finish.
  bool consistent_ = true;
  // The start of the last isolated query, if no call has changed memory since.
  std::optional<Tokens> isolated_start_;
};

std::unique_ptr<Evaluator> make_attention_evaluator(Context& context);
std::unique_ptr<Evaluator> make_recurrent_evaluator(Context& context);

// The logits (V,) after a sequence.
std::vector<float> logits_after(Evaluator& evaluator, const Tokens& tokens, int width);

}  // namespace autocog
