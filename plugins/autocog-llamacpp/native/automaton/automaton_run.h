// One run of an automaton: a frontier of open paths, and their joint requests to the model.
//
// C++ counterpart of core's evaluation/evaluation.py. It starts paths and adds nodes in the same
// order.

#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "automaton/automaton.h"
#include "automaton/beam_search.h"
#include "automaton/branches.h"
#include "automaton/choice_search.h"
#include "automaton/thought_node.h"
#include "evaluation/tree_answers.h"

namespace autocog {

// A path that continues.
struct OpenPath {
  int node = -1;           // its last node
  int action = kNoAction;  // the next action; kNoAction at the end
  Tokens ids;              // BOS included, pending texts excluded
  std::vector<PendingText> pending;
  std::vector<int> visits;  // one counter for each action with max_visits
  double logprob = 0;

  // While the path is working:
  std::shared_ptr<const PreparedStep> step;
  std::optional<BeamSearch> search;
  std::optional<ChoiceSearch> choice_search;  // for the best choices
  std::size_t request_count = 0;
  std::vector<double> text_values;  // Complete: scores of the texts before it
};

// Why a run failed. `exception`: RunGroup has the exception.
enum class RunError { none, nothing_allowed, not_a_number, above_zero, exception };

class AutomatonRun {
 public:
  AutomatonRun(std::shared_ptr<const PreparedAutomaton> automaton, TokenBytes& token_bytes);

  // Start paths until some are working, a step is missing, or the run is done.
  void prepare();

  // Append the requests of the working paths; returns their number.
  std::size_t add_queries(std::vector<TreeQuery>& queries);

  // Steps that started paths need, without duplicates.
  struct MissingStep {
    std::string key;
    const OpenPath* path;
  };
  std::vector<MissingStep> missing_steps() const;
  void add_step(const std::string& key, std::shared_ptr<const PreparedStep> step);

  // Process the answers to the last requests. seconds: the time that they took.
  void receive(const TreeScores* answers, double seconds);

  // End the run with an error.
  void fail(RunError error, int action = kNoAction);

  // Whether paths are waiting for answers of the model.
  bool is_working() const { return phase_ == Phase::working; }
  bool is_done() const { return phase_ == Phase::done; }
  RunError error() const { return error_; }
  int error_action() const { return error_action_; }
  const PreparedAutomaton& automaton() const { return *automaton_; }

  std::vector<ThoughtNode> nodes;
  std::string stopped_by;  // the exceeded limit of the budget
  std::int64_t model_calls = 0;
  std::int64_t tokens_evaluated = 0;
  double seconds_model = 0;
  double seconds() const;
  std::int64_t unique_tokens() const;

 private:
  // idle: between two steps. starting: started paths may lack steps. working: requests are due.
  enum class Phase { idle, starting, working, done };

  bool pick_paths();
  bool exceeds_budget();
  bool top_k_proven() const;
  void enter_texts(OpenPath& path);
  void start(OpenPath& path);
  void add_queries(OpenPath& path, std::vector<TreeQuery>& queries);
  bool resume(OpenPath& path, const TreeScores* answers);
  void assign_tokens(OpenPath& path, const double* values);
  void add_branches(OpenPath& path, std::vector<Branch> branches);
  void enqueue(OpenPath path);
  void finish_path(int node);
  void prune(int node, PrunedBy reason);
  int add_node(ThoughtNode node);
  bool is_exhausted(const std::vector<int>& visits, int action) const;
  std::set<int> exhausted_choices(const OpenPath& path) const;
  void count_visit(std::vector<int>& visits, int action) const;
  std::shared_ptr<const PreparedStep> find_step(const OpenPath& path) const;
  bool check(const TreeScores* answers, std::size_t count);

  std::shared_ptr<const PreparedAutomaton> automaton_;
  TokenBytes& token_bytes_;
  std::vector<OpenPath> starting_;
  std::vector<OpenPath> working_;
  std::vector<OpenPath> waiting_;  // breadth-first order
  struct QueuedPath {
    double logprob;
    std::int64_t index;
    std::shared_ptr<OpenPath> path;
    bool operator<(const QueuedPath& other) const {
      return logprob != other.logprob ? logprob < other.logprob : index > other.index;
    }
  };
  std::vector<QueuedPath> queue_;  // best-first order: a heap, the most likely path in front
  std::int64_t enqueued_ = 0;
  std::vector<double> complete_;  // log-probabilities of complete paths
  std::map<std::string, std::shared_ptr<const PreparedStep>> steps_;
  Phase phase_ = Phase::idle;
  RunError error_ = RunError::none;
  int error_action_ = kNoAction;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace autocog
