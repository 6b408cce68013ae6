// A prepared automaton: actions as numbers, with all texts tokenized.
//
// No code here tokenizes. Python supplies the tokens of each text, once for each step: an action
// that is reached with the same pending texts.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evaluation/evaluator.h"

namespace autocog {

enum class Kind { text, choose, complete };
enum class Norm { sum, mean, per_byte, pmi };
enum class PrunedBy { none, width, threshold, duplicate, max_visits, budget };
enum class FinishReason { none, stop, eos, length };

// (V,): 1 for allowed tokens. Runs share masks.
using Mask = std::vector<std::uint8_t>;

constexpr int kUnlimited = -1;
constexpr int kNoAction = -1;

// Which branches of an action are followed.
struct BranchSelection {
  int width = kUnlimited;
  double threshold = 0;
  bool on_mean = false;  // compare the threshold with the mean probability of a token
};

// Allowed tokens of a completion. C++ counterpart of core's AllowedTokens.
struct AllowedTokens {
  bool is_constrained = false;     // whether there is a token set
  std::shared_ptr<Mask> unmasked;  // allowed outside a stop string; null: all
  std::shared_ptr<Mask> in_set;    // the token set; null: all
  std::vector<Tokens> stops;       // tokens of each stop string
};

struct Action {
  Kind kind = Kind::text;
  int max_visits = kUnlimited;
  int visit_counter = -1;  // index of its counter in OpenPath::visits, if max_visits is set
  // Empty at the end; one action for all branches, or one for each choice.
  std::vector<int> successors;

  BranchSelection selection;
  int choices = 0;
  Norm norm = Norm::sum;
  int top = kUnlimited;  // of the choices: only the best ones, proven by a part of the tree

  int length = 0;
  int beams = 1;
  double length_penalty = 1;
  std::vector<std::string> stops;
  AllowedTokens allowed;

  // The action after a branch; kNoAction if the path ends.
  int successor(int branch) const {
    if (successors.empty()) return kNoAction;
    const bool several = kind == Kind::choose && successors.size() > 1;
    return successors[several ? branch : 0];
  }
};

// Text of a path that is not tokenized yet.
struct PendingText {
  int action = kNoAction;  // the Text action; kNoAction: the text is `bytes`
  std::string bytes;
  int node = -1;  // the tree node that gets the tokens
};

// The choices of a token tree, sorted by their tokens, so that each node has a range of them. See
// core's LeafOrder.
struct LeafOrder {
  std::vector<int> choices, starts, stops, children, child_starts, choice_at;
};

// The tokens of an action after certain texts, as core encoded them. The end of a path is a step
// without an action.
struct PreparedStep {
  // Follow the ids of the path.
  Tokens ids;
  // A pending text that got tokens: ids[start : start + count].
  struct TokenizedText {
    int pending;
    int start;
    int count;
    bool evaluated;
  };
  std::vector<TokenizedText> texts;
  // Index in `ids` of the first token to score.
  int scored_from = 0;
  // Number of tokens that the context must hold after `ids`.
  int room = 0;

  // Choose: the token tree of the choices, with EOS after each choice if the suffix is EOS.
  std::vector<std::int32_t> tokens, parents;
  std::vector<int> path_nodes, path_starts;  // nodes of all choices, concatenated
  std::vector<int> ends;                     // last node of each choice
  int eos = 0;                               // EOS ids below each end; 0: no EOS suffix
  std::int32_t eos_token = -1;
  std::vector<double> byte_lengths;  // of each choice
  Tokens unconditional;              // the unconditional prompt, for pmi
  // If only the best choices are wanted: their order, and for pmi their log-probabilities after the
  // unconditional prompt.
  LeafOrder order;
  std::vector<double> unconditional_logprobs;
  // How a path continues after each choice: the decided tokens that stay, and the bytes that are
  // tokenized again.
  std::vector<int> kept_tokens;
  std::vector<std::string> retokenized_bytes;

  // The arrays of the query: texts to score, then the tree.
  std::vector<std::int32_t> query_tokens, query_parents;

  // Number of text tokens in the query.
  int text_count() const { return static_cast<int>(ids.size()) - scored_from; }
  // Fill the query's arrays.
  void make_query_arrays();
};

// The lowest and the highest value of an unknown number.
struct Interval {
  double lowest, highest;
};

// Limits of a run; negative: no limit.
struct Budget {
  std::int64_t tokens = kUnlimited;
  std::int64_t paths = kUnlimited;
  double seconds = kUnlimited;
};

struct PreparedAutomaton {
  std::vector<Action> actions;
  int visit_counters = 0;  // number of actions with max_visits
  Tokens eos;
  int context_length = kUnlimited;
  Budget budget;
  bool best_first = false;
  int top = kUnlimited;
  int nodes_per_step = 1;  // of a search for the best choices
};

}  // namespace autocog
