#include "evaluation/cell_tree.h"

#include <algorithm>
#include <stdexcept>

namespace autocog {

CellTree::CellTree(int sequences)
    : ends_(sequences, -1), used_by_(sequences, 0), trunk_(sequences, 0) {
  cells_.push_back(Cell{-1, -1, 0, {}, {}});
  for (int sequence = sequences - 1; sequence >= 0; --sequence) free_.push_back(sequence);
}

int CellTree::child(int cell, std::int32_t token) const {
  const auto& children = cells_[cell].children;
  const auto found = children.find(token);
  return found == children.end() ? -1 : found->second;
}

int CellTree::take() {
  if (free_.empty()) return -1;
  const int sequence = free_.back();
  free_.pop_back();
  return sequence;
}

int CellTree::through(int cell) const {
  while (cells_[cell].ends.empty()) {
    const auto& children = cells_[cell].children;
    if (children.empty()) throw std::logic_error("a cell without a sequence");
    cell = children.begin()->second;
  }
  return cells_[cell].ends.front();
}

std::vector<int> CellTree::below(int cell) const {
  std::vector<int> found;
  std::vector<int> stack{cell};
  while (!stack.empty()) {
    const Cell& current = cells_[stack.back()];
    stack.pop_back();
    found.insert(found.end(), current.ends.begin(), current.ends.end());
    for (const auto& [token, child] : current.children) stack.push_back(child);
  }
  return found;
}

int CellTree::oldest(const Sequences& spared) const {
  // First the branches that calls before the last one have left, then the trunks from which calls
  // grew (prompts, that is, which may come again), then the last call's branches.
  int trunk = -1;
  int any = -1;
  for (const int sequence : order_) {
    if (spared.has(sequence)) continue;
    if (!trunk_[sequence] && used_by_[sequence] < call_ - 1) return sequence;
    if (trunk_[sequence] && trunk < 0) trunk = sequence;
    if (any < 0) any = sequence;
  }
  return trunk >= 0 ? trunk : any;
}

int CellTree::grow(int cell, std::int32_t token) {
  int made;
  Cell fresh{token, cell, cells_[cell].length + 1, {}, {}};
  if (unused_.empty()) {
    made = static_cast<int>(cells_.size());
    cells_.push_back(std::move(fresh));
  } else {
    made = unused_.back();
    unused_.pop_back();
    cells_[made] = std::move(fresh);
  }
  cells_[cell].children[token] = made;
  ++used_;
  return made;
}

void CellTree::move(int sequence, int cell, bool trunk) {
  const int old = ends_[sequence];
  if (old != cell) cells_[cell].ends.push_back(sequence);
  ends_[sequence] = cell;
  erase(order_, sequence);
  order_.push_back(sequence);
  used_by_[sequence] = call_;
  trunk_[sequence] = trunk;
  if (old >= 0 && old != cell) {
    erase(cells_[old].ends, sequence);
    prune(old);
  }
}

void CellTree::drop(int sequence) {
  const int end = ends_[sequence];
  ends_[sequence] = -1;
  trunk_[sequence] = 0;
  erase(order_, sequence);
  free_.push_back(sequence);
  if (end >= 0) {
    erase(cells_[end].ends, sequence);
    prune(end);
  }
}

void CellTree::prune(int cell) {
  while (cell != kRoot && cells_[cell].children.empty() && cells_[cell].ends.empty()) {
    const int parent = cells_[cell].parent;
    auto& siblings = cells_[parent].children;
    const auto found = siblings.find(cells_[cell].token);
    // A cell that was evaluated anew has taken the place of this one, and its token.
    if (found != siblings.end() && found->second == cell) siblings.erase(found);
    --used_;
    unused_.push_back(cell);
    cell = parent;
  }
}

void CellTree::erase(std::vector<int>& from, int value) {
  const auto found = std::find(from.begin(), from.end(), value);
  if (found != from.end()) from.erase(found);
}

}  // namespace autocog
