// Token trees to score, and their scores from rows of logits.
//
// C++ counterpart of autocog_core/toolkit/tree_answers.py.

#pragma once

#include <cstdint>
#include <vector>

#include "evaluation/evaluator.h"
#include "evaluation/prefix_forest.h"

namespace autocog {

// A token tree to score: see core's TreeQuery. The caller owns the arrays.
struct TreeQuery {
  Tokens prefix;
  const std::int32_t* tokens = nullptr;
  const std::int32_t* parents = nullptr;
  std::size_t size = 0;
  Tokens top_at;
  std::size_t top_k = 0;
  const std::uint8_t* mask = nullptr;  // (V,)
  bool with_mask_logprobs = false;
};

// See core's TreeScores.
struct TreeScores {
  std::vector<double> values;
  Tokens top_tokens;                 // (m, k)
  std::vector<double> top_logprobs;   // (m, k)
  std::vector<double> mask_logprobs;  // (m,), if the query wants them
  int tokens_evaluated = 0;
};

class TreeScoreCollector {
 public:
  // The queries and their arrays must outlive the collector.
  TreeScoreCollector(const std::vector<TreeQuery>& queries, std::size_t width);

  PrefixForest forest;
  // By query: the node after which its tree begins.
  std::vector<int> roots;

  // Add the logits (r, V) after nodes of the forest.
  void add(const std::vector<int>& nodes, const float* logits);

  // The scores of all queries. All nodes that need a row must have been added.
  std::vector<TreeScores> finish();

 private:
  // A value to read after a node: the score of tree node `target` (target >= 0), or row
  // -1 - target of the top arrays (target < 0).
  struct Reading {
    int query;
    int target;
  };

  const std::vector<TreeQuery>& queries_;
  std::size_t width_;
  std::vector<TreeScores> scores_;
  // Sorted by node: node n has the readings begin_[n] .. begin_[n + 1] - 1.
  std::vector<Reading> readings_;
  std::vector<int> begin_;
};

}  // namespace autocog
