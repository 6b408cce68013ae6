// One run of an automaton: a frontier of live paths, and what they ask of the model together.
//
// C++ counterpart of core's evaluation/evaluation.py: paths are taken up, and nodes entered, in the same order.

#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/tree_answers.h"
#include "automaton/branches.h"
#include "automaton/thought_node.h"
#include "automaton/automaton.h"
#include "automaton/beam_search.h"

namespace autocog {

// A path that goes on.
struct Live {
  int node = -1;
  int action = kNoAction;  // what is next; none at its end
  Tokens ids;              // settled ids, BOS included
  std::vector<Pending> pending;
  std::vector<int> visits;  // of the actions that have a bound
  double logprob = 0;

  // At work:
  std::shared_ptr<const Site> site;
  std::optional<Search> search;
  std::size_t asked = 0;
  std::vector<double> scored;  // a completion's texts before it, from its first answer
};

// Why a run cannot go on.
enum class Fault { none, nothing_allowed, not_a_number, above_zero, given };

class Run {
 public:
  Run(std::shared_ptr<const Program> program, Pieces& pieces);

  // Take up paths until some are at work, or a site is missing, or it is done.
  void prepare();

  // What the paths at work ask of the model; how many queries that is.
  std::size_t request(std::vector<Query>& queries);

  // Paths that are taken up, and the sites that they have not been given yet.
  struct Missing {
    std::string key;
    const Live* live;
  };
  std::vector<Missing> missing() const;
  void give(const std::string& key, std::shared_ptr<const Site> site);

  // The answers to what it has requested last, and how long they took.
  void take(const Answer* answers, double seconds);

  // End it: it cannot go on.
  void fail(Fault fault, int action = kNoAction);

  // Whether paths are at work, which have something to ask.
  bool working() const { return phase_ == Phase::working; }
  bool done() const { return phase_ == Phase::done; }
  Fault fault() const { return fault_; }
  int faulty_action() const { return faulty_action_; }
  const Program& program() const { return *program_; }

  std::vector<Node> nodes;
  std::string stopped;  // the limit that was reached
  std::int64_t calls = 0;
  std::int64_t evaluated = 0;
  double seconds_model = 0;
  double seconds() const;
  std::int64_t unique_tokens() const;

 private:
  // Between two steps; with paths taken up, whose sites may be missing; with paths at work; done.
  enum class Phase { between, starting, working, done };

  bool pick();
  bool exceeded();
  bool proven() const;
  void say(Live& live);
  void start(Live& live);
  void request(Live& live, std::vector<Query>& queries);
  bool resume(Live& live, const Answer* answers);
  void settle_texts(Live& live, const double* values);
  void finish(Live& live, std::vector<Branch> branches);
  void push(Live live);
  void end_path(int node);
  void prune(int node, Pruned why);
  int add(Node node);
  bool exhausted(const std::vector<int>& visits, int action) const;
  void visit(std::vector<int>& visits, int action) const;
  std::shared_ptr<const Site> site_of(const Live& live) const;
  bool check(const Answer* answers, std::size_t count);

  std::shared_ptr<const Program> program_;
  Pieces& pieces_;
  std::vector<Live> starting_;  // taken up, and not begun
  std::vector<Live> working_;
  std::vector<Live> waiting_;
  struct Open {
    double logprob;
    std::int64_t number;
    std::shared_ptr<Live> live;
    bool operator<(const Open& other) const {
      return logprob != other.logprob ? logprob < other.logprob : number > other.number;
    }
  };
  std::vector<Open> open_;  // a heap, the likeliest in front
  std::int64_t pushed_ = 0;
  std::vector<double> complete_;
  std::map<std::string, std::shared_ptr<const Site>> sites_;
  Phase phase_ = Phase::between;
  Fault fault_ = Fault::none;
  int faulty_action_ = kNoAction;
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace autocog
