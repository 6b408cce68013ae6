// The scores of choices, from the log-probabilities of a tree's tokens: C++ counterpart of core's scoring/choice_tree.py.

#pragma once

#include <vector>

#include "automaton/automaton.h"

namespace autocog {

struct ChoiceScores {
  std::vector<std::vector<double>> logprobs;  // of each choice's tokens, EOS together as one
  std::vector<double> logprob;                // their sums
  std::vector<double> rank;                   // by the norm, with others' share taken off
  std::vector<double> prob;
};

// Scores (n,) in log space to probabilities that sum to 1.
std::vector<double> softmax(const std::vector<double>& scores);

// values: of the site's tree. unconditional: of the same tree after other text, for pmi.
ChoiceScores choice_scores(const Site& site, Norm norm, const double* values,
                           const double* unconditional);

}  // namespace autocog
