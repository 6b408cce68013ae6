#include "plan.h"

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

Plan make_plan(const Forest& forest, const std::vector<int>& nodes,
               const std::vector<char>& unread, const CellTree& tree, bool apart) {
  constexpr int kNone = -1;
  std::vector<int> cells(forest.size(), kNone);
  std::vector<int> top(forest.size(), kNone);  // the first node of a decoded node's component
  std::vector<int> component(forest.size(), kNone);
  std::vector<std::vector<int>> components;
  const auto above = [&](int node) {
    const int parent = forest.parents[node];
    return parent < 0 ? CellTree::kRoot : cells[parent];
  };
  for (const int node : nodes) {
    const int parent = forest.parents[node];
    const int from = above(node);
    const int cell = from < 0 || apart ? kNone : tree.child(from, forest.tokens[node]);
    if (cell >= 0) cells[node] = cell;
    // What is in memory and not asked for is not decoded. The rest falls into components that hang
    // together, for a path may pass through what is in memory between two of them.
    if (cell < 0 || unread[node]) {
      const bool inside = parent >= 0 && top[parent] >= 0;
      top[node] = inside ? top[parent] : node;
      if (!inside) {
        component[node] = static_cast<int>(components.size());
        components.emplace_back();
      }
      components[component[top[node]]].push_back(node);
    }
  }

  Plan plan;
  std::vector<int> last(forest.size(), 0);
  std::vector<char> has_child(forest.size(), 0);
  for (const auto& members : components) {
    const int begin = above(members.front());
    for (const int node : members) {
      const int parent = forest.parents[node];
      if (parent >= 0) has_child[parent] = 1;
    }
    const auto from = static_cast<int>(plan.nodes.size());
    for (const int node : members) {
      plan.first.push_back(static_cast<int>(plan.starts.size()));
      if (!has_child[node]) {
        plan.starts.push_back(begin);
        plan.ends.push_back(static_cast<int>(plan.nodes.size()));
      }
      plan.nodes.push_back(node);
    }
    // Children stand after their parents, so that the last strand comes up from them.
    for (int place = static_cast<int>(plan.nodes.size()) - 1; place >= from; --place) {
      const int node = plan.nodes[place];
      last[node] = std::max(last[node], plan.first[place] + 1);
      const int parent = forest.parents[node];
      if (node != members.front()) last[parent] = std::max(last[parent], last[node]);
    }
  }
  for (const int node : plan.nodes) {
    plan.last.push_back(last[node]);
    if (cells[node] >= 0) plan.known.push_back(cells[node]);
  }
  return plan;
}

std::vector<std::vector<int>> portions(const Forest& forest, int sequences, int cells) {
  const std::vector<int> order = forest.depth_first();
  const auto count = static_cast<int>(order.size());
  std::vector<char> has_child(order.size(), 0);
  for (const int parent : forest.parents) {
    if (parent >= 0) has_child[parent] = 1;
  }
  // By place: how many nodes the path that begins here adds until its end.
  std::vector<int> until_end(order.size() + 1, 0);
  for (int place = count - 1; place >= 0; --place) {
    until_end[place] = 1 + (has_child[order[place]] ? until_end[place + 1] : 0);
  }
  std::vector<std::vector<int>> found;
  std::vector<int> portion;
  int ends = 0;
  for (int place = 0; place < count; ++place) {
    portion.push_back(order[place]);
    if (has_child[order[place]]) continue;
    ++ends;
    // The next path adds at most what lies before its own end.
    const int following = until_end[place + 1];
    if (ends == sequences || static_cast<int>(portion.size()) + following > cells) {
      found.push_back(std::move(portion));
      ends = 0;
      portion = following ? forest.path_to(forest.parents[order[place + 1]]) : std::vector<int>{};
    }
  }
  if (ends) found.push_back(std::move(portion));
  return found;
}

}  // namespace autocog
