// A best-first search for the best choices of a token tree, proven by a part of it. C++ counterpart
// of core's scoring/choice_search.py, which explains it.

#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "automaton/automaton.h"
#include "evaluation/tree_answers.h"

namespace autocog {

class ChoiceSearch {
 public:
  // Nodes are numbered from 1, and 0 is the prefix: see LeafOrder. Choices are given by their
  // position in that order.
  // top: the number of the best choices that are wanted.
  ChoiceSearch(std::shared_ptr<const PreparedStep> step, const Action& action, int top,
               int nodes_per_step);

  // Whether the best choices are proven: there is no next step.
  bool is_proven() const { return pending_.empty(); }

  // Append the queries of the next step, one for each of its nodes. They point to arrays of this
  // search. ids: the ids of the path before those of the prepared step.
  void add_queries(const Tokens& ids, std::vector<TreeQuery>& queries);

  // Process the answers to them.
  void receive(const TreeScores* answers);

  // Positions of the best finished choices, best first.
  std::vector<int> best() const;

  // Log-probabilities of the decided tokens of a finished choice. All EOS ids count as one token.
  std::vector<double> token_logprobs(int position) const;

  int choice(int position) const { return order().choices[position]; }
  double logprob(int position) const { return logprobs_[position]; }
  double score(int position) const { return scores_[position]; }

  // By position: the share of each choice; empty unless the whole tree was read.
  std::vector<double> probs() const;

  // The lowest and the highest share that a finished choice can have.
  Interval prob_bounds(int position) const;

  // Log-probabilities of the texts before the choices, as far as they are scored.
  const std::vector<double>& text_values() const { return text_values_; }

 private:
  // Choices below an open node that are not finished.
  struct Unfinished {
    double bound;
    int lowest_choice;
  };

  const LeafOrder& order() const { return step_->order; }
  bool has_children(int node) const;
  bool needs_reading(int node) const;
  int parent_of(int node) const { return step_->parents[node - 1] + 1; }

  void read(int node, const double* values);
  void finish(int position);
  void update_scores();
  double score_of(int position) const;

  std::vector<int> select() const;
  std::vector<int> fill(std::vector<int> step) const;
  Unfinished unfinished_below(int node) const;
  double log_mass_below(int node) const;

  std::shared_ptr<const PreparedStep> step_;
  Norm norm_;
  int top_;
  int nodes_per_step_;
  // By node: the log-probability of its token, and of the path up to it.
  std::vector<double> values_, path_logprobs_;
  // By position: the log-probability of EOS after the choice.
  std::vector<double> end_values_;
  // By position: upper bounds until the choice is finished, then the numbers themselves.
  std::vector<double> logprobs_, exclusive_, scores_;
  std::vector<char> is_finished_;
  std::vector<int> open_;     // in the order of their positions
  std::vector<int> pending_;  // the nodes of the next step
  // The arrays of the queries. A deque does not move them.
  std::deque<std::vector<std::int32_t>> arrays_;
  std::vector<double> text_values_;
};

}  // namespace autocog
