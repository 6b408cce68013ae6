// What one round of evaluation does: which nodes are decoded, on which sequences; and the rounds.
//
// C++ counterpart of llama/decode_plan.py and split_forest.py. A strand is a path that is decoded to its end on one
// sequence; it continues cells that are in memory already, or begins a sequence.

#pragma once

#include <vector>

#include "evaluation/cell_tree.h"
#include "evaluation/prefix_forest.h"

namespace autocog {

struct Plan {
  std::vector<int> nodes;        // to decode, each after its parent
  std::vector<int> first, last;  // node i belongs to the strands first[i] .. last[i] - 1
  std::vector<int> starts;       // for each strand, the cell that it continues
  std::vector<int> ends;         // for each strand, the place of its last node in `nodes`
  std::vector<int> known;        // cells of nodes that are decoded all the same

  // For each part that hangs together, the place where it first forks, if it does.
  std::vector<int> forks() const;
};

// Makes plans for the parts of one forest. What it notes by node is kept from part to part, so that
// a part costs what it has, and not what the forest has.
class Planner {
 public:
  explicit Planner(const Forest& forest);

  // nodes: in depth-first order, with all their ancestors. unread: what is to be read, by node.
  // apart: plan as if nothing were in memory.
  Plan plan(const std::vector<int>& nodes, const std::vector<char>& unread, const CellTree& tree,
            bool apart);

 private:
  struct Note {
    int cell = -1;
    int top = -1;  // the first node of the component that it is decoded in
    int component = -1;
    int last = 0;
    bool has_child = false;
  };

  const Forest& forest_;
  std::vector<Note> notes_;
};

// A forest in parts of at most so many paths and nodes, each some paths, whole.
class Portions {
 public:
  Portions(const Forest& forest, int sequences, int cells);

  // The next part, its nodes in depth-first order with all their ancestors; false after the last.
  bool next(std::vector<int>& nodes);

 private:
  const Forest& forest_;
  int sequences_;
  int cells_;
  std::vector<int> order_;
  std::vector<int> until_end_;
  std::size_t place_ = 0;
};

}  // namespace autocog
