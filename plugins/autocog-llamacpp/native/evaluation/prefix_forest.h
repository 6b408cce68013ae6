// All token sequences that one call needs, as one tree from the start of the sequence.
//
// C++ counterpart of autocog_core/toolkit/prefix_forest.py: nodes are numbered in the same order, and counted alike.

#pragma once

#include <cstdint>
#include <vector>

namespace autocog {

class Forest {
 public:
  explicit Forest(int owners) : evaluated(owners, 0) {}

  std::vector<std::int32_t> tokens;
  std::vector<int> parents;  // -1 for a first token
  std::vector<int> owners;   // the query that first needed a node
  std::vector<char> wanted;  // whether the distribution after a node is needed
  std::vector<int> evaluated;

  int size() const { return static_cast<int>(tokens.size()); }

  // The node of `token` after `node`, made if it is new.
  int child(int node, std::int32_t token, int owner);

  // The last node of a sequence from the start, its nodes made where they are new.
  int path(const std::vector<std::int32_t>& sequence, int owner);

  // The nodes from the start to `node`.
  std::vector<int> path_to(int node) const;

  // All nodes such that every subtree stands together.
  std::vector<int> depth_first() const;

  // Book nodes as evaluated, on their owners.
  void count(const std::vector<int>& nodes);

 private:
  void grow();

  // Open addressing: node + 1 by (parent, token); 0 is a free place.
  std::vector<int> places_;
  // The last path that was entered: what begins like it needs no look-up.
  std::vector<std::int32_t> last_sequence_;
  std::vector<int> last_nodes_;
};

}  // namespace autocog
