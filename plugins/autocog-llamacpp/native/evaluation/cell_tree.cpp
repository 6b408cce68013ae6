#include "evaluation/cell_tree.h"

#include <algorithm>
#include <stdexcept>

namespace autocog {

CellTree::CellTree(int sequences)
    : ends_(sequences, -1), last_use_(sequences, 0), is_shared_prefix_(sequences, 0) {
  cells_.push_back(Cell{-1, -1, 0, {}, {}});
  for (int sequence = sequences - 1; sequence >= 0; --sequence) {
    free_sequences_.push_back(sequence);
  }
}

int CellTree::child(int cell, std::int32_t token) const {
  const auto& children = cells_[cell].children;
  const auto entry = children.find(token);
  return entry == children.end() ? -1 : entry->second;
}

int CellTree::allocate() {
  if (free_sequences_.empty()) return -1;
  const int sequence = free_sequences_.back();
  free_sequences_.pop_back();
  return sequence;
}

int CellTree::any_sequence_through(int cell) const {
  while (cells_[cell].ends.empty()) {
    const auto& children = cells_[cell].children;
    if (children.empty()) throw std::logic_error("a cell without a sequence");
    cell = children.begin()->second;
  }
  return cells_[cell].ends.front();
}

std::vector<int> CellTree::sequences_through(int cell) const {
  std::vector<int> sequences;
  std::vector<int> stack{cell};
  while (!stack.empty()) {
    const Cell& current = cells_[stack.back()];
    stack.pop_back();
    sequences.insert(sequences.end(), current.ends.begin(), current.ends.end());
    for (const auto& [token, child] : current.children) stack.push_back(child);
  }
  return sequences;
}

int CellTree::least_recently_used(const SequenceSet& keep) const {
  // First, branches that the last call did not use. Then shared prefixes: prompts, which later
  // calls may use again. Last, the branches of the last call.
  int shared_prefix = -1;
  int any = -1;
  for (const int sequence : order_) {
    if (keep.has(sequence)) continue;
    if (!is_shared_prefix_[sequence] && last_use_[sequence] < clock_ - 1) return sequence;
    if (is_shared_prefix_[sequence] && shared_prefix < 0) shared_prefix = sequence;
    if (any < 0) any = sequence;
  }
  return shared_prefix >= 0 ? shared_prefix : any;
}

int CellTree::append_cell(int cell, std::int32_t token) {
  int index;
  Cell appended{token, cell, cells_[cell].length + 1, {}, {}};
  if (free_cells_.empty()) {
    index = static_cast<int>(cells_.size());
    cells_.push_back(std::move(appended));
  } else {
    index = free_cells_.back();
    free_cells_.pop_back();
    cells_[index] = std::move(appended);
  }
  cells_[cell].children[token] = index;
  ++used_;
  return index;
}

void CellTree::move(int sequence, int cell, bool shared_prefix) {
  const int old = ends_[sequence];
  if (old != cell) cells_[cell].ends.push_back(sequence);
  ends_[sequence] = cell;
  erase(order_, sequence);
  order_.push_back(sequence);
  last_use_[sequence] = clock_;
  is_shared_prefix_[sequence] = shared_prefix;
  if (old >= 0 && old != cell) {
    erase(cells_[old].ends, sequence);
    prune(old);
  }
}

void CellTree::free(int sequence) {
  const int end = ends_[sequence];
  ends_[sequence] = -1;
  is_shared_prefix_[sequence] = 0;
  erase(order_, sequence);
  free_sequences_.push_back(sequence);
  if (end >= 0) {
    erase(cells_[end].ends, sequence);
    prune(end);
  }
}

// Free a cell and its ancestors while no sequence goes through them.
void CellTree::prune(int cell) {
  while (cell != kRoot && cells_[cell].children.empty() && cells_[cell].ends.empty()) {
    const int parent = cells_[cell].parent;
    auto& siblings = cells_[parent].children;
    const auto entry = siblings.find(cells_[cell].token);
    // A second evaluation of the token may have replaced this cell.
    if (entry != siblings.end() && entry->second == cell) siblings.erase(entry);
    --used_;
    free_cells_.push_back(cell);
    cell = parent;
  }
}

void CellTree::erase(std::vector<int>& from, int value) {
  const auto entry = std::find(from.begin(), from.end(), value);
  if (entry != from.end()) from.erase(entry);
}

}  // namespace autocog
