// Recurrent and hybrid models: their memory is a state, which can be copied but not rewound.
//
// C++ counterpart of llama/recurrent.py: branches are decoded one by one, each from a copy of the state
// where it forks.

#include <algorithm>
#include <list>
#include <map>

#include "evaluation/evaluator.h"
#include "llama/errors.h"

namespace autocog {

namespace {

constexpr int kNone = -1;

bool begins_with(const Tokens& tokens, const Tokens& beginning) {
  return beginning.size() <= tokens.size() &&
         std::equal(beginning.begin(), beginning.end(), tokens.begin());
}

class StateEvaluator final : public Evaluator {
 public:
  explicit StateEvaluator(Context& context) : Evaluator(context) { reset(); }

  void evaluate(Forest& forest, const Sink& sink) override {
    settle();
    sure_ = false;
    branches(forest, sink);
    sure_ = true;
  }

  std::vector<float> open(const Tokens& tokens, int count, std::vector<int>& handles) override {
    settle();
    lent = true;
    std::vector<float> row = row_after(*this, tokens, context_.limits.width);
    sure_ = false;
    int source = kNone;
    for (const State& state : states_) {
      if (state.tokens == tokens) source = state.sequence;
    }
    for (int i = 0; i < count; ++i) handles.push_back(copy(source, tokens));
    sure_ = true;
    return row;
  }

  void release(const std::vector<int>& handles, const std::vector<Tokens>&) override {
    settle(true);
    sure_ = false;
    for (const int handle : handles) {
      const auto found = held_.find(handle);
      if (found == held_.end()) continue;
      states_.push_back(State{handle, std::move(found->second)});
      held_.erase(found);
    }
    sure_ = true;
  }

  void forget() override {
    sure_ = false;
    reset();
    context_.clear();
    sure_ = true;
  }

  std::vector<int> lengths() const override {
    std::vector<int> found(context_.limits.sequences, 0);
    for (const State& state : states_) found[state.sequence] = static_cast<int>(state.tokens.size());
    for (const auto& [sequence, tokens] : held_) found[sequence] = static_cast<int>(tokens.size());
    return found;
  }

  int held() const override { return static_cast<int>(held_.size()); }

  int together(int fitting) const override {
    const Limits& limits = context_.limits;
    return std::max(1, std::min({limits.sequences - 2, limits.rows, fitting}));
  }

 private:
  int length_of(int handle) const override {
    const auto found = held_.find(handle);
    return found == held_.end() ? kNone : static_cast<int>(found->second.size());
  }

  void prepare_step(int count) override { make_room(count); }

  void take_step(const std::vector<int>& handles, const Tokens& tokens) override {
    for (std::size_t i = 0; i < handles.size(); ++i) held_[handles[i]].push_back(tokens[i]);
  }

  // All tokens that a kept sequence has seen.
  struct State {
    int sequence;
    Tokens tokens;
  };

  void reset() {
    free_.clear();
    for (int each = context_.limits.sequences - 1; each >= 0; --each) free_.push_back(each);
    states_.clear();
    held_.clear();
  }

  std::list<State>::iterator find_state(int sequence) {
    return std::find_if(states_.begin(), states_.end(),
                        [&](const State& state) { return state.sequence == sequence; });
  }

  void branches(Forest& forest, const Sink& sink) {
    const auto count = static_cast<std::size_t>(forest.size());
    // Branches below each node that are still to come: of what was decoded, only states at forks
    // above are needed again.
    std::vector<int> left(count, 0);
    for (const int parent : forest.parents) {
      if (parent >= 0) ++left[parent];
    }
    std::vector<int> ends;
    for (const int node : forest.depth_first()) {
      if (left[node] == 0) ends.push_back(node);
    }
    std::map<int, int> forks;
    std::vector<char> unread = forest.wanted;
    int longest = 0;
    for (const int end : ends) {
      const std::vector<int> path = forest.path_to(end);
      const auto size = static_cast<int>(path.size());
      int first = 0;
      while (first < size && !unread[path[first]]) ++first;
      if (first == size) {
        // Its distribution was known already.
        leave(forest, forks, left, end);
        continue;
      }
      longest = std::max(longest, size);
      Tokens tokens;
      for (const int node : path) tokens.push_back(forest.tokens[node]);
      make_room(longest);
      int begin = 0;
      const int strand = start(forks, path, tokens, first, begin);
      // Kept for later calls: the state before the first row that this one reads. A state cannot
      // be rewound, and later calls will read there as well.
      for (int place = begin; place < size; ++place) {
        const bool keeps = place == first && first > begin;
        const bool after_fork = place > 0 && left[path[place - 1]] > 1;
        // A fork before `begin` was held when it was decoded.
        if (!(keeps || (after_fork && place > begin))) continue;
        decode(forest, path, tokens, begin, place, strand, unread, sink);
        begin = place;
        const Tokens so_far(tokens.begin(), tokens.begin() + place);
        if (after_fork) {
          hold_fork(forks, path[place - 1], strand, so_far);
        } else {
          keep(strand, so_far);
        }
      }
      decode(forest, path, tokens, begin, size, strand, unread, sink);
      if (ends.size() == 1) {
        states_.push_back(State{strand, std::move(held_[strand])});
        held_.erase(strand);
      } else {
        remove(strand);
      }
      leave(forest, forks, left, end);
    }
  }

  // A new strand with the longest state that this path may go on from, and its length.
  int start(const std::map<int, int>& forks, const std::vector<int>& path, const Tokens& tokens,
            int first, int& length) {
    // What is still to be read must be decoded.
    const int limit = first;
    int best = kNone;
    length = 0;
    for (int place = std::min(limit, static_cast<int>(path.size()) - 1); place > 0; --place) {
      const auto found = forks.find(path[place - 1]);
      if (found != forks.end()) {
        best = found->second;
        length = place;
        break;
      }
    }
    for (const State& state : states_) {
      const auto seen = static_cast<int>(state.tokens.size());
      if (length < seen && seen <= limit && begins_with(tokens, state.tokens)) {
        best = state.sequence;
        length = seen;
      }
    }
    const auto used = find_state(best);
    // Used just now: it goes to the end of the line.
    if (used != states_.end()) states_.splice(states_.end(), states_, used);
    return copy(best, Tokens(tokens.begin(), tokens.begin() + length));
  }

  // Decode path[begin:end] on a strand, and read what is wanted there.
  void decode(Forest& forest, const std::vector<int>& path, const Tokens& tokens, int begin,
              int end, int strand, std::vector<char>& unread, const Sink& sink) {
    if (begin >= end) return;
    Batch batch;
    const auto count = static_cast<std::size_t>(end - begin);
    batch.sequences = {strand};
    batch.first.assign(count, 0);
    batch.last.assign(count, 1);
    for (int place = begin; place < end; ++place) {
      batch.tokens.push_back(tokens[place]);
      batch.positions.push_back(place);
      batch.wanted.push_back(unread[path[place]]);
    }
    for (std::size_t from = 0; from < count;) {
      const std::size_t to = from + context_.fitting(batch, from);
      const float* logits = context_.decode(batch, from, to);
      held_[strand].assign(tokens.begin(), tokens.begin() + begin + to);
      const std::vector<int> nodes(path.begin() + begin + from, path.begin() + begin + to);
      forest.count(nodes);
      std::vector<int> read;
      for (const int node : nodes) {
        if (unread[node]) read.push_back(node);
      }
      if (!read.empty()) {
        sink(read, logits);
        for (const int node : read) unread[node] = 0;
      }
      from = to;
    }
  }

  // Count down the branches above `end`; a fork without any left is given up.
  void leave(const Forest& forest, std::map<int, int>& forks, std::vector<int>& left, int end) {
    for (int node = forest.parents[end]; node >= 0; node = forest.parents[node]) {
      if (--left[node] > 0) break;
      const auto found = forks.find(node);
      if (found != forks.end()) {
        const int sequence = found->second;
        forks.erase(found);
        remove(sequence);
      }
    }
  }

  void hold_fork(std::map<int, int>& forks, int node, int strand, const Tokens& tokens) {
    // One strand must remain free; without a held state its branches start further up.
    if (forks.count(node) == 0 && (!free_.empty() || !states_.empty())) {
      forks[node] = copy(strand, tokens);
    }
  }

  void keep(int strand, const Tokens& tokens) {
    const bool known = std::any_of(states_.begin(), states_.end(),
                                   [&](const State& state) { return state.tokens == tokens; });
    if (!known && (!free_.empty() || !states_.empty())) {
      const int made = copy(strand, tokens);
      states_.push_back(State{made, std::move(held_[made])});
      held_.erase(made);
    }
  }

  // A held sequence with the state of another (none: of nothing).
  int copy(int source, const Tokens& tokens) {
    if (free_.empty()) {
      const auto oldest =
          std::find_if(states_.begin(), states_.end(),
                       [&](const State& state) { return state.sequence != source; });
      if (oldest == states_.end()) return take_over(source, tokens);
      remove(oldest->sequence);
    }
    const int strand = free_.back();
    free_.pop_back();
    if (source != kNone) context_.copy(source, strand, -1);
    held_[strand] = tokens;
    return strand;
  }

  int take_over(int source, const Tokens& tokens) {
    const auto found = find_state(source);
    if (found == states_.end()) {
      throw Refused("all sequences are in use", "give a larger n_seq_max");
    }
    states_.erase(found);
    held_[source] = tokens;
    return source;
  }

  void remove(int sequence) {
    context_.remove(sequence);
    const auto found = find_state(sequence);
    if (found != states_.end()) states_.erase(found);
    held_.erase(sequence);
    free_.push_back(sequence);
  }

  // Drop kept states until a path of `length` tokens surely has cells (of hybrid models).
  void make_room(int length) {
    std::size_t held = 0;
    for (const auto& [sequence, tokens] : held_) held += tokens.size();
    while (!states_.empty()) {
      std::size_t kept = 0;
      for (const State& state : states_) kept += state.tokens.size();
      if (held + kept + length <= static_cast<std::size_t>(context_.limits.cells)) return;
      remove(states_.front().sequence);
    }
  }

  std::vector<int> free_;
  // Kept states; that used last is last.
  std::list<State> states_;
  // Sequences in use, with their tokens: strands, forks of the current call, those of a completion.
  std::map<int, Tokens> held_;
};

}  // namespace

std::unique_ptr<Evaluator> make_state_evaluator(Context& context) {
  return std::make_unique<StateEvaluator>(context);
}

}  // namespace autocog
