// Recurrent and hybrid models: their memory is a state, which can be copied but not rewound.
//
// C++ counterpart of llama/recurrent.py. It decodes branches one by one, each from a copy of the
// state at its fork.

#include <algorithm>
#include <list>
#include <map>

#include "evaluation/evaluator.h"
#include "llama/errors.h"

namespace autocog {

namespace {

constexpr int kNone = -1;

bool starts_with(const Tokens& tokens, const Tokens& prefix) {
  return prefix.size() <= tokens.size() &&
         std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

class RecurrentEvaluator final : public Evaluator {
 public:
  explicit RecurrentEvaluator(Context& context) : Evaluator(context) { reset(); }

  void evaluate(PrefixForest& forest, const Sink& sink) override {
    recover();
    consistent_ = false;
    evaluate_branches(forest, sink);
    consistent_ = true;
  }

  std::vector<float> start(const Tokens& tokens, int count, std::vector<int>& handles) override {
    recover();
    in_use = true;
    std::vector<float> row = logits_after(*this, tokens, context_.limits.width);
    consistent_ = false;
    int source = kNone;
    for (const State& state : states_) {
      if (state.tokens == tokens) source = state.sequence;
    }
    for (int i = 0; i < count; ++i) handles.push_back(copy(source, tokens));
    consistent_ = true;
    return row;
  }

  void finish(const std::vector<int>& handles, const std::vector<Tokens>&) override {
    recover(true);
    consistent_ = false;
    for (const int handle : handles) {
      if (held_.count(handle) != 0) keep_state(handle);
    }
    consistent_ = true;
  }

  void clear() override {
    consistent_ = false;
    isolated_start_.reset();
    reset();
    context_.clear();
    consistent_ = true;
  }

  std::vector<int> sequence_lengths() const override {
    std::vector<int> lengths(context_.limits.sequences, 0);
    for (const State& state : states_) {
      lengths[state.sequence] = static_cast<int>(state.tokens.size());
    }
    for (const auto& [sequence, tokens] : held_) {
      lengths[sequence] = static_cast<int>(tokens.size());
    }
    return lengths;
  }

  int active_sequences() const override { return static_cast<int>(held_.size()); }

  int max_parallel(int fitting) const override {
    const Limits& limits = context_.limits;
    return std::max(1, std::min({limits.sequences - 2, limits.rows, fitting}));
  }

 private:
  // A cached state: a sequence and its tokens.
  struct State {
    int sequence;
    Tokens tokens;
  };

  bool keep_only(const Tokens& tokens) override {
    consistent_ = false;
    std::vector<int> removed;
    for (const State& state : states_) {
      if (state.tokens != tokens) removed.push_back(state.sequence);
    }
    for (const int sequence : removed) remove(sequence);
    consistent_ = true;
    return states_.size() == (tokens.empty() ? 0 : 1);
  }

  int length_of(int handle) const override {
    const auto entry = held_.find(handle);
    return entry == held_.end() ? kNone : static_cast<int>(entry->second.size());
  }

  void make_step_room(int count) override { make_room(count); }

  void record_step(const std::vector<int>& handles, const Tokens& tokens) override {
    for (std::size_t i = 0; i < handles.size(); ++i) held_[handles[i]].push_back(tokens[i]);
  }

  void reset() {
    free_.clear();
    for (int sequence = context_.limits.sequences - 1; sequence >= 0; --sequence) {
      free_.push_back(sequence);
    }
    states_.clear();
    held_.clear();
  }

  std::list<State>::iterator find_state(int sequence) {
    return std::find_if(states_.begin(), states_.end(),
                        [&](const State& state) { return state.sequence == sequence; });
  }

  void evaluate_branches(PrefixForest& forest, const Sink& sink) {
    // By node: branches below it that are not decoded yet. In depth-first order, only the states
    // at forks of the current path are needed again.
    std::vector<int> branches_left(forest.size(), 0);
    for (const int parent : forest.parents) {
      if (parent >= 0) ++branches_left[parent];
    }
    std::vector<int> ends;
    for (const int node : forest.depth_first()) {
      if (branches_left[node] == 0) ends.push_back(node);
    }
    std::map<int, int> forks;
    std::vector<char> unread = forest.needs_row;
    int longest = 0;
    for (const int end : ends) {
      const std::vector<int> path = forest.path_to(end);
      const auto size = static_cast<int>(path.size());
      int first_unread = 0;
      while (first_unread < size && !unread[path[first_unread]]) ++first_unread;
      if (first_unread < size) {
        longest = std::max(longest, size);
        make_room(longest);
        const int sequence =
            evaluate_path(forest, path, first_unread, forks, branches_left, unread, sink);
        if (ends.size() == 1) {
          keep_state(sequence);
        } else {
          remove(sequence);
        }
      }
      leave_path(forest, forks, branches_left, end);
    }
  }

  // Decode a path on a new sequence, and cache the states that branches or later calls continue.
  // Returns the sequence.
  int evaluate_path(PrefixForest& forest, const std::vector<int>& path, int first_unread,
                    std::map<int, int>& forks, const std::vector<int>& branches_left,
                    std::vector<char>& unread, const Sink& sink) {
    const auto size = static_cast<int>(path.size());
    Tokens tokens;
    for (const int node : path) tokens.push_back(forest.tokens[node]);
    int begin = 0;
    const int sequence = start_path(forks, path, tokens, first_unread, begin);
    for (int i = begin; i < size; ++i) {
      // A state cannot be rewound: later calls that read the same row need the state before it.
      const bool before_first_read = i == first_unread && first_unread > begin;
      // A fork before `begin` has its state already.
      const bool after_fork = i > begin && branches_left[path[i - 1]] > 1;
      if (!before_first_read && !after_fork) continue;
      decode(forest, path, tokens, begin, i, sequence, unread, sink);
      begin = i;
      const Tokens prefix(tokens.begin(), tokens.begin() + i);
      if (after_fork) {
        hold_fork(forks, path[i - 1], sequence, prefix);
      } else {
        cache_state(sequence, prefix);
      }
    }
    decode(forest, path, tokens, begin, size, sequence, unread, sink);
    return sequence;
  }

  // A new sequence with the longest state that the path can continue; sets `length` to its length.
  // limit: the first node to read, which must be decoded.
  int start_path(const std::map<int, int>& forks, const std::vector<int>& path,
                 const Tokens& tokens, int limit, int& length) {
    int source = kNone;
    length = 0;
    for (int i = std::min(limit, static_cast<int>(path.size()) - 1); i > 0; --i) {
      const auto fork = forks.find(path[i - 1]);
      if (fork != forks.end()) {
        source = fork->second;
        length = i;
        break;
      }
    }
    for (const State& state : states_) {
      const auto size = static_cast<int>(state.tokens.size());
      if (length < size && size <= limit && starts_with(tokens, state.tokens)) {
        source = state.sequence;
        length = size;
      }
    }
    const auto used = find_state(source);
    if (used != states_.end()) states_.splice(states_.end(), states_, used);
    return copy(source, Tokens(tokens.begin(), tokens.begin() + length));
  }

  // Decode path[begin:end] on a sequence, and read the rows that are needed.
  void decode(PrefixForest& forest, const std::vector<int>& path, const Tokens& tokens, int begin,
              int end, int sequence, std::vector<char>& unread, const Sink& sink) {
    if (begin >= end) return;
    Batch batch;
    const auto count = static_cast<std::size_t>(end - begin);
    batch.sequences = {sequence};
    batch.first.assign(count, 0);
    batch.last.assign(count, 1);
    for (int i = begin; i < end; ++i) {
      batch.tokens.push_back(tokens[i]);
      batch.positions.push_back(i);
      batch.needs_logits.push_back(unread[path[i]]);
    }
    for (std::size_t from = 0; from < count;) {
      const std::size_t to = from + context_.next_batch_size(batch, from);
      const float* logits = context_.decode(batch, from, to);
      held_[sequence].assign(tokens.begin(), tokens.begin() + begin + to);
      const std::vector<int> nodes(path.begin() + begin + from, path.begin() + begin + to);
      forest.count_evaluated(nodes);
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

  // Count down the branches above `end`, and remove the states of forks without more branches.
  void leave_path(const PrefixForest& forest, std::map<int, int>& forks,
                  std::vector<int>& branches_left, int end) {
    for (int node = forest.parents[end]; node >= 0; node = forest.parents[node]) {
      if (--branches_left[node] > 0) break;
      const auto fork = forks.find(node);
      if (fork != forks.end()) {
        const int sequence = fork->second;
        forks.erase(fork);
        remove(sequence);
      }
    }
  }

  void hold_fork(std::map<int, int>& forks, int node, int sequence, const Tokens& tokens) {
    // One sequence must remain free. Without a state here, branches start further up.
    if (forks.count(node) == 0 && (!free_.empty() || !states_.empty())) {
      forks[node] = copy(sequence, tokens);
    }
  }

  void cache_state(int sequence, const Tokens& tokens) {
    const bool is_cached = std::any_of(states_.begin(), states_.end(), [&](const State& state) {
      return state.tokens == tokens;
    });
    if (!is_cached && (!free_.empty() || !states_.empty())) keep_state(copy(sequence, tokens));
  }

  // Turn a held sequence into a cached state.
  void keep_state(int sequence) {
    const auto entry = held_.find(sequence);
    states_.push_back(State{sequence, std::move(entry->second)});
    held_.erase(entry);
  }

  // A held sequence with a copy of the state of `source` (kNone: empty).
  int copy(int source, const Tokens& tokens) {
    if (free_.empty()) {
      const auto oldest = std::find_if(states_.begin(), states_.end(), [&](const State& state) {
        return state.sequence != source;
      });
      if (oldest == states_.end()) return take_over(source, tokens);
      remove(oldest->sequence);
    }
    const int sequence = free_.back();
    free_.pop_back();
    if (source != kNone) context_.copy(source, sequence, -1);
    held_[sequence] = tokens;
    return sequence;
  }

  // Hold the cached state `source` itself, without a copy.
  int take_over(int source, const Tokens& tokens) {
    const auto state = find_state(source);
    if (state == states_.end()) {
      throw RequestError("all sequences are in use", "give a larger n_seq_max");
    }
    states_.erase(state);
    held_[source] = tokens;
    return source;
  }

  void remove(int sequence) {
    context_.remove(sequence);
    const auto state = find_state(sequence);
    if (state != states_.end()) states_.erase(state);
    held_.erase(sequence);
    free_.push_back(sequence);
  }

  // Remove cached states until the cells surely hold `length` more tokens (hybrid models).
  void make_room(int length) {
    std::size_t held = 0;
    for (const auto& [sequence, tokens] : held_) held += tokens.size();
    while (!states_.empty()) {
      std::size_t cached = 0;
      for (const State& state : states_) cached += state.tokens.size();
      if (held + cached + length <= static_cast<std::size_t>(context_.limits.cells)) return;
      remove(states_.front().sequence);
    }
  }

  std::vector<int> free_;
  // Cached states, least recently used first.
  std::list<State> states_;
  // Sequences in use, with their tokens: the current path, its forks, and those of a completion.
  std::map<int, Tokens> held_;
};

}  // namespace

std::unique_ptr<Evaluator> make_recurrent_evaluator(Context& context) {
  return std::make_unique<RecurrentEvaluator>(context);
}

}  // namespace autocog
