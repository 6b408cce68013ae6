#include "automaton/automaton_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "automaton/branches.h"

namespace autocog {

namespace {

// Rounding may put a log-probability this far above 0; more is an engine's mistake.
constexpr double kSlack = 1e-3;

// What a site is known by: the action, the texts before it, and the ids before these only where
// they matter: whether the texts begin the sequence.
std::string key_of(const Live& live) {
  std::string key = std::to_string(live.action) + '|';
  if (live.ids.size() < 2) {
    for (const auto id : live.ids) key += std::to_string(id) + ',';
  } else {
    key += '+';
  }
  for (const Pending& pending : live.pending) {
    key += '|' + std::to_string(pending.action) + ':' + std::to_string(pending.rest.size()) + ':' +
           pending.rest;
  }
  return key;
}

}  // namespace

void Site::lay_out() {
  const int count = chain();
  query_tokens.assign(ids.begin() + scored_from, ids.end());
  query_tokens.insert(query_tokens.end(), tokens.begin(), tokens.end());
  query_parents.resize(count);
  std::iota(query_parents.begin(), query_parents.end(), -1);
  for (const auto parent : parents) query_parents.push_back(parent < 0 ? count - 1 : parent + count);
}

Run::Run(std::shared_ptr<const Program> program, Pieces& pieces)
    : program_(std::move(program)), pieces_(pieces), begun_(std::chrono::steady_clock::now()) {
  Live live;
  live.action = 0;
  live.visits.assign(program_->bounded, 0);
  push(std::move(live));
}

double Run::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
}

void Run::prepare() {
  while (phase_ == Phase::between || phase_ == Phase::starting) {
    if (phase_ == Phase::between && !pick()) {
      phase_ = Phase::done;
      return;
    }
    phase_ = Phase::starting;
    bool all = true;
    for (Live& live : starting_) {
      if (!live.site) live.site = site_of(live);
      all = all && live.site;
    }
    if (!all) return;
    for (Live& live : starting_) start(live);
    starting_.clear();
    phase_ = working_.empty() ? Phase::between : Phase::working;
  }
}

std::size_t Run::request(std::vector<Query>& queries) {
  const std::size_t before = queries.size();
  for (Live& live : working_) request(live, queries);
  return queries.size() - before;
}

bool Run::pick() {
  if (working_.empty() && waiting_.empty() && open_.empty()) return false;
  if (exceeded()) {
    for (const Live& live : working_) prune(live.node, Pruned::budget);
    for (const Live& live : waiting_) prune(live.node, Pruned::budget);
    for (const Open& open : open_) prune(open.live->node, Pruned::budget);
    return false;
  }
  if (proven()) return false;
  if (!program_->best_first) {
    starting_ = std::move(waiting_);
    waiting_.clear();
  } else if (working_.empty() && !open_.empty()) {
    std::pop_heap(open_.begin(), open_.end());
    starting_.push_back(std::move(*open_.back().live));
    open_.pop_back();
  }
  for (Live& live : starting_) {
    if (live.action != kNoAction && program_->actions[live.action].kind == Kind::text) say(live);
  }
  return true;
}

bool Run::exceeded() {
  const Budget& budget = program_->budget;
  if (budget.tokens >= 0 && evaluated >= budget.tokens) {
    stopped = "tokens";
  } else if (budget.paths >= 0 && pushed_ >= budget.paths) {
    stopped = "paths";
  } else if (budget.seconds >= 0 && seconds() >= budget.seconds) {
    stopped = "seconds";
  }
  return !stopped.empty();
}

bool Run::proven() const {
  const auto top = static_cast<std::size_t>(program_->top);
  if (program_->top < 0 || !program_->best_first || complete_.size() < top) return false;
  std::vector<double> best = complete_;
  std::sort(best.begin(), best.end(), std::greater<>());
  const double least = best[top - 1];
  const bool working = std::all_of(working_.begin(), working_.end(),
                                   [&](const Live& live) { return live.logprob <= least; });
  return working && (open_.empty() || open_.front().logprob <= least);
}

void Run::say(Live& live) {
  std::vector<int> chain;
  int following = live.action;
  bool bounded = false;
  while (following != kNoAction && program_->actions[following].kind == Kind::text) {
    chain.push_back(following);
    visit(live.visits, following);
    following = program_->actions[following].successor(0);
    if (following != kNoAction && exhausted(live.visits, following)) {
      bounded = true;
      following = kNoAction;
    }
  }
  live.action = following;
  for (const int action : chain) {
    Node node;
    node.action = action;
    node.logprob = live.logprob;
    node.length = live.node >= 0 ? nodes[live.node].length : 0;
    node.parent = live.node;
    live.node = add(std::move(node));
    live.pending.push_back({action, "", live.node});
  }
  if (bounded) prune(live.node, Pruned::max_visits);
}

std::shared_ptr<const Site> Run::site_of(const Live& live) const {
  const auto found = sites_.find(key_of(live));
  if (found == sites_.end()) return nullptr;
  const Site& site = *found->second;
  const auto length = live.ids.size() + site.ids.size() + site.room;
  // It does not fit: Python says so, with the ids that there are.
  if (program_->context_length >= 0 && length > static_cast<std::size_t>(program_->context_length)) {
    return nullptr;
  }
  return found->second;
}

std::vector<Run::Missing> Run::missing() const {
  std::vector<Missing> found;
  std::unordered_set<std::string> known;
  for (const Live& live : starting_) {
    if (live.site || site_of(live)) continue;
    std::string key = key_of(live);
    // Of several paths the first: those that are too long for its site are asked for again.
    if (known.insert(key).second) found.push_back({std::move(key), &live});
  }
  return found;
}

void Run::give(const std::string& key, std::shared_ptr<const Site> site) {
  sites_[key] = std::move(site);
}

void Run::start(Live& live) {
  const Site& site = *live.site;
  if (live.action == kNoAction && site.chain() == 0) {
    settle_texts(live, nullptr);
    end_path(live.node);
    return;
  }
  if (live.action != kNoAction) {
    const Action& action = program_->actions[live.action];
    if (action.kind == Kind::complete) live.search.emplace(action, program_->eos, pieces_);
  }
  working_.push_back(std::move(live));
}

void Run::request(Live& live, std::vector<Query>& queries) {
  const Site& site = *live.site;
  const std::size_t before = queries.size();
  if (live.search && !live.search->begins()) {
    Tokens base = live.ids;
    base.insert(base.end(), site.ids.begin(), site.ids.end());
    live.search->ask(base, queries);
    live.asked = queries.size() - before;
    return;
  }
  Tokens prefix = live.ids;
  prefix.insert(prefix.end(), site.ids.begin(), site.ids.begin() + site.scored_from);
  if (live.search) {
    live.search->ask(prefix, queries);
  } else {
    Query query;
    query.prefix = std::move(prefix);
    queries.push_back(std::move(query));
  }
  Query& query = queries[before];
  query.tokens = site.query_tokens.data();
  query.parents = site.query_parents.data();
  query.size = site.query_tokens.size();
  for (auto& at : query.top_at) at = site.chain() - 1;
  if (!site.unconditional.empty()) {
    Query other;
    other.prefix = site.unconditional;
    other.tokens = site.tokens.data();
    other.parents = site.parents.data();
    other.size = site.tokens.size();
    queries.push_back(std::move(other));
  }
  live.asked = queries.size() - before;
}

void Run::take(const Answer* answers, double seconds) {
  phase_ = Phase::between;
  ++calls;
  seconds_model += seconds;
  std::vector<Live> working = std::move(working_);
  working_.clear();
  for (Live& live : working) {
    const Answer* own = answers;
    answers += live.asked;
    if (done() || !check(own, live.asked)) continue;
    for (std::size_t i = 0; i < live.asked; ++i) evaluated += own[i].evaluated;
    if (!resume(live, own)) working_.push_back(std::move(live));
  }
}

bool Run::check(const Answer* answers, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto* values : {&answers[i].values, &answers[i].top_logprobs}) {
      for (const double value : *values) {
        if (value <= kSlack) continue;
        fail(std::isnan(value) ? Fault::not_a_number : Fault::above_zero);
        return false;
      }
    }
  }
  return true;
}

// Whether it has come to its end.
bool Run::resume(Live& live, const Answer* answers) {
  if (live.action == kNoAction) {
    settle_texts(live, answers[0].values.data());
    end_path(live.node);
    return true;
  }
  if (!live.search) {
    std::vector<Branch> branches = choice_branches(
        *live.site, program_->actions[live.action], answers);
    settle_texts(live, answers[0].values.data());
    finish(live, std::move(branches));
    return true;
  }
  const bool first = live.search->begins();
  std::vector<const Answer*> given;
  for (std::size_t i = 0; i < live.asked; ++i) given.push_back(&answers[i]);
  if (first) live.scored = answers[0].values;
  if (!live.search->take(given)) return false;
  if (live.search->found().empty()) {
    fail(Fault::nothing_allowed, live.action);
    return true;
  }
  std::vector<Branch> branches = text_branches(*live.search, pieces_);
  settle_texts(live, live.scored.data());
  finish(live, std::move(branches));
  return true;
}

// values: log-probabilities of the ids from the first that is to be scored.
void Run::settle_texts(Live& live, const double* values) {
  const Site& site = *live.site;
  double added = 0;
  int count = 0;
  for (const Site::Settled& text : site.settled) {
    const int number = live.pending[text.pending].node;
    if (number < 0) continue;
    Node& node = nodes[number];
    const auto begin = site.ids.begin() + text.start;
    node.tokens.assign(begin, begin + text.count);
    if (text.evaluated && text.count > 0) {
      const double* from = values + (text.start - site.scored_from);
      for (int i = 0; i < text.count; ++i) {
        node.logprobs.push_back(std::min(0.0, from[i]));
        added += node.logprobs.back();
      }
      count += text.count;
    }
    node.logprob += added;
    node.length += count;
  }
  live.logprob += added;
}

void Run::finish(Live& live, std::vector<Branch> branches) {
  const Action& action = program_->actions[live.action];
  visit(live.visits, live.action);
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const int following = action.successor(static_cast<int>(i));
    if (branches[i].node.pruned == Pruned::none && following != kNoAction &&
        action.successors.size() > 1 && exhausted(live.visits, following)) {
      branches[i].node.pruned = Pruned::max_visits;
    }
  }
  prune_branches(action.following, branches);
  for (std::size_t i = 0; i < branches.size(); ++i) {
    Branch& branch = branches[i];
    const int following = action.successor(static_cast<int>(i));
    Node& node = branch.node;
    node.action = live.action;
    node.logprob = live.logprob + branch.logprob;
    node.length = (live.node >= 0 ? nodes[live.node].length : 0) +
                  static_cast<int>(node.logprobs.size());
    node.parent = live.node;
    const int number = add(std::move(node));
    if (nodes[number].pruned != Pruned::none) continue;
    if (following == kNoAction) {
      end_path(number);
    } else if (exhausted(live.visits, following)) {
      prune(number, Pruned::max_visits);
    } else {
      const Tokens& tokens = nodes[number].tokens;
      Live next;
      next.node = number;
      next.action = following;
      next.ids.reserve(live.ids.size() + live.site->ids.size() + branch.kept);
      next.ids = live.ids;
      next.ids.insert(next.ids.end(), live.site->ids.begin(), live.site->ids.end());
      next.ids.insert(next.ids.end(), tokens.begin(), tokens.begin() + branch.kept);
      if (!branch.rest.empty()) next.pending.push_back({kNoAction, branch.rest, -1});
      next.visits = live.visits;
      next.logprob = nodes[number].logprob;
      push(std::move(next));
    }
  }
}

void Run::push(Live live) {
  ++pushed_;
  if (!program_->best_first) {
    waiting_.push_back(std::move(live));
    return;
  }
  const double logprob = live.logprob;
  open_.push_back({logprob, pushed_, std::make_shared<Live>(std::move(live))});
  std::push_heap(open_.begin(), open_.end());
}

void Run::fail(Fault fault, int action) {
  fault_ = fault;
  faulty_action_ = action;
  phase_ = Phase::done;
}

void Run::end_path(int number) {
  if (nodes[number].pruned != Pruned::none) return;
  nodes[number].last = true;
  complete_.push_back(nodes[number].logprob);
}

void Run::prune(int number, Pruned why) {
  if (number >= 0 && nodes[number].pruned == Pruned::none) nodes[number].pruned = why;
}

int Run::add(Node node) {
  nodes.push_back(std::move(node));
  return static_cast<int>(nodes.size()) - 1;
}

bool Run::exhausted(const std::vector<int>& visits, int number) const {
  const Action& action = program_->actions[number];
  return action.max_visits >= 0 && visits[action.bounded] >= action.max_visits;
}

void Run::visit(std::vector<int>& visits, int number) const {
  const Action& action = program_->actions[number];
  if (action.max_visits >= 0) ++visits[action.bounded];
}

std::int64_t Run::unique_tokens() const {
  // A trie below each node: its places by (the place before, the token).
  std::unordered_map<std::uint64_t, std::int64_t> places;
  for (const Node& node : nodes) {
    std::int64_t place = -2 - static_cast<std::int64_t>(node.parent);
    for (const auto token : node.tokens) {
      const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(place)) << 32) |
                                static_cast<std::uint32_t>(token);
      place = places.try_emplace(key, static_cast<std::int64_t>(places.size())).first->second;
    }
  }
  return static_cast<std::int64_t>(places.size());
}

}  // namespace autocog
