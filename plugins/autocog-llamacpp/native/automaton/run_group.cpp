#include "automaton/run_group.h"

#include <chrono>

#include "llama/errors.h"

namespace autocog {

int RunGroup::start(std::shared_ptr<const PreparedAutomaton> automaton) {
  runs_[next_id_] = std::make_unique<AutomatonRun>(std::move(automaton), token_bytes_);
  return next_id_++;
}

void RunGroup::advance(double seconds) {
  const auto started = std::chrono::steady_clock::now();
  while (!runs_.empty()) {
    session_.check_stop();
    std::vector<AutomatonRun*> working;
    for (auto& [id, run] : runs_) {
      run->prepare();
      if (run->is_working()) working.push_back(run.get());
    }
    // A run waits for Python: the others wait too, so that all continue in one call.
    if (working.size() < runs_.size()) return;
    step(working);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    if (elapsed.count() >= seconds) return;
  }
}

std::vector<int> RunGroup::waiting() const {
  std::vector<int> ids;
  for (const auto& [id, run] : runs_) {
    if (run->is_done() || !run->missing_steps().empty()) ids.push_back(id);
  }
  return ids;
}

void RunGroup::finish(int id) {
  const auto entry = runs_.find(id);
  if (entry == runs_.end()) return;
  const AutomatonRun* run = entry->second.get();
  const std::exception_ptr exception =
      run->error() == RunError::exception ? exceptions_[run] : nullptr;
  exceptions_.erase(run);
  runs_.erase(entry);
  if (exception) std::rethrow_exception(exception);
}

void RunGroup::step(const std::vector<AutomatonRun*>& working) {
  if (working.size() > 1 && try_evaluate(working)) return;
  // One by one, the run that causes the error shows.
  for (AutomatonRun* run : working) {
    if (!try_evaluate({run})) run->fail(RunError::exception);
  }
}

bool RunGroup::try_evaluate(const std::vector<AutomatonRun*>& working) {
  try {
    evaluate(working);
    return true;
  } catch (const DecodeError& error) {
    if (error.code == kAborted) throw;
    exceptions_[working.front()] = std::current_exception();
  } catch (...) {
    exceptions_[working.front()] = std::current_exception();
  }
  return false;
}

void RunGroup::evaluate(const std::vector<AutomatonRun*>& working) {
  std::vector<TreeQuery> queries;
  std::vector<std::size_t> counts;
  for (AutomatonRun* run : working) counts.push_back(run->add_queries(queries));
  const auto before = std::chrono::steady_clock::now();
  const std::vector<TreeScores> answers = session_.score_trees(queries);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - before;
  const TreeScores* run_answers = answers.data();
  for (std::size_t i = 0; i < working.size(); ++i) {
    working[i]->receive(run_answers, elapsed.count() / static_cast<double>(working.size()));
    run_answers += counts[i];
  }
}

}  // namespace autocog
