// All token sequences of one call, merged to a tree from the start of the sequence.
//
// C++ counterpart of autocog_core/toolkit/prefix_forest.py, with the same order of nodes and the
// same counts.

#pragma once

#include <cstdint>
#include <vector>

namespace autocog {

class PrefixForest {
 public:
  explicit PrefixForest(int queries) : evaluated(queries, 0) {}

  std::vector<std::int32_t> tokens;
  std::vector<int> parents;      // -1 for a first token
  std::vector<int> first_query;  // the query that added the node
  std::vector<char> needs_row;   // whether the distribution after the node is needed
  std::vector<int> evaluated;    // tokens evaluated so far, by query

  int size() const { return static_cast<int>(tokens.size()); }

  // The node of `token` after `node`, added if it is new.
  int add_child(int node, std::int32_t token, int query);

  // The last node of a sequence from the start; adds the new nodes.
  int add_path(const std::vector<std::int32_t>& sequence, int query);

  // The nodes from the start to `node`.
  std::vector<int> path_to(int node) const;

  // All nodes in depth-first order.
  std::vector<int> depth_first() const;

  // Count nodes as evaluated for the queries that added them.
  void count_evaluated(const std::vector<int>& nodes);

 private:
  void grow();

  // Hash table with open addressing: node + 1 by (parent, token); 0 for an empty slot.
  std::vector<int> slots_;
  // The last added path: a shared beginning needs no lookup.
  std::vector<std::int32_t> last_sequence_;
  std::vector<int> last_nodes_;
};

}  // namespace autocog
