// Token trees by sequence sets: one decode for a whole tree, and what was seen stays in memory.
//
// C++ counterpart of llama/attention.py, for models with attention.

#include <algorithm>
#include <map>
#include <stdexcept>

#include "evaluation/cell_tree.h"
#include "evaluation/evaluator.h"
#include "llama/errors.h"
#include "evaluation/decode_plan.h"

namespace autocog {

namespace {

constexpr int kNone = -1;

class TreeEvaluator final : public Evaluator {
 public:
  explicit TreeEvaluator(Context& context)
      : Evaluator(context), tree_(context.limits.sequences) {}

  void evaluate(Forest& forest, const Sink& sink) override {
    settle();
    if (free_sequences() < 1) {
      throw Refused("all sequences are held by the completion that is running",
                    "give a larger n_seq_max, or call the model when it has ended");
    }
    sure_ = false;
    tree_.next_call();
    std::vector<char> read(forest.size(), 0);
    try {
      rounds(forest, sink, read);
    } catch (const NoSlot&) {
      // Our account of the cells and llama.cpp's differ: with fewer to hold, once more.
      drop_others();
      rounds(forest, sink, read);
    }
    sure_ = true;
  }

  std::vector<float> open(const Tokens& tokens, int count, std::vector<int>& handles) override {
    settle();
    if (!held_.empty()) {
      throw Refused("the model is completing a text already", "let it end first");
    }
    lent = true;
    std::vector<float> row = row_after(*this, tokens, context_.limits.width);
    sure_ = false;
    int cell = CellTree::kRoot;
    for (const auto token : tokens) {
      cell = tree_.child(cell, token);
      if (cell == kNone) throw std::logic_error("what was evaluated is not in memory");
    }
    const int first = tree_.through(cell);
    handles.push_back(first);
    held_[first] = 0;
    for (int i = 1; i < count; ++i) {
      Sequences spared = everything_held();
      const int handle = new_sequence(spared);
      if (handle == kNone) throw Refused("all sequences are in use", "give a larger n_seq_max");
      context_.copy(first, handle, tree_.length(cell));
      tree_.move(handle, cell);
      handles.push_back(handle);
      held_[handle] = 0;
    }
    sure_ = true;
    return row;
  }

  void release(const std::vector<int>& handles, const std::vector<Tokens>& texts) override {
    settle(true);
    sure_ = false;
    for (std::size_t i = 0; i < handles.size() && i < texts.size(); ++i) {
      const auto found = held_.find(handles[i]);
      if (found == held_.end()) continue;
      const int evaluated = found->second;
      held_.erase(found);
      const auto count = std::min<std::size_t>(evaluated, texts[i].size());
      let_go(handles[i], Tokens(texts[i].begin(), texts[i].begin() + count));
    }
    sure_ = true;
  }

  void forget() override {
    sure_ = false;
    tree_ = CellTree(context_.limits.sequences);
    held_.clear();
    context_.clear();
    sure_ = true;
  }

  std::vector<int> lengths() const override {
    std::vector<int> found(context_.limits.sequences, 0);
    for (const int sequence : tree_.sequences()) {
      const auto more = held_.find(sequence);
      found[sequence] =
          tree_.length(tree_.end(sequence)) + (more == held_.end() ? 0 : more->second);
    }
    return found;
  }

  int held() const override { return static_cast<int>(held_.size()); }

  int together(int fitting) const override {
    const Limits& limits = context_.limits;
    return std::max(1, std::min({limits.sequences, limits.rows, fitting}));
  }

 private:
  int length_of(int handle) const override {
    const auto found = held_.find(handle);
    return found == held_.end() ? kNone : tree_.length(tree_.end(handle)) + found->second;
  }

  void prepare_step(int count) override { make_room(count, everything_held()); }

  void take_step(const std::vector<int>& handles, const Tokens&) override {
    for (const int handle : handles) ++held_[handle];
  }

  int free_sequences() const {
    return context_.limits.sequences - static_cast<int>(held_.size());
  }

  Sequences everything_held() const {
    Sequences found(context_.limits.sequences);
    for (const auto& [sequence, count] : held_) found.add(sequence);
    return found;
  }

  void let_go(int handle, const Tokens& path) {
    int cell = tree_.end(handle);
    const bool known = !path.empty() && tree_.child(cell, path.front()) >= 0;
    if (tree_.ending(cell) > 1 && (path.empty() || known)) {
      // Another sequence holds as much.
      drop(handle);
    } else if (known) {
      context_.cut(handle, tree_.length(cell));
    } else {
      for (const auto token : path) cell = tree_.grow(cell, token);
      tree_.move(handle, cell);
    }
  }

  // Drop everything but what a completion holds.
  void drop_others() {
    const std::vector<int> all = tree_.sequences();
    for (const int sequence : all) {
      if (held_.count(sequence) == 0) drop(sequence);
    }
  }

  void rounds(Forest& forest, const Sink& sink, std::vector<char>& read) {
    Planner planner(forest);
    depths_.assign(forest.size(), kNone);
    cells_.assign(forest.size(), kNone);
    std::vector<char> unread(forest.size(), 0);
    std::vector<int> nodes;
    for (Portions portions(forest, free_sequences(), context_.limits.cells);
         portions.next(nodes);) {
      bool any = false;
      for (const int node : nodes) {
        unread[node] = forest.wanted[node] && !read[node];
        any = any || unread[node];
      }
      if (!any) continue;
      bool apart = false;
      Plan plan = usable_plan(planner, nodes, unread, apart);
      if (static_cast<int>(plan.starts.size()) > free_sequences()) {
        // Many nodes in memory are asked for: decoded from nothing, a path is one strand.
        drop_others();
        plan = planner.plan(nodes, unread, tree_, true);
        apart = true;
      }
      round(forest, plan, unread, sink, apart);
      for (const int node : nodes) {
        if (unread[node]) read[node] = 1;
      }
    }
  }

  // A plan, and whether it leaves apart what is in memory.
  Plan usable_plan(Planner& planner, const std::vector<int>& nodes,
                   const std::vector<char>& unread, bool& apart) {
    while (true) {
      Plan plan = planner.plan(nodes, unread, tree_, false);
      std::vector<int> broken;
      int before = kNone;
      for (const int start : plan.starts) {
        if (start == before || start == CellTree::kRoot) continue;
        before = start;
        const int source = tree_.through(start);
        const bool known = std::find(broken.begin(), broken.end(), source) != broken.end();
        if (!known && !context_.is_whole(source)) broken.push_back(source);
      }
      if (broken.empty()) return plan;
      for (const int source : broken) {
        if (held_.count(source) != 0) {
          // What a completion holds must stay, and cannot be gone on from.
          apart = true;
          return planner.plan(nodes, unread, tree_, true);
        }
      }
      for (const int source : broken) drop(source);
    }
  }

  void round(Forest& forest, const Plan& plan, const std::vector<char>& unread, const Sink& sink,
             bool apart) {
    const std::vector<int> strands = place_strands(plan);
    Sequences needed = everything_held();
    for (const int strand : strands) needed.add(strand);
    const bool doubled = drop_doubles(plan, needed) || apart;
    make_room(static_cast<int>(plan.nodes.size()), needed);
    decode(forest, plan, strands, unread, sink);
    forest.count(plan.nodes);
    commit(forest, plan, strands, needed, doubled);
  }

  // A sequence for each strand, that holds what the strand continues.
  std::vector<int> place_strands(const Plan& plan) {
    std::vector<int> sources;
    // How many strands, from here on, continue a sequence.
    std::vector<int> waiting(context_.limits.sequences, 0);
    std::map<int, int> through;
    for (const int start : plan.starts) {
      int source = kNone;
      if (start != CellTree::kRoot) {
        const auto [found, fresh] = through.try_emplace(start, kNone);
        if (fresh) found->second = tree_.through(start);
        source = found->second;
        ++waiting[source];
      }
      sources.push_back(source);
    }
    Sequences placed = everything_held();
    std::vector<int> strands;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const int source = sources[i];
      const int start = plan.starts[i];
      if (source != kNone) --waiting[source];
      Sequences spared = placed;
      for (int sequence = 0; sequence < context_.limits.sequences; ++sequence) {
        if (waiting[sequence] > 0) spared.add(sequence);
      }
      int strand = kNone;
      if (source == kNone) {
        strand = new_sequence(spared);
      } else if (!spared.has(source) && tree_.end(source) == start) {
        // Nobody else needs it as it is: it is continued in place.
        strand = source;
      } else {
        const bool free = !spared.has(source);
        spared.add(source);
        strand = new_sequence(spared);
        if (strand != kNone) {
          context_.copy(source, strand, tree_.length(start));
        } else if (free) {
          // The last that needs it may have it.
          context_.cut(source, tree_.length(start));
          strand = source;
        }
      }
      if (strand == kNone) throw Refused("all sequences are in use", "give a larger n_seq_max");
      tree_.move(strand, start);
      placed.add(strand);
      strands.push_back(strand);
    }
    return strands;
  }

  // Forget cells that are decoded again; true if some must stay, and so are there twice.
  bool drop_doubles(const Plan& plan, const Sequences& needed) {
    bool doubled = false;
    for (const int cell : plan.known) {
      // Dropping some leaves fewer below the next.
      for (const int sequence : tree_.below(cell)) {
        if (needed.has(sequence)) {
          doubled = true;
        } else {
          drop(sequence);
        }
      }
    }
    return doubled;
  }

  void decode(const Forest& forest, const Plan& plan, const std::vector<int>& strands,
              const std::vector<char>& unread, const Sink& sink) {
    Batch batch;
    const std::size_t count = plan.nodes.size();
    batch.sequences.assign(strands.begin(), strands.end());
    batch.first.assign(plan.first.begin(), plan.first.end());
    batch.last.assign(plan.last.begin(), plan.last.end());
    batch.tokens.resize(count);
    batch.positions.resize(count);
    batch.wanted.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const int node = plan.nodes[i];
      const int parent = forest.parents[node];
      const int above = parent >= 0 ? depths_[parent] : kNone;
      depths_[node] = above != kNone ? above + 1 : tree_.length(plan.starts[plan.first[i]]);
      batch.tokens[i] = forest.tokens[node];
      batch.positions[i] = depths_[node];
      batch.wanted[i] = unread[node];
    }
    for (const int node : plan.nodes) depths_[node] = kNone;
    std::vector<int> rows;
    for (std::size_t begin = 0; begin < count;) {
      const std::size_t end = begin + context_.fitting(batch, begin);
      const float* logits = context_.decode(batch, begin, end);
      rows.clear();
      for (std::size_t i = begin; i < end; ++i) {
        if (batch.wanted[i]) rows.push_back(plan.nodes[i]);
      }
      if (!rows.empty()) sink(rows, logits);
      begin = end;
    }
  }

  // Enter into the tree what memory now holds.
  void commit(const Forest& forest, const Plan& plan, const std::vector<int>& strands,
              const Sequences& needed, bool doubled) {
    if (doubled) {
      // Their cells are also there a second time; the tree has a place for one.
      for (const int strand : strands) drop(strand);
      return;
    }
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
      const int node = plan.nodes[i];
      const int parent = forest.parents[node];
      const int known = parent >= 0 ? cells_[parent] : kNone;
      const int above = known != kNone ? known : plan.starts[plan.first[i]];
      cells_[node] = tree_.grow(above, forest.tokens[node]);
    }
    for (std::size_t i = 0; i < strands.size(); ++i) {
      tree_.move(strands[i], cells_[plan.nodes[plan.ends[i]]]);
    }
    for (const int place : plan.forks()) keep_trunk(cells_[plan.nodes[place]], needed);
    for (const int node : plan.nodes) cells_[node] = kNone;
  }

  // Hold what several strands have begun with beyond their own lives: it may come again.
  void keep_trunk(int cell, const Sequences& needed) {
    if (tree_.ending(cell) > 0) return;
    const int trunk = new_sequence(needed);
    if (trunk != kNone) {
      context_.copy(tree_.through(cell), trunk, tree_.length(cell));
      tree_.move(trunk, cell, true);
    }
  }

  // A free sequence, if need be that which is missed least; none if all are `spared`.
  int new_sequence(const Sequences& spared) {
    const int free = tree_.take();
    if (free != kNone) return free;
    const int oldest = tree_.oldest(spared);
    if (oldest == kNone) return kNone;
    drop(oldest);
    return tree_.take();
  }

  // Free cells for `count` tokens, if there are any that nobody needs now.
  void make_room(int count, const Sequences& spared) {
    int taken = tree_.used();
    for (const auto& [sequence, more] : held_) taken += more;
    while (taken + count > context_.limits.cells) {
      const int oldest = tree_.oldest(spared);
      if (oldest == kNone) return;
      const int before = tree_.used();
      drop(oldest);
      taken -= before - tree_.used();
    }
  }

  void drop(int sequence) {
    context_.remove(sequence);
    tree_.drop(sequence);
  }

  CellTree tree_;
  // Sequences that a completion holds, and cells that it has taken beyond the tree's.
  std::map<int, int> held_;
  // By node, of those that a round decodes: where they stand, and their cells.
  std::vector<int> depths_;
  std::vector<int> cells_;
};

}  // namespace

std::unique_ptr<Evaluator> make_tree_evaluator(Context& context) {
  return std::make_unique<TreeEvaluator>(context);
}

}  // namespace autocog
