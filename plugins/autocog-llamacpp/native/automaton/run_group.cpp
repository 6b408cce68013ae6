#include "automaton/run_group.h"

#include <chrono>

#include "llama/errors.h"

namespace autocog {

int Runs::begin(std::shared_ptr<const Program> program) {
  runs_[begun_] = std::make_unique<Run>(std::move(program), pieces_);
  return begun_++;
}

void Runs::advance(double seconds) {
  const auto begun = std::chrono::steady_clock::now();
  while (!runs_.empty()) {
    session_.check_stop();
    std::vector<Run*> working;
    for (auto& [number, run] : runs_) {
      run->prepare();
      if (run->working()) working.push_back(run.get());
    }
    // Whoever waits goes on together with the others.
    if (working.size() < runs_.size()) return;
    step(working);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
    if (taken.count() >= seconds) return;
  }
}

std::vector<int> Runs::waiting() const {
  std::vector<int> found;
  for (const auto& [number, run] : runs_) {
    if (run->done() || !run->missing().empty()) found.push_back(number);
  }
  return found;
}

void Runs::end(int number) {
  const auto found = runs_.find(number);
  if (found == runs_.end()) return;
  const bool failed = found->second->fault() == Fault::given;
  const std::exception_ptr error = failed ? errors_[found->second.get()] : nullptr;
  errors_.erase(found->second.get());
  runs_.erase(found);
  if (error) std::rethrow_exception(error);
}

void Runs::step(const std::vector<Run*>& working) {
  if (working.size() > 1 && attempt(working)) return;
  // Whose fault it is shows when each is alone.
  for (Run* run : working) {
    if (!attempt({run})) run->fail(Fault::given);
  }
}

bool Runs::attempt(const std::vector<Run*>& working) {
  try {
    ask(working);
    return true;
  } catch (const DecodeFailure& failure) {
    if (failure.code == kAborted) throw;
    errors_[working.front()] = std::current_exception();
  } catch (...) {
    errors_[working.front()] = std::current_exception();
  }
  return false;
}

void Runs::ask(const std::vector<Run*>& working) {
  std::vector<Query> queries;
  std::vector<std::size_t> counts;
  for (Run* run : working) counts.push_back(run->request(queries));
  const auto before = std::chrono::steady_clock::now();
  const std::vector<Answer> answers = session_.score_trees(queries);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
  const Answer* own = answers.data();
  for (std::size_t i = 0; i < working.size(); ++i) {
    working[i]->take(own, taken.count() / static_cast<double>(working.size()));
    own += counts[i];
  }
}

}  // namespace autocog
