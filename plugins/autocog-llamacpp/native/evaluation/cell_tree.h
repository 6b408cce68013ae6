// What llama.cpp's KV cells hold, as a tree: llama.cpp itself cannot be asked.
//
// C++ counterpart of llama/cell_tree.py. Sequences that begin alike share cells; a cell lives as long as a
// sequence goes through it.

#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autocog {

// A set of sequence ids, of which there are at most a few hundred.
class Sequences {
 public:
  explicit Sequences(int most = 0) : in_(most, 0) {}
  void add(int sequence) { in_[sequence] = 1; }
  bool has(int sequence) const { return in_[sequence] != 0; }

 private:
  std::vector<char> in_;
};

class CellTree {
 public:
  static constexpr int kRoot = 0;

  explicit CellTree(int sequences);

  // How many cells are taken.
  int used() const { return used_; }
  int length(int cell) const { return cells_[cell].length; }
  // The cell of `token` after a cell; -1 if memory has none.
  int child(int cell, std::int32_t token) const;
  // How many sequences end at a cell.
  std::size_t ending(int cell) const { return cells_[cell].ends.size(); }

  // At which cell a sequence ends.
  int end(int sequence) const { return ends_[sequence]; }

  // All sequences in memory, that which was used last is last.
  const std::vector<int>& sequences() const { return order_; }
  // A sequence id that is free; -1 if there is none.
  int take();
  // Some sequence that goes through a cell, by preference one that ends there.
  int through(int cell) const;
  // All of them.
  std::vector<int> below(int cell) const;

  // From now on sequences are used by another call.
  void next_call() { ++call_; }
  // The sequence that will be missed least, but none of `spared`; -1 if all are.
  int oldest(const Sequences& spared) const;

  // A new cell after `cell`; it lives once a sequence ends at or below it.
  int grow(int cell, std::int32_t token);
  // Let a sequence end at a cell from now on, and be the one used last.
  void move(int sequence, int cell, bool trunk = false);
  // Forget a sequence, and give its id back.
  void drop(int sequence);

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
  std::vector<int> unused_;  // cells to be taken again
  int used_ = 0;
  std::vector<int> free_;
  std::vector<int> order_;
  std::vector<int> ends_;
  std::vector<int> used_by_;
  std::vector<char> trunk_;
  int call_ = 0;
};

}  // namespace autocog
