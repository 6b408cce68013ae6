// Beam search, one beam being greedy decoding: C++ counterpart of core's tree_complete.py and hypothesis.py.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "evaluation/tree_answers.h"
#include "automaton/automaton.h"
#include "automaton/token_text.h"

namespace autocog {

// Where a text is within its stops, if a set of tokens limits it.
struct StopState {
  // Stops whose first tokens are its last ones: (number, how many of its tokens are there).
  std::vector<std::pair<int, int>> begun;
  // A token outside the set was taken: only its stop can go on.
  bool bound = false;
};

// What was decided so far. Beams copy it when they go on.
struct GrowingText {
  Tokens tokens;
  std::vector<double> logprobs;
  double logprob = 0;
  std::string raw;       // its bytes, those of a stop included
  std::size_t size = 0;  // without the stop
  Finish finish = Finish::none;
  StopState state;
};

class Search {
 public:
  Search(const Action& action, const Tokens& eos, Pieces& pieces);

  // The likeliest next tokens after each text that goes on, in the order of `live`. The masks of
  // the queries live until the next call.
  void ask(const Tokens& base, std::vector<Query>& queries);

  // Go on with the answers to what was asked; whether it has come to its end.
  bool take(const std::vector<const Answer*>& answers);

  // The finished texts, best first, once it has come to its end; none: no token was allowed.
  const std::vector<GrowingText>& found() const { return pool_; }
  double score(const GrowingText& text) const;

  // Whether nothing was decided yet.
  bool begins() const { return live_.front().tokens.empty(); }

 private:
  const std::uint8_t* mask(const StopState& state);
  StopState after(const StopState& state, std::int32_t token) const;
  GrowingText plus(const GrowingText& text, std::int32_t token, double logprob);
  bool may_win() const;

  const Action& action_;
  const Tokens& eos_;
  Pieces& pieces_;
  std::size_t most_;
  std::vector<GrowingText> live_{1};
  std::vector<GrowingText> pool_;
  // Masks of texts within a stop.
  std::vector<Mask> masks_;
};

}  // namespace autocog
