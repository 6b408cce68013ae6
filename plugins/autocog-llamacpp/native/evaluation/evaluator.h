// What evaluates forests, and holds sequences for completions: C++ counterpart of llama/session.py.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "llama/context.h"
#include "evaluation/prefix_forest.h"

namespace autocog {

using Tokens = std::vector<std::int32_t>;

// Takes some of the forest's wanted nodes and the logits (r, V) after them.
using Sink = std::function<void(const std::vector<int>& nodes, const float* logits)>;

class Evaluator {
 public:
  explicit Evaluator(Context& context) : context_(context) {}
  virtual ~Evaluator() = default;

  // Whether a completion is running, which holds sequences from one call to the next.
  bool lent = false;

  // Pass every wanted node with its logits to `sink`, and count what was evaluated.
  virtual void evaluate(Forest& forest, const Sink& sink) = 0;

  // Hold `count` sequences that begin with `tokens`, whose ids are added to `handles`; the logits
  // (V,) after them.
  virtual std::vector<float> open(const Tokens& tokens, int count, std::vector<int>& handles) = 0;

  // Continue each sequence with a token; the logits (n, V) after them, valid until the next call.
  const float* step(const std::vector<int>& handles, const Tokens& tokens);

  // Let go of sequences that were continued with `texts`; later calls may go on from them.
  virtual void release(const std::vector<int>& handles, const std::vector<Tokens>& texts) = 0;

  // Drop everything that was kept from earlier calls.
  virtual void forget() = 0;

  // How many tokens each sequence is believed to have in memory.
  virtual std::vector<int> lengths() const = 0;
  // How many sequences completions hold.
  virtual int held() const = 0;

  // How many sequences may be held at once, if the cells hold `fitting`.
  virtual int together(int fitting) const = 0;

 protected:
  // Whoever begins and does not come to his end leaves behind what nobody knows.
  void settle(bool releasing = false);

  // How many tokens a held sequence has; -1 if it is not held.
  virtual int length_of(int handle) const = 0;
  // Make room for a token on each of so many held sequences.
  virtual void prepare_step(int count) = 0;
  // Note that held sequences have one token more.
  virtual void take_step(const std::vector<int>& handles, const Tokens& tokens) = 0;

  Context& context_;
  // Whether no call was left in the middle.
  bool sure_ = true;
};

std::unique_ptr<Evaluator> make_tree_evaluator(Context& context);
std::unique_ptr<Evaluator> make_state_evaluator(Context& context);

// The logits (V,) after a sequence, by an evaluator.
std::vector<float> row_after(Evaluator& evaluator, const Tokens& tokens, int width);

}  // namespace autocog
