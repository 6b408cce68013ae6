// Scores of choices, from the log-probabilities of a tree's tokens. C++ counterpart of core's
// scoring/choice_tree.py.

#pragma once

#include <vector>

#include "automaton/automaton.h"

namespace autocog {

// One entry for each choice.
struct ChoiceScores {
  std::vector<std::vector<double>> token_logprobs;  // all EOS ids count as one token
  std::vector<double> logprob;                      // sum of the token log-probabilities
  std::vector<double> rank;                         // the score by the norm
  std::vector<double> prob;
};

// The log of the sum of the exponentials; -inf without values.
double logsumexp(const std::vector<double>& values);

// log(1 - total); -inf if the total is 1, or more by rounding.
double log_complement(double total);

// Scores (n,) in log space to probabilities that sum to 1.
std::vector<double> softmax(const std::vector<double>& scores);

// values: log-probabilities of the step's tree.
// unconditional: of the same tree after the unconditional prompt, for pmi.
ChoiceScores choice_scores(const PreparedStep& step, Norm norm, const double* values,
                           const double* unconditional);

}  // namespace autocog
