// Token trees that are asked for, and what is read for them from rows of logits.
//
// C++ counterpart of autocog_core/toolkit/tree_answers.py.

#pragma once

#include <cstdint>
#include <vector>

#include "evaluation/evaluator.h"
#include "evaluation/prefix_forest.h"

namespace autocog {

// A token tree to score: see TreeQuery. Its arrays belong to whoever asks.
struct Query {
  Tokens prefix;
  const std::int32_t* tokens = nullptr;
  const std::int32_t* parents = nullptr;
  std::size_t size = 0;
  Tokens top_at;
  std::size_t top_k = 0;
  const std::uint8_t* mask = nullptr;  // (V,)
};

// See TreeScores.
struct Answer {
  std::vector<double> values;
  Tokens top_tokens;                 // (m, k)
  std::vector<double> top_logprobs;  // (m, k)
  int evaluated = 0;
};

class Answers {
 public:
  // Queries and their arrays must live as long as this does.
  Answers(const std::vector<Query>& queries, std::size_t width);

  Forest forest;
  // By query: the node after which its tree begins.
  std::vector<int> roots;

  // Take the logits of the distributions after some of the forest's nodes.
  void add(const std::vector<int>& nodes, const float* logits);

  // One answer a query, once all wanted nodes were added.
  std::vector<Answer> take();

 private:
  // What is asked of the distribution after a node: a value (place >= 0: of which token), or the
  // likeliest (place < 0: row -1 - place of a query's top arrays).
  struct Asked {
    int query;
    int place;
  };

  const std::vector<Query>& queries_;
  std::size_t width_;
  std::vector<Answer> answers_;
  // Sorted by node: those of node n are from begin_[n] to begin_[n + 1].
  std::vector<Asked> asked_;
  std::vector<int> begin_;
  std::vector<int> nodes_;
};

}  // namespace autocog
