// Token trees by sets of sequences: one decode evaluates a whole tree, and its cells are cached.
//
// C++ counterpart of llama/attention.py, for models with attention.

#include <algorithm>
#include <map>
#include <stdexcept>

#include "evaluation/cell_tree.h"
#include "evaluation/decode_plan.h"
#include "evaluation/evaluator.h"
#include "llama/errors.h"

namespace autocog {

namespace {

constexpr int kNone = -1;

class AttentionEvaluator final : public Evaluator {
 public:
  explicit AttentionEvaluator(Context& context)
      : Evaluator(context), tree_(context.limits.sequences) {}

  void evaluate(PrefixForest& forest, const Sink& sink) override {
    recover();
    if (free_sequences() < 1) {
      throw RequestError("the running completion holds all sequences",
                         "give a larger n_seq_max, or call the model when it has ended");
    }
    consistent_ = false;
    tree_.advance_clock();
    std::vector<char> read(forest.size(), 0);
    try {
      evaluate_parts(forest, sink, read);
    } catch (const NoSlotError&) {
      // llama.cpp has fewer free cells than our bookkeeping: retry with an empty cache.
      free_inactive();
      evaluate_parts(forest, sink, read);
    }
    consistent_ = true;
  }

  std::vector<float> start(const Tokens& tokens, int count, std::vector<int>& handles) override {
    recover();
    if (!held_.empty()) {
      throw RequestError("the model is already completing a text", "wait until it ends");
    }
    in_use = true;
    std::vector<float> row = logits_after(*this, tokens, context_.limits.width);
    consistent_ = false;
    int cell = CellTree::kRoot;
    for (const auto token : tokens) {
      cell = tree_.child(cell, token);
      if (cell == kNone) throw std::logic_error("an evaluated token is not in memory");
    }
    const int first = tree_.any_sequence_through(cell);
    handles.push_back(first);
    held_[first] = 0;
    for (int i = 1; i < count; ++i) {
      const int handle = checked(new_sequence(held_set()));
      context_.copy(first, handle, tree_.length(cell));
      tree_.move(handle, cell);
      handles.push_back(handle);
      held_[handle] = 0;
    }
    consistent_ = true;
    return row;
  }

  void finish(const std::vector<int>& handles, const std::vector<Tokens>& texts) override {
    recover(true);
    consistent_ = false;
    for (std::size_t i = 0; i < handles.size() && i < texts.size(); ++i) {
      const auto entry = held_.find(handles[i]);
      if (entry == held_.end()) continue;
      const int evaluated = entry->second;
      held_.erase(entry);
      const auto count = std::min<std::size_t>(evaluated, texts[i].size());
      cache_text(handles[i], Tokens(texts[i].begin(), texts[i].begin() + count));
    }
    consistent_ = true;
  }

  void clear() override {
    consistent_ = false;
    isolated_start_.reset();
    tree_ = CellTree(context_.limits.sequences);
    held_.clear();
    context_.clear();
    consistent_ = true;
  }

  std::vector<int> sequence_lengths() const override {
    std::vector<int> lengths(context_.limits.sequences, 0);
    for (const int sequence : tree_.sequences()) {
      const auto entry = held_.find(sequence);
      lengths[sequence] =
          tree_.length(tree_.end(sequence)) + (entry == held_.end() ? 0 : entry->second);
    }
    return lengths;
  }

  int active_sequences() const override { return static_cast<int>(held_.size()); }

  int max_parallel(int fitting) const override {
    const Limits& limits = context_.limits;
    return std::max(1, std::min({limits.sequences, limits.rows, fitting}));
  }

 private:
  bool keep_only(const Tokens& tokens) override {
    int cell = CellTree::kRoot;
    for (const auto token : tokens) {
      cell = tree_.child(cell, token);
      if (cell == kNone) return false;
    }
    consistent_ = false;
    const int kept = tokens.empty() ? kNone : tree_.any_sequence_through(cell);
    const std::vector<int> all = tree_.sequences();
    for (const int sequence : all) {
      if (sequence != kept) free(sequence);
    }
    if (kept != kNone) {
      context_.truncate(kept, tree_.length(cell));
      tree_.move(kept, cell);
    }
    consistent_ = true;
    return kept == kNone || context_.is_whole(kept);
  }

  int length_of(int handle) const override {
    const auto entry = held_.find(handle);
    return entry == held_.end() ? kNone : tree_.length(tree_.end(handle)) + entry->second;
  }

  void make_step_room(int count) override { make_room(count, held_set()); }

  void record_step(const std::vector<int>& handles, const Tokens&) override {
    for (const int handle : handles) ++held_[handle];
  }

  static int checked(int sequence) {
    if (sequence == kNone) {
      throw RequestError("all sequences are in use", "give a larger n_seq_max");
    }
    return sequence;
  }

  int free_sequences() const {
    return context_.limits.sequences - static_cast<int>(held_.size());
  }

  SequenceSet held_set() const {
    SequenceSet held(context_.limits.sequences);
    for (const auto& [sequence, count] : held_) held.add(sequence);
    return held;
  }

  // Keep the text of a sequence that is no longer held, unless it is cached already.
  void cache_text(int handle, const Tokens& text) {
    int cell = tree_.end(handle);
    const bool is_cached = !text.empty() && tree_.child(cell, text.front()) >= 0;
    if (tree_.ending(cell) > 1 && (text.empty() || is_cached)) {
      // Another sequence holds the same cells.
      free(handle);
    } else if (is_cached) {
      context_.truncate(handle, tree_.length(cell));
    } else {
      for (const auto token : text) cell = tree_.append_cell(cell, token);
      tree_.move(handle, cell);
    }
  }

  // Free all sequences that no completion holds.
  void free_inactive() {
    const std::vector<int> all = tree_.sequences();
    for (const int sequence : all) {
      if (held_.count(sequence) == 0) free(sequence);
    }
  }

  void evaluate_parts(PrefixForest& forest, const Sink& sink, std::vector<char>& read) {
    DecodePlanner planner(forest);
    depths_.assign(forest.size(), kNone);
    cells_.assign(forest.size(), kNone);
    std::vector<char> unread(forest.size(), 0);
    std::vector<int> nodes;
    for (ForestSplitter parts(forest, free_sequences(), context_.limits.cells);
         parts.next(nodes);) {
      bool any = false;
      for (const int node : nodes) {
        unread[node] = forest.needs_row[node] && !read[node];
        any = any || unread[node];
      }
      if (!any) continue;
      bool ignore_cached = false;
      DecodePlan plan = make_usable_plan(planner, nodes, unread, ignore_cached);
      if (static_cast<int>(plan.starts.size()) > free_sequences()) {
        // The logits of many cached nodes are needed. From an empty memory, each path needs only
        // one sequence.
        free_inactive();
        plan = planner.plan(nodes, unread, tree_, true);
        ignore_cached = true;
      }
      evaluate_part(forest, plan, unread, sink, ignore_cached);
      for (const int node : nodes) {
        if (unread[node]) read[node] = 1;
      }
    }
  }

  // A plan that continues only complete sequences. Sets `ignore_cached` if it uses no cached cell.
  DecodePlan make_usable_plan(DecodePlanner& planner, const std::vector<int>& nodes,
                              const std::vector<char>& unread, bool& ignore_cached) {
    while (true) {
      DecodePlan plan = planner.plan(nodes, unread, tree_, false);
      std::vector<int> broken;
      int previous = kNone;
      for (const int start : plan.starts) {
        if (start == previous || start == CellTree::kRoot) continue;
        previous = start;
        const int source = tree_.any_sequence_through(start);
        const bool seen = std::find(broken.begin(), broken.end(), source) != broken.end();
        if (!seen && !context_.is_whole(source)) broken.push_back(source);
      }
      if (broken.empty()) return plan;
      for (const int source : broken) {
        if (held_.count(source) != 0) {
          // A completion holds it: it can be neither freed nor continued.
          ignore_cached = true;
          return planner.plan(nodes, unread, tree_, true);
        }
      }
      for (const int source : broken) free(source);
    }
  }

  void evaluate_part(PrefixForest& forest, const DecodePlan& plan, const std::vector<char>& unread,
                     const Sink& sink, bool ignore_cached) {
    const std::vector<int> sequences = assign_sequences(plan);
    SequenceSet needed = held_set();
    for (const int sequence : sequences) needed.add(sequence);
    const bool duplicated = free_duplicates(plan, needed) || ignore_cached;
    make_room(static_cast<int>(plan.nodes.size()), needed);
    decode(forest, plan, sequences, unread, sink);
    forest.count_evaluated(plan.nodes);
    commit(forest, plan, sequences, needed, duplicated);
  }

  // A sequence id for each sequence of the plan, with the cells that it continues.
  std::vector<int> assign_sequences(const DecodePlan& plan) {
    std::vector<int> sources;
    // By sequence: how many of the plan's sequences have yet to continue it.
    std::vector<int> waiting(context_.limits.sequences, 0);
    std::map<int, int> source_of;
    for (const int start : plan.starts) {
      int source = kNone;
      if (start != CellTree::kRoot) {
        const auto [entry, is_new] = source_of.try_emplace(start, kNone);
        if (is_new) entry->second = tree_.any_sequence_through(start);
        source = entry->second;
        ++waiting[source];
      }
      sources.push_back(source);
    }
    SequenceSet assigned = held_set();
    std::vector<int> sequences;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const int source = sources[i];
      if (source != kNone) --waiting[source];
      SequenceSet keep = assigned;
      for (int sequence = 0; sequence < context_.limits.sequences; ++sequence) {
        if (waiting[sequence] > 0) keep.add(sequence);
      }
      const int sequence = checked(continue_sequence(source, plan.starts[i], keep));
      tree_.move(sequence, plan.starts[i]);
      assigned.add(sequence);
      sequences.push_back(sequence);
    }
    return sequences;
  }

  // A sequence with the cells up to `start`, which `source` has; none if all are in `keep`.
  int continue_sequence(int source, int start, SequenceSet& keep) {
    if (source == kNone) return new_sequence(keep);
    const bool is_needed = keep.has(source);
    if (!is_needed && tree_.end(source) == start) return source;
    keep.add(source);
    const int sequence = new_sequence(keep);
    if (sequence != kNone) {
      context_.copy(source, sequence, tree_.length(start));
      return sequence;
    }
    if (is_needed) return kNone;
    context_.truncate(source, tree_.length(start));
    return source;
  }

  // Free the cells of nodes that are decoded again. Returns whether needed sequences have some of
  // them: memory then holds these tokens twice.
  bool free_duplicates(const DecodePlan& plan, const SequenceSet& needed) {
    bool duplicated = false;
    for (const int cell : plan.already_cached) {
      for (const int sequence : tree_.sequences_through(cell)) {
        if (needed.has(sequence)) {
          duplicated = true;
        } else {
          free(sequence);
        }
      }
    }
    return duplicated;
  }

  void decode(const PrefixForest& forest, const DecodePlan& plan,
              const std::vector<int>& sequences, const std::vector<char>& unread,
              const Sink& sink) {
    Batch batch;
    const std::size_t count = plan.nodes.size();
    batch.sequences.assign(sequences.begin(), sequences.end());
    batch.first.assign(plan.first.begin(), plan.first.end());
    batch.last.assign(plan.last.begin(), plan.last.end());
    batch.tokens.resize(count);
    batch.positions.resize(count);
    batch.needs_logits.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const int node = plan.nodes[i];
      const int parent = forest.parents[node];
      const int parent_depth = parent >= 0 ? depths_[parent] : kNone;
      depths_[node] =
          parent_depth != kNone ? parent_depth + 1 : tree_.length(plan.starts[plan.first[i]]);
      batch.tokens[i] = forest.tokens[node];
      batch.positions[i] = depths_[node];
      batch.needs_logits[i] = unread[node];
    }
    for (const int node : plan.nodes) depths_[node] = kNone;
    std::vector<int> rows;
    for (std::size_t begin = 0; begin < count;) {
      const std::size_t end = begin + context_.next_batch_size(batch, begin);
      const float* logits = context_.decode(batch, begin, end);
      rows.clear();
      for (std::size_t i = begin; i < end; ++i) {
        if (batch.needs_logits[i]) rows.push_back(plan.nodes[i]);
      }
      if (!rows.empty()) sink(rows, logits);
      begin = end;
    }
  }

  // Add the decoded cells to the tree.
  void commit(const PrefixForest& forest, const DecodePlan& plan,
              const std::vector<int>& sequences, const SequenceSet& needed, bool duplicated) {
    if (duplicated) {
      // The tree can hold only one cell for a token.
      for (const int sequence : sequences) free(sequence);
      return;
    }
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
      const int node = plan.nodes[i];
      const int parent = forest.parents[node];
      const int parent_cell = parent >= 0 ? cells_[parent] : kNone;
      cells_[node] = tree_.append_cell(
          parent_cell != kNone ? parent_cell : plan.starts[plan.first[i]], forest.tokens[node]);
    }
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      tree_.move(sequences[i], cells_[plan.nodes[plan.ends[i]]]);
    }
    for (const int index : plan.fork_nodes()) keep_shared_prefix(cells_[plan.nodes[index]], needed);
    for (const int node : plan.nodes) cells_[node] = kNone;
  }

  // Give the common prefix of several sequences its own sequence: later calls may reuse it.
  void keep_shared_prefix(int cell, const SequenceSet& needed) {
    if (tree_.ending(cell) > 0) return;
    const int prefix = new_sequence(needed);
    if (prefix != kNone) {
      context_.copy(tree_.any_sequence_through(cell), prefix, tree_.length(cell));
      tree_.move(prefix, cell, true);
    }
  }

  // A free sequence, after an eviction if necessary; none if all are in `keep`.
  int new_sequence(const SequenceSet& keep) {
    const int sequence = tree_.allocate();
    if (sequence != kNone) return sequence;
    const int evicted = tree_.least_recently_used(keep);
    if (evicted == kNone) return kNone;
    free(evicted);
    return tree_.allocate();
  }

  // Evict sequences outside of `keep` until `count` cells are free, or none is left.
  void make_room(int count, const SequenceSet& keep) {
    int used = tree_.used();
    for (const auto& [sequence, appended] : held_) used += appended;
    while (used + count > context_.limits.cells) {
      const int evicted = tree_.least_recently_used(keep);
      if (evicted == kNone) return;
      const int before = tree_.used();
      free(evicted);
      used -= before - tree_.used();
    }
  }

  void free(int sequence) {
    context_.remove(sequence);
    tree_.free(sequence);
  }

  CellTree tree_;
  // Sequences that a completion holds, and the number of their cells that the tree lacks.
  std::map<int, int> held_;
  // By node, during one part: depths and cells.
  std::vector<int> depths_;
  std::vector<int> cells_;
};

}  // namespace

std::unique_ptr<Evaluator> make_attention_evaluator(Context& context) {
  return std::make_unique<AttentionEvaluator>(context);
}

}  // namespace autocog
