// A node of the result. C++ counterpart of core's ThoughtNode.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "automaton/automaton.h"

namespace autocog {

struct ThoughtNode {
  int action = kNoAction;
  int choice = -1;   // of a Choose
  std::string text;  // of a Complete, as bytes
  Tokens tokens;
  std::vector<double> logprobs;
  double path_logprob = 0;
  int length = 0;  // decided tokens of the path so far
  std::optional<double> prob = 1.0;
  std::optional<Interval> prob_bounds;  // of one of the best choices, if `prob` is unknown
  PrunedBy pruned_by = PrunedBy::none;
  FinishReason finish_reason = FinishReason::none;
  bool last = false;
  bool retokenized = false;
  int parent = -1;
  int kept_tokens = -1;  // tokens that stay in the context of what follows; -1: all
  Tokens tokens_before;  // ids before `tokens` that belong to no node
};

}  // namespace autocog
