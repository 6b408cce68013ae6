// The part of AutomatonRun that builds the thought tree.

#include <algorithm>
#include <unordered_map>

#include "automaton/automaton_run.h"

namespace autocog {

void AutomatonRun::enter_texts(OpenPath& path) {
  std::vector<int> texts;
  int next = path.action;
  bool reached_max_visits = false;
  while (next != kNoAction && automaton_->actions[next].kind == Kind::text) {
    texts.push_back(next);
    count_visit(path.visits, next);
    next = automaton_->actions[next].successor(0);
    if (next != kNoAction && is_exhausted(path.visits, next)) {
      reached_max_visits = true;
      next = kNoAction;
    }
  }
  path.action = next;
  for (const int action : texts) {
    ThoughtNode node;
    node.action = action;
    node.path_logprob = path.logprob;
    node.length = path.node >= 0 ? nodes[path.node].length : 0;
    node.parent = path.node;
    path.node = add_node(std::move(node));
    path.pending.push_back({action, "", path.node});
  }
  if (reached_max_visits) prune(path.node, PrunedBy::max_visits);
}

// Give pending texts their tokens and scores.
// values: log-probabilities of the step's ids, from `scored_from` on.
void AutomatonRun::assign_tokens(OpenPath& path, const double* values) {
  const PreparedStep& step = *path.step;
  double added = 0;
  int count = 0;
  bool is_first = true;
  for (const PreparedStep::TokenizedText& text : step.texts) {
    const int index = path.pending[text.pending].node;
    if (index < 0) continue;
    ThoughtNode& node = nodes[index];
    const auto begin = step.ids.begin() + text.start;
    node.tokens.assign(begin, begin + text.count);
    // What lies before the first text: BOS, and bytes that are tokenized again.
    if (is_first) node.tokens_before.assign(step.ids.begin(), begin);
    is_first = false;
    if (text.evaluated && text.count > 0) {
      const double* text_values = values + (text.start - step.scored_from);
      for (int i = 0; i < text.count; ++i) {
        node.logprobs.push_back(std::min(0.0, text_values[i]));
        added += node.logprobs.back();
      }
      count += text.count;
    }
    node.path_logprob += added;
    node.length += count;
  }
  path.logprob += added;
}

void AutomatonRun::add_branches(OpenPath& path, std::vector<Branch> branches) {
  const Action& action = automaton_->actions[path.action];
  const bool has_texts =
      std::any_of(path.pending.begin(), path.pending.end(),
                  [](const PendingText& text) { return text.node >= 0; });
  count_visit(path.visits, path.action);
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const int next = action.successor(branches[i].node.choice);
    if (branches[i].node.pruned_by == PrunedBy::none && next != kNoAction &&
        action.successors.size() > 1 && is_exhausted(path.visits, next)) {
      branches[i].node.pruned_by = PrunedBy::max_visits;
    }
  }
  prune_branches(action.selection, branches);
  for (std::size_t i = 0; i < branches.size(); ++i) {
    Branch& branch = branches[i];
    const int next = action.successor(branches[i].node.choice);
    ThoughtNode& node = branch.node;
    node.action = path.action;
    node.path_logprob = path.logprob + branch.logprob;
    node.length = (path.node >= 0 ? nodes[path.node].length : 0) +
                  static_cast<int>(node.logprobs.size());
    node.parent = path.node;
    if (branch.kept_tokens < static_cast<int>(node.tokens.size())) {
      node.kept_tokens = branch.kept_tokens;
    }
    if (!has_texts) node.tokens_before = path.step->ids;
    const int index = add_node(std::move(node));
    if (nodes[index].pruned_by != PrunedBy::none) continue;
    if (next == kNoAction) {
      finish_path(index);
    } else if (is_exhausted(path.visits, next)) {
      prune(index, PrunedBy::max_visits);
    } else {
      const Tokens& tokens = nodes[index].tokens;
      OpenPath extended;
      extended.node = index;
      extended.action = next;
      extended.ids.reserve(path.ids.size() + path.step->ids.size() + branch.kept_tokens);
      extended.ids = path.ids;
      extended.ids.insert(extended.ids.end(), path.step->ids.begin(), path.step->ids.end());
      extended.ids.insert(extended.ids.end(), tokens.begin(), tokens.begin() + branch.kept_tokens);
      if (!branch.retokenized_bytes.empty()) {
        extended.pending.push_back({kNoAction, branch.retokenized_bytes, -1});
      }
      extended.visits = path.visits;
      extended.logprob = nodes[index].path_logprob;
      enqueue(std::move(extended));
    }
  }
}

void AutomatonRun::finish_path(int node) {
  if (nodes[node].pruned_by != PrunedBy::none) return;
  nodes[node].last = true;
  complete_.push_back(nodes[node].path_logprob);
}

void AutomatonRun::prune(int node, PrunedBy reason) {
  if (node >= 0 && nodes[node].pruned_by == PrunedBy::none) nodes[node].pruned_by = reason;
}

int AutomatonRun::add_node(ThoughtNode node) {
  nodes.push_back(std::move(node));
  return static_cast<int>(nodes.size()) - 1;
}

bool AutomatonRun::is_exhausted(const std::vector<int>& visits, int index) const {
  const Action& action = automaton_->actions[index];
  return action.max_visits >= 0 && visits[action.visit_counter] >= action.max_visits;
}

// Indices of the choices that a path cannot follow after its Choose; none if it can follow none.
std::set<int> AutomatonRun::exhausted_choices(const OpenPath& path) const {
  const Action& action = automaton_->actions[path.action];
  std::set<int> exhausted;
  if (action.successors.size() < 2) return exhausted;
  std::vector<int> visits = path.visits;
  count_visit(visits, path.action);
  for (int choice = 0; choice < action.choices; ++choice) {
    if (is_exhausted(visits, action.successor(choice))) exhausted.insert(choice);
  }
  if (static_cast<int>(exhausted.size()) == action.choices) exhausted.clear();
  return exhausted;
}

void AutomatonRun::count_visit(std::vector<int>& visits, int index) const {
  const Action& action = automaton_->actions[index];
  if (action.max_visits >= 0) ++visits[action.visit_counter];
}

std::int64_t AutomatonRun::unique_tokens() const {
  // A trie below each node: trie nodes by (parent trie node, token).
  std::unordered_map<std::uint64_t, std::int64_t> trie;
  for (const ThoughtNode& node : nodes) {
    std::int64_t parent = -2 - static_cast<std::int64_t>(node.parent);
    for (const auto token : node.tokens) {
      const std::uint64_t key =
          (static_cast<std::uint64_t>(static_cast<std::uint32_t>(parent)) << 32) |
          static_cast<std::uint32_t>(token);
      parent = trie.try_emplace(key, static_cast<std::int64_t>(trie.size())).first->second;
    }
  }
  return static_cast<std::int64_t>(trie.size());
}

}  // namespace autocog
