// Several runs at once: what their paths ask of the model goes to it together, step by step.

#pragma once

#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include "automaton/automaton_run.h"
#include "evaluation/session.h"

namespace autocog {

class Runs {
 public:
  Runs(Session& session, Pieces& pieces) : session_(session), pieces_(pieces) {}
  Runs(const Runs&) = delete;

  // Begin a run; its number.
  int begin(std::shared_ptr<const Program> program);

  // Go on until a run has come to its end, or failed, or needs a site; or for about so long.
  void advance(double seconds);

  // Runs that need sites, or have come to their ends.
  std::vector<int> waiting() const;

  Run& run(int number) { return *runs_.at(number); }
  // Let go of a run; throws what the model has met for it.
  void end(int number);

 private:
  void step(const std::vector<Run*>& working);
  // Ask for all of them together; false, with the error kept, if the model meets one.
  bool attempt(const std::vector<Run*>& working);
  void ask(const std::vector<Run*>& working);

  Session& session_;
  Pieces& pieces_;
  int begun_ = 0;
  std::map<int, std::unique_ptr<Run>> runs_;
  std::map<const Run*, std::exception_ptr> errors_;
};

}  // namespace autocog
