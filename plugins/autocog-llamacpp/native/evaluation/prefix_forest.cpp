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

int Forest::child(int node, std::int32_t token, int owner) {
  if (2 * (tokens.size() + 1) > places_.size()) grow();
  const std::size_t mask = places_.size() - 1;
  std::size_t place = mix(node, token) & mask;
  while (places_[place] != 0) {
    const int found = places_[place] - 1;
    if (parents[found] == node && tokens[found] == token) return found;
    place = (place + 1) & mask;
  }
  places_[place] = size() + 1;
  tokens.push_back(token);
  parents.push_back(node);
  owners.push_back(owner);
  wanted.push_back(0);
  return size() - 1;
}

int Forest::path(const std::vector<std::int32_t>& sequence, int owner) {
  const std::size_t most = std::min(sequence.size(), last_sequence_.size());
  const std::size_t shared = static_cast<std::size_t>(
      std::mismatch(sequence.begin(), sequence.begin() + most, last_sequence_.begin()).first -
      sequence.begin());
  last_nodes_.resize(shared);
  int node = shared > 0 ? last_nodes_.back() : -1;
  for (std::size_t i = shared; i < sequence.size(); ++i) {
    node = child(node, sequence[i], owner);
    last_nodes_.push_back(node);
  }
  last_sequence_ = sequence;
  return node;
}

std::vector<int> Forest::path_to(int node) const {
  std::vector<int> found;
  for (; node >= 0; node = parents[node]) found.push_back(node);
  std::reverse(found.begin(), found.end());
  return found;
}

std::vector<int> Forest::depth_first() const {
  // Children of each node, the start's at 0, in order: counted, then filled in.
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

void Forest::count(const std::vector<int>& nodes) {
  for (const int node : nodes) ++evaluated[owners[node]];
}

void Forest::grow() {
  places_.assign(std::max<std::size_t>(64, 2 * places_.size()), 0);
  const std::size_t mask = places_.size() - 1;
  for (int node = 0; node < size(); ++node) {
    std::size_t place = mix(parents[node], tokens[node]) & mask;
    while (places_[place] != 0) place = (place + 1) & mask;
    places_[place] = node + 1;
  }
}

}  // namespace autocog
