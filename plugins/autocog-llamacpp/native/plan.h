// What one round of evaluation does: which nodes are decoded, on which sequences; and the rounds.
//
// The twin of plan.py and portions.py. A strand is a path that is decoded to its end on one
// sequence; it continues cells that are in memory already, or begins a sequence.

#pragma once

#include <utility>
#include <vector>

#include "cell_tree.h"
#include "forest.h"

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

// nodes: in depth-first order, with all their ancestors. unread: what is to be read, by node.
// apart: plan as if nothing were in memory.
Plan make_plan(const Forest& forest, const std::vector<int>& nodes,
               const std::vector<char>& unread, const CellTree& tree, bool apart);

// A forest in parts of at most so many paths and nodes, each some paths, whole.
std::vector<std::vector<int>> portions(const Forest& forest, int sequences, int cells);

}  // namespace autocog
