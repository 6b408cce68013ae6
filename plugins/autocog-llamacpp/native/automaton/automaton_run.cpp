#include "automaton/automaton_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

namespace autocog {

namespace {

// Rounding may put a log-probability this far above 0; more is an error of the engine.
constexpr double kLogprobTolerance = 1e-3;

// The key of a step: the action and the pending texts. The ids before them matter only at the
// start of the sequence.
std::string step_key(const OpenPath& path) {
  std::string key = std::to_string(path.action) + '|';
  if (path.ids.size() < 2) {
    for (const auto id : path.ids) key += std::to_string(id) + ',';
  } else {
    key += '+';
  }
  for (const PendingText& text : path.pending) {
    key += '|' + std::to_string(text.action) + ':' + std::to_string(text.bytes.size()) + ':' +
           text.bytes;
  }
  return key;
}

}  // namespace

void PreparedStep::make_query_arrays() {
  const int count = text_count();
  query_tokens.assign(ids.begin() + scored_from, ids.end());
  query_tokens.insert(query_tokens.end(), tokens.begin(), tokens.end());
  query_parents.resize(count);
  std::iota(query_parents.begin(), query_parents.end(), -1);
  for (const auto parent : parents) query_parents.push_back(parent < 0 ? count - 1 : parent + count);
}

AutomatonRun::AutomatonRun(std::shared_ptr<const PreparedAutomaton> automaton,
                           TokenBytes& token_bytes)
    : automaton_(std::move(automaton)),
      token_bytes_(token_bytes),
      started_(std::chrono::steady_clock::now()) {
  OpenPath path;
  path.action = 0;
  path.visits.assign(automaton_->visit_counters, 0);
  enqueue(std::move(path));
}

double AutomatonRun::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

void AutomatonRun::prepare() {
  while (phase_ == Phase::idle || phase_ == Phase::starting) {
    if (phase_ == Phase::idle && !pick_paths()) {
      phase_ = Phase::done;
      return;
    }
    phase_ = Phase::starting;
    bool all = true;
    for (OpenPath& path : starting_) {
      if (!path.step) path.step = find_step(path);
      all = all && path.step;
    }
    if (!all) return;
    for (OpenPath& path : starting_) start(path);
    starting_.clear();
    phase_ = working_.empty() ? Phase::idle : Phase::working;
  }
}

std::size_t AutomatonRun::add_queries(std::vector<TreeQuery>& queries) {
  const std::size_t before = queries.size();
  for (OpenPath& path : working_) add_queries(path, queries);
  return queries.size() - before;
}

bool AutomatonRun::pick_paths() {
  if (working_.empty() && waiting_.empty() && queue_.empty()) return false;
  if (exceeds_budget()) {
    for (const OpenPath& path : working_) prune(path.node, PrunedBy::budget);
    for (const OpenPath& path : waiting_) prune(path.node, PrunedBy::budget);
    for (const QueuedPath& queued : queue_) prune(queued.path->node, PrunedBy::budget);
    return false;
  }
  if (top_k_proven()) return false;
  if (!automaton_->best_first) {
    starting_ = std::move(waiting_);
    waiting_.clear();
  } else if (working_.empty() && !queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end());
    starting_.push_back(std::move(*queue_.back().path));
    queue_.pop_back();
  }
  for (OpenPath& path : starting_) {
    if (path.action != kNoAction && automaton_->actions[path.action].kind == Kind::text) {
      enter_texts(path);
    }
  }
  return true;
}

bool AutomatonRun::exceeds_budget() {
  const Budget& budget = automaton_->budget;
  if (budget.tokens >= 0 && tokens_evaluated >= budget.tokens) {
    stopped_by = "tokens";
  } else if (budget.paths >= 0 && enqueued_ >= budget.paths) {
    stopped_by = "paths";
  } else if (budget.seconds >= 0 && seconds() >= budget.seconds) {
    stopped_by = "seconds";
  }
  return !stopped_by.empty();
}

bool AutomatonRun::top_k_proven() const {
  const auto top = static_cast<std::size_t>(automaton_->top);
  if (automaton_->top < 0 || !automaton_->best_first || complete_.size() < top) return false;
  std::vector<double> best = complete_;
  std::sort(best.begin(), best.end(), std::greater<>());
  const double kth = best[top - 1];
  const bool beats_working = std::all_of(
      working_.begin(), working_.end(), [&](const OpenPath& path) { return path.logprob <= kth; });
  return beats_working && (queue_.empty() || queue_.front().logprob <= kth);
}

std::shared_ptr<const PreparedStep> AutomatonRun::find_step(const OpenPath& path) const {
  const auto entry = steps_.find(step_key(path));
  if (entry == steps_.end()) return nullptr;
  const PreparedStep& step = *entry->second;
  const auto length = path.ids.size() + step.ids.size() + step.room;
  // Too long for the context: report the step as missing, so that Python raises the error with
  // this path's ids.
  if (automaton_->context_length >= 0 &&
      length > static_cast<std::size_t>(automaton_->context_length)) {
    return nullptr;
  }
  return entry->second;
}

std::vector<AutomatonRun::MissingStep> AutomatonRun::missing_steps() const {
  std::vector<MissingStep> missing;
  std::unordered_set<std::string> keys;
  for (const OpenPath& path : starting_) {
    if (path.step || find_step(path)) continue;
    std::string key = step_key(path);
    // The first of several paths. Paths too long for the same step are reported again later.
    if (keys.insert(key).second) missing.push_back({std::move(key), &path});
  }
  return missing;
}

void AutomatonRun::add_step(const std::string& key, std::shared_ptr<const PreparedStep> step) {
  steps_[key] = std::move(step);
}

void AutomatonRun::start(OpenPath& path) {
  const PreparedStep& step = *path.step;
  if (path.action == kNoAction && step.text_count() == 0) {
    assign_tokens(path, nullptr);
    finish_path(path.node);
    return;
  }
  if (path.action != kNoAction) {
    const Action& action = automaton_->actions[path.action];
    if (action.kind == Kind::complete) path.search.emplace(action, automaton_->eos, token_bytes_);
    if (action.kind == Kind::choose && action.top >= 0) {
      // Choices that the path cannot follow do not count.
      const int top = action.top + static_cast<int>(exhausted_choices(path).size());
      path.choice_search.emplace(path.step, action, top, automaton_->nodes_per_step);
    }
  }
  working_.push_back(std::move(path));
}

void AutomatonRun::add_queries(OpenPath& path, std::vector<TreeQuery>& queries) {
  const PreparedStep& step = *path.step;
  const std::size_t before = queries.size();
  if (path.choice_search) {
    path.choice_search->add_queries(path.ids, queries);
    path.request_count = queries.size() - before;
    return;
  }
  if (path.search && !path.search->at_first_step()) {
    Tokens base = path.ids;
    base.insert(base.end(), step.ids.begin(), step.ids.end());
    path.search->add_queries(base, queries);
    path.request_count = queries.size() - before;
    return;
  }
  Tokens prefix = path.ids;
  prefix.insert(prefix.end(), step.ids.begin(), step.ids.begin() + step.scored_from);
  if (path.search) {
    path.search->add_queries(prefix, queries);
  } else {
    TreeQuery query;
    query.prefix = std::move(prefix);
    queries.push_back(std::move(query));
  }
  TreeQuery& query = queries[before];
  query.tokens = step.query_tokens.data();
  query.parents = step.query_parents.data();
  query.size = step.query_tokens.size();
  for (auto& node : query.top_at) node = step.text_count() - 1;
  if (!step.unconditional.empty()) {
    TreeQuery unconditional;
    unconditional.prefix = step.unconditional;
    unconditional.tokens = step.tokens.data();
    unconditional.parents = step.parents.data();
    unconditional.size = step.tokens.size();
    queries.push_back(std::move(unconditional));
  }
  path.request_count = queries.size() - before;
}

void AutomatonRun::receive(const TreeScores* answers, double seconds) {
  phase_ = Phase::idle;
  ++model_calls;
  seconds_model += seconds;
  std::vector<OpenPath> working = std::move(working_);
  working_.clear();
  for (OpenPath& path : working) {
    const TreeScores* path_answers = answers;
    answers += path.request_count;
    if (is_done() || !check(path_answers, path.request_count)) continue;
    for (std::size_t i = 0; i < path.request_count; ++i) {
      tokens_evaluated += path_answers[i].tokens_evaluated;
    }
    if (!resume(path, path_answers)) working_.push_back(std::move(path));
  }
}

bool AutomatonRun::check(const TreeScores* answers, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto* values : {&answers[i].values, &answers[i].top_logprobs}) {
      for (const double value : *values) {
        if (value <= kLogprobTolerance) continue;
        fail(std::isnan(value) ? RunError::not_a_number : RunError::above_zero);
        return false;
      }
    }
  }
  return true;
}

// Continue a path with its answers; returns whether its action is finished.
bool AutomatonRun::resume(OpenPath& path, const TreeScores* answers) {
  if (path.action == kNoAction) {
    assign_tokens(path, answers[0].values.data());
    finish_path(path.node);
    return true;
  }
  if (path.choice_search) {
    path.choice_search->receive(answers);
    if (!path.choice_search->is_proven()) return false;
    std::vector<Branch> branches = best_branches(
        *path.step, *path.choice_search, automaton_->actions[path.action].top,
        exhausted_choices(path));
    assign_tokens(path, path.choice_search->text_values().data());
    add_branches(path, std::move(branches));
    return true;
  }
  if (!path.search) {
    std::vector<Branch> branches =
        choice_branches(*path.step, automaton_->actions[path.action], answers);
    assign_tokens(path, answers[0].values.data());
    add_branches(path, std::move(branches));
    return true;
  }
  if (path.search->at_first_step()) path.text_values = answers[0].values;
  std::vector<const TreeScores*> beam_answers;
  for (std::size_t i = 0; i < path.request_count; ++i) beam_answers.push_back(&answers[i]);
  if (!path.search->receive(beam_answers)) return false;
  if (path.search->finished().empty()) {
    fail(RunError::nothing_allowed, path.action);
    return true;
  }
  std::vector<Branch> branches = text_branches(*path.search, token_bytes_);
  assign_tokens(path, path.text_values.data());
  add_branches(path, std::move(branches));
  return true;
}

void AutomatonRun::enqueue(OpenPath path) {
  ++enqueued_;
  if (!automaton_->best_first) {
    waiting_.push_back(std::move(path));
    return;
  }
  const double logprob = path.logprob;
  queue_.push_back({logprob, enqueued_, std::make_shared<OpenPath>(std::move(path))});
  std::push_heap(queue_.begin(), queue_.end());
}

void AutomatonRun::fail(RunError error, int action) {
  error_ = error;
  error_action_ = action;
  phase_ = Phase::done;
}



}  // namespace autocog
