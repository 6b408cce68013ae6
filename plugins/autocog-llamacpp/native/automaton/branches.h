// What an action comes to: branches, ranked, some of which are followed (core's evaluation/branch.py).

#pragma once

#include <string>
#include <vector>

#include "evaluation/tree_answers.h"
#include "automaton/thought_node.h"
#include "automaton/automaton.h"
#include "automaton/beam_search.h"
#include "automaton/token_text.h"

namespace autocog {

// One choice or completion, and how a path goes on after it.
struct Branch {
  Node node;
  double rank = 0;
  double logprob = 0;  // the sum over its tokens
  int kept = 0;        // decided tokens that stay
  std::string rest;    // bytes that are tokenized again
};

// answers: to the site's query, and for pmi to the one after other text.
std::vector<Branch> choice_branches(const Site& site, const Action& action, const Answer* answers);

std::vector<Branch> text_branches(const Search& search, Pieces& pieces);

// Mark the branches that are not followed: the best is, whatever its share.
void prune_branches(const Following& following, std::vector<Branch>& branches);

}  // namespace autocog
