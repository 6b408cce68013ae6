#include "automaton/choice_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace autocog {

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// The log-probability of each decided token of each choice.
std::vector<std::vector<double>> logprobs_by_choice(const PreparedStep& step,
                                                    const double* values) {
  std::vector<std::vector<double>> logprobs(step.ends.size());
  const std::size_t inner = step.tokens.size() - step.ends.size() * step.eos;
  for (std::size_t choice = 0; choice < logprobs.size(); ++choice) {
    for (int i = step.path_starts[choice]; i < step.path_starts[choice + 1]; ++i) {
      logprobs[choice].push_back(std::min(values[step.path_nodes[i]], 0.0));
    }
    if (step.eos > 0) {
      // The ids of EOS are alternatives: their probabilities add up.
      std::vector<double> eos_logprobs;
      for (int i = 0; i < step.eos; ++i) {
        eos_logprobs.push_back(std::min(values[inner + choice * step.eos + i], 0.0));
      }
      logprobs[choice].push_back(std::min(0.0, logsumexp(eos_logprobs)));
    }
  }
  return logprobs;
}

double sum(const std::vector<double>& values) {
  double total = 0;
  for (const double value : values) total += value;
  return total;
}

// Subtract from each choice the probability that the text continues to a longer choice.
void make_exclusive(const PreparedStep& step, const double* values,
                    std::vector<double>& logprobs) {
  // Choices that end with EOS exclude each other already.
  if (step.eos > 0) return;
  std::vector<double> longer(step.tokens.size(), 0.0);
  std::vector<char> is_inner(step.tokens.size(), 0);
  for (std::size_t node = 0; node < step.tokens.size(); ++node) {
    const int parent = step.parents[node];
    if (parent < 0) continue;
    is_inner[parent] = 1;
    longer[parent] += std::exp(values[node]);
  }
  for (std::size_t choice = 0; choice < logprobs.size(); ++choice) {
    const int end = step.ends[choice];
    if (!is_inner[end]) continue;
    logprobs[choice] += log_complement(longer[end]);
  }
}

}  // namespace

double logsumexp(const std::vector<double>& values) {
  if (values.empty()) return kImpossible;
  const double top = *std::max_element(values.begin(), values.end());
  if (!std::isfinite(top)) return top;
  double sum = 0;
  for (const double value : values) sum += std::exp(value - top);
  return top + std::log(sum);
}

double log_complement(double total) {
  return total >= 1.0 ? kImpossible : std::log1p(-total);
}

std::vector<double> softmax(const std::vector<double>& scores) {
  const double top = *std::max_element(scores.begin(), scores.end());
  std::vector<double> probs;
  double total = 0;
  for (const double score : scores) {
    // No difference if the best is infinite: inf - inf is NaN.
    probs.push_back(std::isfinite(top) ? std::exp(score - top) : score == top);
    total += probs.back();
  }
  for (double& prob : probs) prob /= total;
  return probs;
}

ChoiceScores choice_scores(const PreparedStep& step, Norm norm, const double* values,
                           const double* unconditional) {
  ChoiceScores scores;
  scores.token_logprobs = logprobs_by_choice(step, values);
  for (const auto& logprobs : scores.token_logprobs) scores.logprob.push_back(sum(logprobs));
  scores.rank = scores.logprob;
  std::vector<double>& rank = scores.rank;
  switch (norm) {
    case Norm::sum:
      make_exclusive(step, values, rank);
      break;
    case Norm::mean:
      for (std::size_t i = 0; i < rank.size(); ++i) {
        rank[i] /= static_cast<double>(scores.token_logprobs[i].size());
      }
      break;
    case Norm::per_byte:
      for (std::size_t i = 0; i < rank.size(); ++i) rank[i] /= step.byte_lengths[i];
      break;
    case Norm::pmi: {
      const auto unconditional_logprobs = logprobs_by_choice(step, unconditional);
      for (std::size_t i = 0; i < rank.size(); ++i) {
        // An impossible choice stays impossible: -inf - -inf is NaN.
        if (rank[i] != kImpossible) rank[i] -= sum(unconditional_logprobs[i]);
      }
      break;
    }
  }
  scores.prob = softmax(rank);
  return scores;
}

}  // namespace autocog
