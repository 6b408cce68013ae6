#include "evaluation/decode_plan.h"

#include <algorithm>

namespace autocog {

std::vector<int> DecodePlan::fork_nodes() const {
  std::vector<int> forks;
  std::size_t begin = 0;
  while (begin < nodes.size()) {
    const int from = first[begin];
    const int to = last[begin];
    const auto end = static_cast<std::size_t>(ends[to - 1]) + 1;
    if (to - from > 1) {
      std::size_t fork = begin;
      while (first[fork] == from && last[fork] == to) ++fork;
      forks.push_back(static_cast<int>(fork) - 1);
    }
    begin = end;
  }
  return forks;
}

DecodePlanner::DecodePlanner(const PrefixForest& forest)
    : forest_(forest), states_(forest.size()) {}

DecodePlan DecodePlanner::plan(const std::vector<int>& nodes, const std::vector<char>& unread,
                               const CellTree& tree, bool ignore_cached) {
  constexpr int kNone = -1;
  std::vector<std::vector<int>> components;
  const auto parent_cell = [&](int node) {
    const int parent = forest_.parents[node];
    return parent < 0 ? CellTree::kRoot : states_[parent].cell;
  };
  for (const int node : nodes) {
    NodeState& state = states_[node] = NodeState();
    const int parent = forest_.parents[node];
    const int start = parent_cell(node);
    state.cell = start < 0 || ignore_cached ? kNone : tree.child(start, forest_.tokens[node]);
    // Cached nodes whose logits are not needed are not decoded. The other nodes form connected
    // components; a path may pass through cached nodes between two components.
    if (state.cell < 0 || unread[node]) {
      const bool inside = parent >= 0 && states_[parent].top >= 0;
      state.top = inside ? states_[parent].top : node;
      if (inside) {
        states_[parent].has_child = true;
      } else {
        state.component = static_cast<int>(components.size());
        components.emplace_back();
      }
      components[states_[state.top].component].push_back(node);
    }
  }

  DecodePlan plan;
  for (const auto& members : components) {
    const int start = parent_cell(members.front());
    const auto begin = static_cast<int>(plan.nodes.size());
    for (const int node : members) {
      plan.first.push_back(static_cast<int>(plan.starts.size()));
      if (!states_[node].has_child) {
        plan.starts.push_back(start);
        plan.ends.push_back(static_cast<int>(plan.nodes.size()));
      }
      plan.nodes.push_back(node);
    }
    // Children come after their parents, so the loop goes backwards to find the last sequence.
    for (int i = static_cast<int>(plan.nodes.size()) - 1; i >= begin; --i) {
      const int node = plan.nodes[i];
      NodeState& state = states_[node];
      state.last = std::max(state.last, plan.first[i] + 1);
      if (node == members.front()) continue;
      NodeState& parent = states_[forest_.parents[node]];
      parent.last = std::max(parent.last, state.last);
    }
  }
  for (const int node : plan.nodes) {
    plan.last.push_back(states_[node].last);
    if (states_[node].cell >= 0) plan.already_cached.push_back(states_[node].cell);
  }
  return plan;
}

ForestSplitter::ForestSplitter(const PrefixForest& forest, int sequences, int cells)
    : forest_(forest), sequences_(sequences), cells_(cells), order_(forest.depth_first()) {
  std::vector<char> has_child(order_.size(), 0);
  for (const int parent : forest.parents) {
    if (parent >= 0) has_child[parent] = 1;
  }
  // By position in `order_`: the number of nodes from here to the end of the first path.
  nodes_to_end_.assign(order_.size() + 1, 0);
  for (std::size_t i = order_.size(); i-- > 0;) {
    nodes_to_end_[i] = 1 + (has_child[order_[i]] ? nodes_to_end_[i + 1] : 0);
  }
}

bool ForestSplitter::next(std::vector<int>& nodes) {
  if (position_ == order_.size()) return false;
  const int parent = forest_.parents[order_[position_]];
  nodes = parent < 0 ? std::vector<int>{} : forest_.path_to(parent);
  for (int paths = 0; position_ < order_.size();) {
    const bool is_end = nodes_to_end_[position_] == 1;
    nodes.push_back(order_[position_++]);
    if (!is_end) continue;
    ++paths;
    // The next path adds at most the nodes before its end.
    const int added = nodes_to_end_[position_];
    if (paths == sequences_ || static_cast<int>(nodes.size()) + added > cells_) break;
  }
  return true;
}

}  // namespace autocog
