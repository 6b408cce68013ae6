// A node of the result: see ThoughtNode.

#pragma once

#include <string>
#include <vector>

#include "automaton/automaton.h"

namespace autocog {

struct Node {
  int action = kNoAction;
  int choice = -1;   // of a choose
  std::string text;  // of a complete, as bytes
  Tokens tokens;
  std::vector<double> logprobs;
  double logprob = 0;  // of the path so far, `length` tokens of it
  int length = 0;
  double prob = 1;
  Pruned pruned = Pruned::none;
  Finish finish = Finish::none;
  bool last = false;
  bool retokenized = false;
  int parent = -1;
};

}  // namespace autocog
