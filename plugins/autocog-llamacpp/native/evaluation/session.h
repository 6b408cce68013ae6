// A context with its caches: sequences in memory, and the logits that were read last.

#pragma once

#include <list>
#include <memory>
#include <vector>

#include "evaluation/evaluator.h"
#include "evaluation/tree_answers.h"
#include "llama/context.h"

namespace autocog {

class Session {
 public:
  // recurrent: whether the model's memory is a state that cannot be rewound.
  Session(const LlamaApi& api, llama_context* pointer, const volatile char* stop, Limits limits,
          bool recurrent);

  // Answers to queries; shared prefixes are evaluated once.
  std::vector<TreeScores> score_trees(const std::vector<TreeQuery>& queries);

  // The answer to one query, which depends on the query alone. The first `start` tokens of its
  // prefix are evaluated by themselves, and only they stay in memory.
  TreeScores score_isolated(const TreeQuery& query, std::size_t start);

  // Log-probabilities (V,) of every token after a sequence.
  std::vector<float> row(const Tokens& tokens);

  Evaluator& evaluator() { return *evaluator_; }
  const Limits& limits() const { return context_.limits; }
  void check_stop() const { context_.check_stop(); }
  void clear();

 private:
  // The logits after a sequence. C++ counterpart of toolkit/logits_cache.py.
  struct CachedRow {
    std::size_t hash;  // of the tokens
    Tokens tokens;
    std::vector<float> logits;
  };

  std::list<CachedRow>::iterator find_row(std::size_t hash, const Tokens& tokens);
  void cache_row(const Tokens& tokens, const float* logits);

  Context context_;
  std::unique_ptr<Evaluator> evaluator_;
  // Least recently used first.
  std::list<CachedRow> cached_rows_;
};

}  // namespace autocog
