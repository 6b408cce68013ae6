#include "automaton/choice_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace autocog {

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// log(sum(exp)) of a few values.
double log_sum_exp(const double* values, int count) {
  double top = kImpossible;
  for (int i = 0; i < count; ++i) top = std::max(top, values[i]);
  if (!std::isfinite(top)) return top;
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += std::exp(values[i] - top);
  return top + std::log(sum);
}

// The log-probability of each decided token of each choice.
std::vector<std::vector<double>> along_paths(const Site& site, const double* values) {
  std::vector<std::vector<double>> found(site.ends.size());
  const std::size_t inner = site.tokens.size() - site.ends.size() * site.eos;
  for (std::size_t choice = 0; choice < found.size(); ++choice) {
    for (int i = site.path_starts[choice]; i < site.path_starts[choice + 1]; ++i) {
      found[choice].push_back(std::min(values[site.path_nodes[i]], 0.0));
    }
    if (site.eos > 0) {
      // The ids of EOS are alternatives to one another: their probabilities add up.
      std::vector<double> ends;
      for (int i = 0; i < site.eos; ++i) {
        ends.push_back(std::min(values[inner + choice * site.eos + i], 0.0));
      }
      found[choice].push_back(std::min(0.0, log_sum_exp(ends.data(), site.eos)));
    }
  }
  return found;
}

double sum(const std::vector<double>& values) {
  double total = 0;
  for (const double value : values) total += value;
  return total;
}

// Takes off each choice's probability that of going on to a longer one.
void make_exclusive(const Site& site, const double* values, std::vector<double>& logprob) {
  // What follows a choice up to EOS is one outcome, which no longer choice shares.
  if (site.eos > 0) return;
  std::vector<double> longer(site.tokens.size(), 0.0);
  std::vector<char> inner(site.tokens.size(), 0);
  for (std::size_t node = 0; node < site.tokens.size(); ++node) {
    const int parent = site.parents[node];
    if (parent < 0) continue;
    inner[parent] = 1;
    longer[parent] += std::exp(values[node]);
  }
  for (std::size_t choice = 0; choice < logprob.size(); ++choice) {
    const int end = site.ends[choice];
    if (!inner[end]) continue;
    logprob[choice] += longer[end] >= 1.0 ? kImpossible : std::log1p(-longer[end]);
  }
}

}  // namespace

std::vector<double> softmax(const std::vector<double>& scores) {
  const double top = *std::max_element(scores.begin(), scores.end());
  std::vector<double> shares;
  double whole = 0;
  for (const double score : scores) {
    // No difference where the best is infinite: inf - inf is NaN.
    shares.push_back(std::isfinite(top) ? std::exp(score - top) : score == top);
    whole += shares.back();
  }
  for (double& share : shares) share /= whole;
  return shares;
}

ChoiceScores choice_scores(const Site& site, Norm norm, const double* values,
                           const double* unconditional) {
  ChoiceScores found;
  found.logprobs = along_paths(site, values);
  for (const auto& each : found.logprobs) found.logprob.push_back(sum(each));
  found.rank = found.logprob;
  switch (norm) {
    case Norm::sum:
      make_exclusive(site, values, found.rank);
      break;
    case Norm::mean:
      for (std::size_t i = 0; i < found.rank.size(); ++i) {
        found.rank[i] /= static_cast<double>(found.logprobs[i].size());
      }
      break;
    case Norm::per_byte:
      for (std::size_t i = 0; i < found.rank.size(); ++i) found.rank[i] /= site.sizes[i];
      break;
    case Norm::pmi: {
      const auto other = along_paths(site, unconditional);
      for (std::size_t i = 0; i < found.rank.size(); ++i) {
        // Impossible is impossible, either way.
        if (found.rank[i] != kImpossible) found.rank[i] -= sum(other[i]);
      }
      break;
    }
  }
  found.prob = softmax(found.rank);
  return found;
}

}  // namespace autocog
