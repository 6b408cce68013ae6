#include "evaluation/decode_plan.h"

#include <algorithm>

namespace autocog {

std::vector<int> Plan::forks() const {
  std::vector<int> found;
  std::size_t place = 0;
  while (place < nodes.size()) {
    const int from = first[place];
    const int to = last[place];
    const auto end = static_cast<std::size_t>(ends[to - 1]) + 1;
    if (to - from > 1) {
      std::size_t fork = place;
      while (first[fork] == from && last[fork] == to) ++fork;
      found.push_back(static_cast<int>(fork) - 1);
    }
    place = end;
  }
  return found;
}

Planner::Planner(const Forest& forest) : forest_(forest), notes_(forest.size()) {}

Plan Planner::plan(const std::vector<int>& nodes, const std::vector<char>& unread,
                   const CellTree& tree, bool apart) {
  constexpr int kNone = -1;
  std::vector<std::vector<int>> components;
  const auto above = [&](int node) {
    const int parent = forest_.parents[node];
    return parent < 0 ? CellTree::kRoot : notes_[parent].cell;
  };
  for (const int node : nodes) {
    Note& note = notes_[node] = Note();
    const int parent = forest_.parents[node];
    const int from = above(node);
    note.cell = from < 0 || apart ? kNone : tree.child(from, forest_.tokens[node]);
    // What is in memory and not asked for is not decoded. The rest falls into components that hang
    // together, for a path may pass through what is in memory between two of them.
    if (note.cell < 0 || unread[node]) {
      const bool inside = parent >= 0 && notes_[parent].top >= 0;
      note.top = inside ? notes_[parent].top : node;
      if (inside) {
        notes_[parent].has_child = true;
      } else {
        note.component = static_cast<int>(components.size());
        components.emplace_back();
      }
      components[notes_[note.top].component].push_back(node);
    }
  }

  Plan plan;
  for (const auto& members : components) {
    const int begin = above(members.front());
    const auto from = static_cast<int>(plan.nodes.size());
    for (const int node : members) {
      plan.first.push_back(static_cast<int>(plan.starts.size()));
      if (!notes_[node].has_child) {
        plan.starts.push_back(begin);
        plan.ends.push_back(static_cast<int>(plan.nodes.size()));
      }
      plan.nodes.push_back(node);
    }
    // Children stand after their parents, so that the last strand comes up from them.
    for (int place = static_cast<int>(plan.nodes.size()) - 1; place >= from; --place) {
      const int node = plan.nodes[place];
      Note& note = notes_[node];
      note.last = std::max(note.last, plan.first[place] + 1);
      if (node == members.front()) continue;
      Note& parent = notes_[forest_.parents[node]];
      parent.last = std::max(parent.last, note.last);
    }
  }
  for (const int node : plan.nodes) {
    plan.last.push_back(notes_[node].last);
    if (notes_[node].cell >= 0) plan.known.push_back(notes_[node].cell);
  }
  return plan;
}

Portions::Portions(const Forest& forest, int sequences, int cells)
    : forest_(forest), sequences_(sequences), cells_(cells), order_(forest.depth_first()) {
  std::vector<char> has_child(order_.size(), 0);
  for (const int parent : forest.parents) {
    if (parent >= 0) has_child[parent] = 1;
  }
  // By place: how many nodes the path that goes through it adds until its end.
  until_end_.assign(order_.size() + 1, 0);
  for (std::size_t place = order_.size(); place-- > 0;) {
    until_end_[place] = 1 + (has_child[order_[place]] ? until_end_[place + 1] : 0);
  }
}

bool Portions::next(std::vector<int>& nodes) {
  if (place_ == order_.size()) return false;
  const int parent = forest_.parents[order_[place_]];
  nodes = parent < 0 ? std::vector<int>{} : forest_.path_to(parent);
  for (int ends = 0; place_ < order_.size();) {
    const bool ended = until_end_[place_] == 1;
    nodes.push_back(order_[place_++]);
    if (!ended) continue;
    ++ends;
    // The next path adds at most what lies before its own end.
    const int following = until_end_[place_];
    if (ends == sequences_ || static_cast<int>(nodes.size()) + following > cells_) break;
  }
  return true;
}

}  // namespace autocog
