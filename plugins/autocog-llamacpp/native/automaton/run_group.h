// Several runs that advance in lockstep: the requests of all their paths go to the model together.

#pragma once

#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include "automaton/automaton_run.h"
#include "evaluation/session.h"

namespace autocog {

class RunGroup {
 public:
  RunGroup(Session& session, TokenBytes& token_bytes)
      : session_(session), token_bytes_(token_bytes) {}
  RunGroup(const RunGroup&) = delete;

  // Start a run; returns its id.
  int start(std::shared_ptr<const PreparedAutomaton> automaton);

  // Advance until a run is done or needs a step, or the time is over.
  void advance(double seconds);

  // Ids of the runs that are done or need steps.
  std::vector<int> waiting() const;

  AutomatonRun& run(int id) { return *runs_.at(id); }
  // Remove a run; rethrows the exception that ended it.
  void finish(int id);

 private:
  void step(const std::vector<AutomatonRun*>& working);
  // Evaluate the requests of these runs together; returns false, and stores the exception, if the
  // model fails.
  bool try_evaluate(const std::vector<AutomatonRun*>& working);
  void evaluate(const std::vector<AutomatonRun*>& working);

  Session& session_;
  TokenBytes& token_bytes_;
  int next_id_ = 0;
  std::map<int, std::unique_ptr<AutomatonRun>> runs_;
  std::map<const AutomatonRun*, std::exception_ptr> exceptions_;
};

}  // namespace autocog
