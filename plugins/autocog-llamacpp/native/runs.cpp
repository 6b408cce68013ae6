#include "runs.h"

#include <chrono>

#include "failures.h"

namespace autocog {

int Runs::begin(std::shared_ptr<const Program> program) {
  runs_[begun_] = std::make_unique<Run>(std::move(program), pieces_);
  return begun_++;
}

void Runs::advance() {
  while (!runs_.empty()) {
    session_.check_stop();
    std::vector<Run*> ready;
    bool waits = false;
    for (auto& [number, run] : runs_) {
      if (run->prepare() == Run::State::ready) {
        ready.push_back(run.get());
      } else {
        waits = true;
      }
    }
    // Whoever waits goes on together with the others.
    if (waits) return;
    step(ready);
  }
}

std::vector<int> Runs::waiting() const {
  std::vector<int> found;
  for (const auto& [number, run] : runs_) {
    if (run->prepare() != Run::State::ready) found.push_back(number);
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

void Runs::step(const std::vector<Run*>& ready) {
  if (ready.size() > 1 && attempt(ready)) return;
  // Whose fault it is shows when each is alone.
  for (Run* run : ready) {
    if (!attempt({run})) run->fail(Fault::given);
  }
}

bool Runs::attempt(const std::vector<Run*>& ready) {
  try {
    ask(ready);
    return true;
  } catch (const DecodeFailure& failure) {
    if (failure.code == kAborted) throw;
    errors_[ready.front()] = std::current_exception();
  } catch (const Refused&) {
    errors_[ready.front()] = std::current_exception();
  }
  return false;
}

void Runs::ask(const std::vector<Run*>& ready) {
  std::vector<Query> queries;
  std::vector<std::size_t> counts;
  for (Run* run : ready) counts.push_back(run->request(queries));
  const auto before = std::chrono::steady_clock::now();
  const std::vector<Answer> answers = session_.score_trees(queries);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
  const Answer* own = answers.data();
  for (std::size_t i = 0; i < ready.size(); ++i) {
    ready[i]->take(own, taken.count() / static_cast<double>(ready.size()));
    own += counts[i];
  }
}

}  // namespace autocog
