#include "evaluation/prefix_forest.h"

#include <algorithm>

namespace autocog {

namespace {

std::size_t mix(int node, std::int32_t token) {
  std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(node)) << 32) |
                      static_cast<std::uint32_t>(token);
  // The finalizer of MurmurHash3 (Austin Appleby, public domain).
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccdULL;
  key ^= key >> 33;
  return static_cast<std::size_t>(key);
}

}  // namespace

int PrefixForest::add_child(int node, std::int32_t token, int query) {
  if (2 * (tokens.size() + 1) > slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = mix(node, token) & mask;
  while (slots_[slot] != 0) {
    const int child = slots_[slot] - 1;
    if (parents[child] == node && tokens[child] == token) return child;
    slot = (slot + 1) & mask;
  }
  slots_[slot] = size() + 1;
  tokens.push_back(token);
  parents.push_back(node);
  first_query.push_back(query);
  needs_row.push_back(0);
  return size() - 1;
}

int PrefixForest::add_path(const std::vector<std::int32_t>& sequence, int query) {
  const std::size_t length = std::min(sequence.size(), last_sequence_.size());
  const std::size_t shared = static_cast<std::size_t>(
      std::mismatch(sequence.begin(), sequence.begin() + length, last_sequence_.begin()).first -
      sequence.begin());
  last_nodes_.resize(shared);
  int node = shared > 0 ? last_nodes_.back() : -1;
  for (std::size_t i = shared; i < sequence.size(); ++i) {
    node = add_child(node, sequence[i], query);
    last_nodes_.push_back(node);
  }
  last_sequence_ = sequence;
  return node;
}

std::vector<int> PrefixForest::path_to(int node) const {
  std::vector<int> path;
  for (; node >= 0; node = parents[node]) path.push_back(node);
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<int> PrefixForest::depth_first() const {
  // Children by node + 1, the first tokens at 0, by counting sort.
  std::vector<int> begin(tokens.size() + 2, 0);
  for (const int parent : parents) ++begin[parent + 2];
  for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  std::vector<int> next(begin.begin(), begin.end() - 1);
  std::vector<int> children(tokens.size());
  for (int node = 0; node < size(); ++node) children[next[parents[node] + 1]++] = node;

  std::vector<int> order;
  order.reserve(tokens.size());
  std::vector<int> stack;
  const auto push = [&](int node) {
    for (int i = begin[node + 2] - 1; i >= begin[node + 1]; --i) stack.push_back(children[i]);
  };
  push(-1);
  while (!stack.empty()) {
    const int node = stack.back();
    stack.pop_back();
    order.push_back(node);
    push(node);
  }
  return order;
}

void PrefixForest::count_evaluated(const std::vector<int>& nodes) {
  for (const int node : nodes) ++evaluated[first_query[node]];
}

void PrefixForest::grow() {
  slots_.assign(std::max<std::size_t>(64, 2 * slots_.size()), 0);
  const std::size_t mask = slots_.size() - 1;
  for (int node = 0; node < size(); ++node) {
    std::size_t slot = mix(parents[node], tokens[node]) & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = node + 1;
  }
}

}  // namespace autocog
