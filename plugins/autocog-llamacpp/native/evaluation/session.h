// A context with what it keeps between calls: sequences in memory, and rows that were read last.

#pragma once

#include <list>
#include <memory>
#include <vector>

#include "evaluation/tree_answers.h"
#include "llama/context.h"
#include "evaluation/evaluator.h"

namespace autocog {

class Session {
 public:
  // recurrent: whether the model's memory is a state, which cannot be rewound.
  Session(const Api& api, llama_context* pointer, const volatile char* stop, Limits limits,
          bool recurrent);

  // Answers to several queries, which share what their sequences have in common.
  std::vector<Answer> score_trees(const std::vector<Query>& queries);

  // Log-probabilities (V,) of every token after a sequence.
  std::vector<float> row(const Tokens& tokens);

  Evaluator& evaluator() { return *evaluator_; }
  const Limits& limits() const { return context_.limits; }
  void check_stop() const { context_.check_stop(); }
  void forget();

 private:
  // The logits after a sequence: what was just asked there is often asked again (toolkit/logits_cache.py).
  struct KeptRow {
    std::size_t digest;  // of the tokens: most are told apart by it
    Tokens tokens;
    std::vector<float> logits;
  };

  std::list<KeptRow>::iterator find(std::size_t digest, const Tokens& tokens);
  void keep(const Tokens& tokens, const float* logits);

  Context context_;
  std::unique_ptr<Evaluator> evaluator_;
  // That which was used last is last.
  std::list<KeptRow> rows_;
};

}  // namespace autocog
