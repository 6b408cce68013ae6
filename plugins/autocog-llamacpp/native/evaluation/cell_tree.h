// The tokens in llama.cpp's KV cells, as a tree. llama.cpp has no function to read them.
//
// C++ counterpart of llama/cell_tree.py. Sequences with a common prefix share cells. A cell exists
// while a sequence goes through it.

#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autocog {

// A set of sequence ids.
class SequenceSet {
 public:
  explicit SequenceSet(int size = 0) : contains_(size, 0) {}
  void add(int sequence) { contains_[sequence] = 1; }
  bool has(int sequence) const { return contains_[sequence] != 0; }

 private:
  std::vector<char> contains_;
};

class CellTree {
 public:
  static constexpr int kRoot = 0;

  explicit CellTree(int sequences);

  // The number of cells in use.
  int used() const { return used_; }
  int length(int cell) const { return cells_[cell].length; }
  // The cell of `token` after a cell; -1 if there is none.
  int child(int cell, std::int32_t token) const;
  // The number of sequences that end at a cell.
  std::size_t ending(int cell) const { return cells_[cell].ends.size(); }

  // The last cell of a sequence.
  int end(int sequence) const { return ends_[sequence]; }

  // All sequences in memory, least recently used first.
  const std::vector<int>& sequences() const { return order_; }
  // A free sequence id; -1 if there is none.
  int allocate();
  // A sequence through a cell, preferably one that ends there.
  int any_sequence_through(int cell) const;
  std::vector<int> sequences_through(int cell) const;

  // Start the next call: sequences that the call uses count as more recent.
  void advance_clock() { ++clock_; }
  // The sequence to evict, none of `keep`; -1 if there is none.
  int least_recently_used(const SequenceSet& keep) const;

  // A new cell after `cell`. A sequence must then be moved to it or below it.
  int append_cell(int cell, std::int32_t token);
  // Let a sequence end at a cell, and mark it as most recently used.
  // shared_prefix: whether several sequences continue it.
  void move(int sequence, int cell, bool shared_prefix = false);
  // Remove a sequence, and make its id free.
  void free(int sequence);

 private:
  struct Cell {
    std::int32_t token;
    int parent;
    int length;
    std::unordered_map<std::int32_t, int> children;
    std::vector<int> ends;
  };

  void prune(int cell);
  static void erase(std::vector<int>& from, int value);

  std::vector<Cell> cells_;
  std::vector<int> free_cells_;
  int used_ = 0;
  std::vector<int> free_sequences_;
  std::vector<int> order_;
  std::vector<int> ends_;
  std::vector<int> last_use_;
  std::vector<char> is_shared_prefix_;
  int clock_ = 0;
};

}  // namespace autocog
