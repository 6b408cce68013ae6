#include "automaton/beam_search.h"

#include <algorithm>
#include <cmath>

namespace autocog {

namespace {

struct Candidate {
  double cost;  // negative log-probability of the extended text
  std::size_t beam;
  std::int32_t token;
  double logprob;
};

bool operator<(const Candidate& a, const Candidate& b) {
  if (a.cost != b.cost) return a.cost < b.cost;
  if (a.beam != b.beam) return a.beam < b.beam;
  return a.token < b.token;
}

}  // namespace

BeamSearch::BeamSearch(const Action& action, const Tokens& eos, TokenBytes& token_bytes)
    : action_(action), eos_(eos), token_bytes_(token_bytes) {
  // Enough candidates that `beams` of them do not end with EOS.
  const std::size_t ends = std::max<std::size_t>(1, eos.size());
  top_k_ = action.beams == 1 ? 1 : action.beams * (1 + ends);
}

void BeamSearch::add_queries(const Tokens& base, std::vector<TreeQuery>& queries) {
  masks_.clear();
  masks_.reserve(beams_.size());
  for (const Hypothesis& beam : beams_) {
    TreeQuery query;
    query.prefix.reserve(base.size() + beam.tokens.size());
    query.prefix.assign(base.begin(), base.end());
    query.prefix.insert(query.prefix.end(), beam.tokens.begin(), beam.tokens.end());
    query.top_at = {-1};
    query.top_k = top_k_;
    query.mask = mask(beam.stop_state);
    queries.push_back(std::move(query));
  }
}

bool BeamSearch::receive(const std::vector<const TreeScores*>& answers) {
  std::vector<Candidate> candidates;
  for (std::size_t beam = 0; beam < beams_.size(); ++beam) {
    const TreeScores& answer = *answers[beam];
    for (std::size_t i = 0; i < answer.top_tokens.size(); ++i) {
      if (answer.top_tokens[i] < 0) continue;
      const double logprob = answer.top_logprobs[i];
      candidates.push_back({-(beams_[beam].logprob + std::min(0.0, logprob)), beam,
                            answer.top_tokens[i], logprob});
    }
  }
  std::sort(candidates.begin(), candidates.end());
  if (candidates.size() > top_k_) candidates.resize(top_k_);
  if (candidates.empty()) return true;

  const auto width = static_cast<std::size_t>(action_.beams);
  std::vector<Hypothesis> open;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    // Later candidates would neither continue nor finish.
    if (i >= width && open.size() >= width) break;
    const Candidate& candidate = candidates[i];
    Hypothesis next = extended(beams_[candidate.beam], candidate.token, candidate.logprob);
    if (next.finish_reason == FinishReason::none) {
      if (open.size() < width) open.push_back(std::move(next));
    } else if (i < width) {
      // As in Transformers: a text that ends below the best `beams` candidates is no result.
      finished_.push_back(std::move(next));
    }
  }
  std::stable_sort(
      finished_.begin(), finished_.end(),
      [&](const Hypothesis& a, const Hypothesis& b) { return score(a) > score(b); });
  if (finished_.size() > width) finished_.resize(width);
  beams_ = std::move(open);
  if (beams_.empty()) return true;
  return finished_.size() == width && !(width > 1 && can_still_win());
}

double BeamSearch::score(const Hypothesis& hypothesis) const {
  return hypothesis.logprob /
         std::pow(static_cast<double>(hypothesis.tokens.size()), action_.length_penalty);
}

bool BeamSearch::can_still_win() const {
  // Whether the best beam can still get a better score than a finished text.
  const Hypothesis& best = beams_.front();
  const double length = action_.length_penalty > 0
                            ? action_.length
                            : static_cast<double>(best.tokens.size()) + 1;
  return best.logprob / std::pow(length, action_.length_penalty) > score(finished_.back());
}

const std::uint8_t* BeamSearch::mask(const StopState& state) {
  const AllowedTokens& allowed = action_.allowed;
  if (!allowed.unmasked) return nullptr;
  if (state.partial_stops.empty()) return allowed.unmasked->data();
  Mask mask = state.in_stop_only ? Mask(allowed.unmasked->size(), 0) : *allowed.unmasked;
  for (const auto& [stop, count] : state.partial_stops) mask[allowed.stops[stop][count]] = 1;
  masks_.push_back(std::move(mask));
  return masks_.back().data();
}

StopState BeamSearch::next_stop_state(const StopState& state, std::int32_t token) const {
  const AllowedTokens& allowed = action_.allowed;
  if (!allowed.is_constrained) return state;
  StopState next;
  next.in_stop_only = state.in_stop_only || !(*allowed.in_set)[token];
  const auto advance = [&](int stop, int count) {
    const Tokens& ids = allowed.stops[stop];
    if (ids[count] == token && count + 1 < static_cast<int>(ids.size())) {
      next.partial_stops.emplace_back(stop, count + 1);
    }
  };
  for (const auto& [stop, count] : state.partial_stops) advance(stop, count);
  if (!state.in_stop_only) {
    for (int stop = 0; stop < static_cast<int>(allowed.stops.size()); ++stop) {
      if (!allowed.stops[stop].empty()) advance(stop, 0);
    }
  }
  return next;
}

Hypothesis BeamSearch::extended(const Hypothesis& hypothesis, std::int32_t token,
                                double logprob) {
  Hypothesis next = hypothesis;
  logprob = std::min(0.0, logprob);
  next.tokens.push_back(token);
  next.logprobs.push_back(logprob);
  next.logprob += logprob;
  next.raw += token_bytes_.of(token);
  next.text_bytes = next.raw.size();
  if (std::find(eos_.begin(), eos_.end(), token) != eos_.end()) {
    next.finish_reason = FinishReason::eos;
  } else if (const int start = find_first_stop(next.raw, hypothesis.raw.size(), action_.stops);
             start >= 0) {
    next.finish_reason = FinishReason::stop;
    next.text_bytes = start;
  } else if (static_cast<int>(next.tokens.size()) == action_.length) {
    next.finish_reason = FinishReason::length;
  }
  next.stop_state = next_stop_state(hypothesis.stop_state, token);
  return next;
}

}  // namespace autocog
