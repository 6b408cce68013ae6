// A prepared automaton: what core's actions say, in numbers, with all their texts tokenized.
//
// Nothing here tokenizes: where a text meets what comes before or after it, Python says which
// tokens there are, once for each place of the automaton (a site).

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evaluation/evaluator.h"

namespace autocog {

enum class Kind { text, choose, complete };
enum class Norm { sum, mean, per_byte, pmi };
enum class Pruned { none, width, threshold, duplicate, max_visits, budget };
enum class Finish { none, stop, eos, length };

// (V,): 1 for tokens that may be taken. Runs share them.
using Mask = std::vector<std::uint8_t>;

constexpr int kUnlimited = -1;
constexpr int kNoAction = -1;

// Which branches of an action are followed.
struct Following {
  int width = kUnlimited;
  double threshold = 0;
  bool on_mean = false;  // the threshold is held against the tokens' mean probability
};

// Which tokens a completion may take: C++ counterpart of core's AllowedTokens.
struct Allowed {
  bool limited = false;          // whether a set is given
  std::shared_ptr<Mask> free;    // what may be taken outside a stop; null: all
  std::shared_ptr<Mask> in_set;  // the set; null: all
  std::vector<Tokens> stops;     // each stop as tokens
};

struct Action {
  Kind kind = Kind::text;
  int max_visits = kUnlimited;
  int bounded = -1;  // its number among the actions that have a bound
  // What follows: nothing, the same after every branch, or one action for each choice.
  std::vector<int> successors;
  bool evaluated = false;  // a text: whether it is to be scored

  Following following;
  int choices = 0;
  Norm norm = Norm::sum;

  int length = 0;
  int beams = 1;
  double length_penalty = 1;
  std::vector<std::string> stops;
  Allowed allowed;

  // What follows a branch; none where the path ends.
  int successor(int branch) const {
    if (successors.empty()) return kNoAction;
    const bool several = kind == Kind::choose && successors.size() > 1;
    return successors[several ? branch : 0];
  }
};

// Text of a path that has no tokens as yet.
struct Pending {
  int action = kNoAction;  // the text action that says it; none for the bytes in `rest`
  std::string rest;
  int node = -1;  // the tree's node that its tokens go to
};

// What Python says of an action after certain texts: the ids that come to those before it, and
// what it decides. The end of a path is a site without an action.
struct Site {
  // To be added to the ids that are settled already.
  Tokens ids;
  // Of each text that gets tokens: which of the pending ones, where they begin in `ids` (they may
  // begin with the first id of all), and how many there are.
  struct Settled {
    int pending;
    int start;
    int count;
    bool evaluated;
  };
  std::vector<Settled> settled;
  // How many of `ids` come before the first that is to be scored.
  int scored_from = 0;
  // How many tokens the context must have room for after `ids`.
  int room = 0;

  // Choose: the tree of the choices' tokens, with EOS at their ends where that must follow.
  std::vector<std::int32_t> tokens, parents;
  std::vector<int> path_nodes, path_starts;  // of all choices, one after the other
  std::vector<int> ends;                     // the last node of each
  int eos = 0;                               // ids of EOS below each end; 0: none must follow
  std::int32_t eos_token = -1;
  std::vector<double> sizes;                 // bytes of each choice's tokens
  Tokens unconditional;                      // for pmi
  std::vector<int> kept;                     // decided tokens that stay when the path goes on
  std::vector<std::string> rest;             // bytes that are tokenized again then

  // The query's own arrays: texts to be scored, then the tree.
  std::vector<std::int32_t> query_tokens, query_parents;

  int chain() const { return static_cast<int>(ids.size()) - scored_from; }
  void lay_out();
};

struct Budget {
  // Below 0: no limit.
  std::int64_t tokens = kUnlimited;
  std::int64_t paths = kUnlimited;
  double seconds = kUnlimited;
};

struct Program {
  std::vector<Action> actions;
  int bounded = 0;  // how many of them have a bound of visits
  Tokens eos;
  int context_length = kUnlimited;
  Budget budget;
  bool best_first = false;
  int top = kUnlimited;
};

}  // namespace autocog
