// Beam search; one beam is greedy decoding. C++ counterpart of core's tree_complete.py and
// hypothesis.py.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "automaton/automaton.h"
#include "automaton/token_text.h"
#include "evaluation/tree_answers.h"

namespace autocog {

// The stop strings that a text may be within, if a token set constrains the text.
struct StopState {
  // (stop, number of its tokens at the end of the text).
  std::vector<std::pair<int, int>> partial_stops;
  // Whether a token outside the set was chosen: only the tokens of its stop may follow.
  bool in_stop_only = false;
};

// A text of the search. Extending copies it.
struct Hypothesis {
  Tokens tokens;
  std::vector<double> logprobs;
  double logprob = 0;
  std::string raw;             // its bytes, with the stop string
  std::size_t text_bytes = 0;  // number of bytes without the stop string
  FinishReason finish_reason = FinishReason::none;
  StopState stop_state;
};

class BeamSearch {
 public:
  BeamSearch(const Action& action, const Tokens& eos, TokenBytes& token_bytes);

  // Append a query for the most likely next tokens of each beam. The masks of the queries are
  // valid until the next call.
  void add_queries(const Tokens& base, std::vector<TreeQuery>& queries);

  // Extend the beams with the answers to the queries; returns whether the search is finished.
  bool receive(const std::vector<const TreeScores*>& answers);

  // The finished texts, best first; empty if no token was allowed.
  const std::vector<Hypothesis>& finished() const { return finished_; }
  double score(const Hypothesis& hypothesis) const;

  bool at_first_step() const { return beams_.front().tokens.empty(); }

 private:
  const std::uint8_t* mask(const StopState& state);
  StopState next_stop_state(const StopState& state, std::int32_t token) const;
  Hypothesis extended(const Hypothesis& hypothesis, std::int32_t token, double logprob);
  bool can_still_win() const;

  const Action& action_;
  const Tokens& eos_;
  TokenBytes& token_bytes_;
  std::size_t top_k_;
  std::vector<Hypothesis> beams_{1};
  std::vector<Hypothesis> finished_;
  // Masks of texts within a stop string.
  std::vector<Mask> masks_;
};

}  // namespace autocog
