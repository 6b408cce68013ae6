// The branches of an action: ranked results, of which some are followed. C++ counterpart of core's
// evaluation/branch.py.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "automaton/automaton.h"
#include "automaton/beam_search.h"
#include "automaton/choice_search.h"
#include "automaton/thought_node.h"
#include "automaton/token_text.h"
#include "evaluation/tree_answers.h"

namespace autocog {

// One choice or completion, and how its path continues.
struct Branch {
  ThoughtNode node;
  double rank = 0;
  double logprob = 0;             // sum over its tokens
  int kept_tokens = 0;            // decided tokens that stay
  std::string retokenized_bytes;  // tokenized again with the next text
};

// answers: to the step's query, and for pmi to the unconditional query.
std::vector<Branch> choice_branches(const PreparedStep& step, const Action& action,
                                    const TreeScores* answers);

// The best choices of a search that has proven them, in the order given: so many that `top` of them
// can be followed. exhausted: indices of choices that the path cannot follow.
std::vector<Branch> best_branches(const PreparedStep& step, const ChoiceSearch& search, int top,
                                  const std::set<int>& exhausted);

std::vector<Branch> text_branches(const BeamSearch& search, TokenBytes& token_bytes);

// Mark the branches that are not followed. The best one is always followed.
void prune_branches(const BranchSelection& selection, std::vector<Branch>& branches);

}  // namespace autocog
