// The plan of one decode: its nodes and their sequences. And the parts of a forest that fit into
// memory.
//
// C++ counterpart of llama/decode_plan.py and split_forest.py. Each planned sequence decodes one
// path to its end. It continues cached cells, or starts from nothing.

#pragma once

#include <vector>

#include "evaluation/cell_tree.h"
#include "evaluation/prefix_forest.h"

namespace autocog {

// Sequences have plan indices here: 0 .. starts.size() - 1.
struct DecodePlan {
  std::vector<int> nodes;           // to decode, each after its parent
  std::vector<int> first, last;     // node i belongs to the sequences first[i] .. last[i] - 1
  std::vector<int> starts;          // by sequence: the cell that it continues
  std::vector<int> ends;            // by sequence: the index in `nodes` of its last node
  std::vector<int> already_cached;  // cells of nodes that are decoded again for their logits

  // For each component that forks: the index in `nodes` of its first fork.
  std::vector<int> fork_nodes() const;
};

// Makes plans for the parts of one forest. Keeps its per-node state from part to part: the cost of
// a plan depends on the size of the part, not on the size of the forest.
class DecodePlanner {
 public:
  explicit DecodePlanner(const PrefixForest& forest);

  // nodes: in depth-first order, with all their ancestors.
  // unread: by node, whether its logits are needed.
  // ignore_cached: plan as if memory were empty.
  DecodePlan plan(const std::vector<int>& nodes, const std::vector<char>& unread,
                  const CellTree& tree, bool ignore_cached);

 private:
  struct NodeState {
    int cell = -1;
    int top = -1;  // the first node of its component
    int component = -1;
    int last = 0;
    bool has_child = false;
  };

  const PrefixForest& forest_;
  std::vector<NodeState> states_;
};

// Splits a forest into parts of whole paths, with limits on the number of paths and of nodes.
class ForestSplitter {
 public:
  ForestSplitter(const PrefixForest& forest, int sequences, int cells);

  // Get the next part: its nodes in depth-first order with all their ancestors. Returns false
  // after the last part.
  bool next(std::vector<int>& nodes);

 private:
  const PrefixForest& forest_;
  int sequences_;
  int cells_;
  std::vector<int> order_;
  std::vector<int> nodes_to_end_;
  std::size_t position_ = 0;
};

}  // namespace autocog
