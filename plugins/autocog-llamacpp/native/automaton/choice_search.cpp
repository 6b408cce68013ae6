#include "automaton/choice_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <tuple>

#include "automaton/choice_scores.h"

namespace autocog {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// ROUNDING of core's choice_search.py: bounds are higher by this share.
constexpr double kRounding = 1e-12;

// exp(score - total); `unknown` if both are the same infinity.
double share(double score, double total, double unknown) {
  if (score == total && std::isinf(score)) return unknown;
  return std::isinf(score) ? 0.0 : std::exp(std::min(0.0, score - total));
}

}  // namespace

ChoiceSearch::ChoiceSearch(std::shared_ptr<const PreparedStep> step, const Action& action, int top,
                           int nodes_per_step)
    : step_(std::move(step)),
      norm_(action.norm),
      top_(std::min(top, action.choices)),
      nodes_per_step_(nodes_per_step),
      values_(order().starts.size()),
      path_logprobs_(order().starts.size()),
      end_values_(step_->eos > 0 ? action.choices : 0),
      logprobs_(action.choices),
      exclusive_(action.choices),
      scores_(action.choices, kInfinity),
      is_finished_(action.choices),
      open_{0},
      pending_(fill({0})) {}

bool ChoiceSearch::has_children(int node) const {
  return order().child_starts[node] < order().child_starts[node + 1];
}

bool ChoiceSearch::needs_reading(int node) const {
  return has_children(node) || (step_->eos > 0 && order().choice_at[node] >= 0);
}

void ChoiceSearch::add_queries(const Tokens& ids, std::vector<TreeQuery>& queries) {
  arrays_.clear();
  const PreparedStep& step = *step_;
  const auto eos = step.tokens.end() - step.eos;  // the last choice's: the same for all
  for (const int node : pending_) {
    std::vector<std::int32_t> tokens, parents;
    TreeQuery query;
    query.prefix = ids;
    if (node == 0 && step.text_count() > 0) {
      // The texts to score are a chain before the first tokens of the choices.
      query.prefix.insert(query.prefix.end(), step.ids.begin(), step.ids.begin() + step.scored_from);
      tokens.assign(step.query_tokens.begin(), step.query_tokens.begin() + step.text_count());
      parents.assign(step.query_parents.begin(), step.query_parents.begin() + step.text_count());
    } else {
      query.prefix.insert(query.prefix.end(), step.ids.begin(), step.ids.end());
      const auto base = query.prefix.size();
      for (int above = node; above > 0; above = parent_of(above)) {
        query.prefix.push_back(step.tokens[above - 1]);
      }
      std::reverse(query.prefix.begin() + static_cast<std::ptrdiff_t>(base), query.prefix.end());
    }
    const int parent = static_cast<int>(tokens.size()) - 1;
    for (int i = order().child_starts[node]; i < order().child_starts[node + 1]; ++i) {
      tokens.push_back(step.tokens[order().children[i] - 1]);
    }
    if (step.eos > 0 && order().choice_at[node] >= 0) {
      tokens.insert(tokens.end(), eos, step.tokens.end());
    }
    parents.resize(tokens.size(), parent);
    arrays_.push_back(std::move(tokens));
    query.tokens = arrays_.back().data();
    query.size = arrays_.back().size();
    arrays_.push_back(std::move(parents));
    query.parents = arrays_.back().data();
    queries.push_back(std::move(query));
  }
}

void ChoiceSearch::receive(const TreeScores* answers) {
  std::vector<char> is_read(order().starts.size(), 0);
  std::vector<int> candidates = open_;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const int node = pending_[i];
    const double* values = answers[i].values.data();
    if (node == 0) {
      text_values_.assign(values, values + step_->text_count());
      values += step_->text_count();
    }
    read(node, values);
    is_read[node] = 1;
    for (int j = order().child_starts[node]; j < order().child_starts[node + 1]; ++j) {
      if (needs_reading(order().children[j])) candidates.push_back(order().children[j]);
    }
  }
  open_.clear();
  for (const int node : candidates) {
    if (!is_read[node]) open_.push_back(node);
  }
  std::sort(open_.begin(), open_.end(),
            [&](int a, int b) { return order().starts[a] < order().starts[b]; });
  update_scores();
  pending_ = select();
}

// Take the log-probabilities after a node.
void ChoiceSearch::read(int node, const double* values) {
  const int begin = order().child_starts[node];
  const int end = order().child_starts[node + 1];
  std::vector<int> finished;
  for (int i = begin; i < end; ++i) {
    const int child = order().children[i];
    values_[child] = std::min(values[i - begin], 0.0);
    path_logprobs_[child] = path_logprobs_[node] + values_[child];
    for (int position = order().starts[child]; position < order().stops[child]; ++position) {
      logprobs_[position] = exclusive_[position] = path_logprobs_[child];
    }
    if (!needs_reading(child)) finished.push_back(order().choice_at[child]);
  }
  for (const int position : finished) finish(position);
  const int own = order().choice_at[node];
  if (own < 0) return;
  if (step_->eos > 0) {
    // The ids of EOS are alternatives: their probabilities add up.
    std::vector<double> eos_values(values + (end - begin), values + (end - begin) + step_->eos);
    for (double& value : eos_values) value = std::min(value, 0.0);
    end_values_[own] = std::min(0.0, logsumexp(eos_values));
  }
  finish(own);
  if (step_->eos > 0 || begin == end) return;
  // In the order of nodes, as in the whole tree: sums depend on the order.
  std::vector<int> in_order(end - begin);
  for (int i = begin; i < end; ++i) in_order[i - begin] = i;
  std::sort(in_order.begin(), in_order.end(),
            [&](int a, int b) { return order().children[a] < order().children[b]; });
  double longer = 0;
  for (const int i : in_order) longer += std::exp(values[i - begin]);
  exclusive_[own] += log_complement(longer);
}

// Set the log-probabilities of a choice whose tokens all have one.
void ChoiceSearch::finish(int position) {
  double logprob = 0;
  for (const double value : token_logprobs(position)) logprob += value;
  logprobs_[position] = exclusive_[position] = logprob;
  is_finished_[position] = 1;
}

std::vector<double> ChoiceSearch::token_logprobs(int position) const {
  std::vector<double> logprobs;
  const int choice = order().choices[position];
  for (int i = step_->path_starts[choice]; i < step_->path_starts[choice + 1]; ++i) {
    logprobs.push_back(values_[step_->path_nodes[i] + 1]);
  }
  if (step_->eos > 0) logprobs.push_back(end_values_[position]);
  return logprobs;
}

void ChoiceSearch::update_scores() {
  for (std::size_t i = 0; i < scores_.size(); ++i) scores_[i] = score_of(static_cast<int>(i));
}

double ChoiceSearch::score_of(int position) const {
  double logprob = norm_ == Norm::sum ? exclusive_[position] : logprobs_[position];
  if (!is_finished_[position]) logprob *= 1 - kRounding;
  const int choice = order().choices[position];
  switch (norm_) {
    case Norm::sum:
      return logprob;
    case Norm::mean: {
      const int tokens = step_->path_starts[choice + 1] - step_->path_starts[choice];
      return logprob / (tokens + (step_->eos > 0));
    }
    case Norm::per_byte:
      return logprob / step_->byte_lengths[choice];
    case Norm::pmi:
      // An impossible choice stays impossible: -inf - -inf is NaN.
      return logprob == -kInfinity ? logprob : logprob - step_->unconditional_logprobs[choice];
  }
  return logprob;
}

std::vector<int> ChoiceSearch::best() const {
  std::vector<int> finished;
  for (int i = 0; i < static_cast<int>(is_finished_.size()); ++i) {
    if (is_finished_[i]) finished.push_back(i);
  }
  const auto count = std::min(finished.size(), static_cast<std::size_t>(top_));
  std::partial_sort(finished.begin(), finished.begin() + static_cast<std::ptrdiff_t>(count),
                    finished.end(), [&](int a, int b) {
                      return scores_[a] != scores_[b] ? scores_[a] > scores_[b]
                                                      : choice(a) < choice(b);
                    });
  finished.resize(count);
  return finished;
}

// The nodes of the next step, parents before their children.
std::vector<int> ChoiceSearch::select() const {
  const std::vector<int> best = this->best();
  const bool has_all = best.size() == static_cast<std::size_t>(top_);
  std::vector<std::pair<double, int>> nodes;
  for (const int node : open_) {
    const Unfinished below = unfinished_below(node);
    if (has_all) {
      // Below the node, there may be a better choice than the last of the best.
      const double score = scores_[best.back()];
      const bool ties = below.bound == score && below.lowest_choice < choice(best.back());
      if (!(below.bound > score || ties)) continue;
    }
    nodes.emplace_back(below.bound, node);
  }
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  if (nodes.size() > static_cast<std::size_t>(nodes_per_step_)) nodes.resize(nodes_per_step_);
  std::vector<int> step;
  for (const auto& [bound, node] : nodes) step.push_back(node);
  return step.empty() ? step : fill(std::move(step));
}

// Add nodes below, those with the most choices first, until the step is full.
std::vector<int> ChoiceSearch::fill(std::vector<int> step) const {
  using Entry = std::tuple<int, int, int>;  // choices below (negative), first position, node
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  const auto add_children = [&](int node) {
    for (int i = order().child_starts[node]; i < order().child_starts[node + 1]; ++i) {
      const int child = order().children[i];
      if (!needs_reading(child)) continue;
      const int start = order().starts[child];
      queue.emplace(start - order().stops[child], start, child);
    }
  };
  for (const int node : step) add_children(node);
  while (step.size() < static_cast<std::size_t>(nodes_per_step_) && !queue.empty()) {
    const int node = std::get<2>(queue.top());
    queue.pop();
    step.push_back(node);
    add_children(node);
  }
  std::sort(step.begin(), step.end());
  return step;
}

ChoiceSearch::Unfinished ChoiceSearch::unfinished_below(int node) const {
  Unfinished below{-kInfinity, std::numeric_limits<int>::max()};
  for (int i = order().starts[node]; i < order().stops[node]; ++i) {
    if (is_finished_[i]) continue;
    below.bound = std::max(below.bound, scores_[i]);
    below.lowest_choice = std::min(below.lowest_choice, choice(i));
  }
  return below;
}

// The log of the most that the choices below an open node can weigh.
double ChoiceSearch::log_mass_below(int node) const {
  // Choices below a node exclude each other: together they have at most its probability.
  if (norm_ == Norm::sum) return path_logprobs_[node] * (1 - kRounding);
  std::vector<double> bounds;
  for (int i = order().starts[node]; i < order().stops[node]; ++i) {
    if (!is_finished_[i]) bounds.push_back(scores_[i]);
  }
  return logsumexp(bounds);
}

std::vector<double> ChoiceSearch::probs() const {
  if (!open_.empty()) return {};
  // In the order of the choices, as in the whole tree: sums depend on the order.
  std::vector<double> scores(scores_.size());
  for (std::size_t i = 0; i < scores.size(); ++i) scores[order().choices[i]] = scores_[i];
  const std::vector<double> by_choice = softmax(scores);
  std::vector<double> probs(scores.size());
  for (std::size_t i = 0; i < probs.size(); ++i) probs[i] = by_choice[order().choices[i]];
  return probs;
}

Interval ChoiceSearch::prob_bounds(int position) const {
  std::vector<double> finished, masses;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    if (is_finished_[i]) finished.push_back(scores_[i]);
  }
  masses.push_back(logsumexp(finished));
  const double least = masses.front();
  for (const int node : open_) masses.push_back(log_mass_below(node));
  const double most = logsumexp(masses);
  const double lowest = share(scores_[position], most, 0.0);
  const double highest = share(scores_[position], least, 1.0);
  return {lowest * (1 - kRounding), std::min(1.0, highest * (1 + kRounding))};
}

}  // namespace autocog
