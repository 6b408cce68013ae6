#include "automaton/beam_search.h"

#include <algorithm>
#include <cmath>

namespace autocog {

namespace {

struct Candidate {
  double total;  // negative: the best first
  std::size_t beam;
  std::int32_t token;
  double logprob;
};

bool operator<(const Candidate& a, const Candidate& b) {
  if (a.total != b.total) return a.total < b.total;
  if (a.beam != b.beam) return a.beam < b.beam;
  return a.token < b.token;
}

}  // namespace

Search::Search(const Action& action, const Tokens& eos, Pieces& pieces)
    : action_(action), eos_(eos), pieces_(pieces) {
  // Among as many candidates there surely are `beams` that no end of sequence has ended.
  const std::size_t ends = std::max<std::size_t>(1, eos.size());
  most_ = action.beams == 1 ? 1 : action.beams * (1 + ends);
}

void Search::ask(const Tokens& base, std::vector<Query>& queries) {
  masks_.clear();
  masks_.reserve(live_.size());
  for (const GrowingText& text : live_) {
    Query query;
    query.prefix.reserve(base.size() + text.tokens.size());
    query.prefix.assign(base.begin(), base.end());
    query.prefix.insert(query.prefix.end(), text.tokens.begin(), text.tokens.end());
    query.top_at = {-1};
    query.top_k = most_;
    query.mask = mask(text.state);
    queries.push_back(std::move(query));
  }
}

bool Search::take(const std::vector<const Answer*>& answers) {
  std::vector<Candidate> candidates;
  for (std::size_t beam = 0; beam < live_.size(); ++beam) {
    const Answer& answer = *answers[beam];
    for (std::size_t i = 0; i < answer.top_tokens.size(); ++i) {
      if (answer.top_tokens[i] < 0) continue;
      const double logprob = answer.top_logprobs[i];
      candidates.push_back({-(live_[beam].logprob + std::min(0.0, logprob)), beam,
                            answer.top_tokens[i], logprob});
    }
  }
  std::sort(candidates.begin(), candidates.end());
  if (candidates.size() > most_) candidates.resize(most_);
  if (candidates.empty()) return true;

  const auto beams = static_cast<std::size_t>(action_.beams);
  std::vector<GrowingText> going;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    // No more are needed: what ends from here on is no result.
    if (i >= beams && going.size() >= beams) break;
    const Candidate& candidate = candidates[i];
    GrowingText text = plus(live_[candidate.beam], candidate.token, candidate.logprob);
    if (text.finish == Finish::none) {
      if (going.size() < beams) going.push_back(std::move(text));
    } else if (i < beams) {
      // As in Transformers: what ends below the best `beams` candidates is no result.
      pool_.push_back(std::move(text));
    }
  }
  std::stable_sort(pool_.begin(), pool_.end(), [&](const GrowingText& a, const GrowingText& b) {
    return score(a) > score(b);
  });
  if (pool_.size() > beams) pool_.resize(beams);
  live_ = std::move(going);
  if (live_.empty()) return true;
  return pool_.size() == beams && !(beams > 1 && may_win());
}

double Search::score(const GrowingText& text) const {
  return text.logprob / std::pow(static_cast<double>(text.tokens.size()), action_.length_penalty);
}

bool Search::may_win() const {
  // Whether the best that goes on could still come out better than a finished one.
  const GrowingText& text = live_.front();
  const double length = action_.length_penalty > 0
                            ? action_.length
                            : static_cast<double>(text.tokens.size()) + 1;
  return text.logprob / std::pow(length, action_.length_penalty) > score(pool_.back());
}

const std::uint8_t* Search::mask(const StopState& state) {
  const Allowed& allowed = action_.allowed;
  if (!allowed.free) return nullptr;
  if (state.begun.empty()) return allowed.free->data();
  Mask mask = state.bound ? Mask(allowed.free->size(), 0) : *allowed.free;
  for (const auto& [stop, count] : state.begun) mask[allowed.stops[stop][count]] = 1;
  masks_.push_back(std::move(mask));
  return masks_.back().data();
}

StopState Search::after(const StopState& state, std::int32_t token) const {
  const Allowed& allowed = action_.allowed;
  if (!allowed.limited) return state;
  StopState next;
  next.bound = state.bound || !(*allowed.in_set)[token];
  const auto go_on = [&](int stop, int count) {
    const Tokens& ids = allowed.stops[stop];
    if (ids[count] == token && count + 1 < static_cast<int>(ids.size())) {
      next.begun.emplace_back(stop, count + 1);
    }
  };
  for (const auto& [stop, count] : state.begun) go_on(stop, count);
  if (!state.bound) {
    for (int stop = 0; stop < static_cast<int>(allowed.stops.size()); ++stop) {
      if (!allowed.stops[stop].empty()) go_on(stop, 0);
    }
  }
  return next;
}

GrowingText Search::plus(const GrowingText& text, std::int32_t token, double logprob) {
  GrowingText grown = text;
  logprob = std::min(0.0, logprob);
  grown.tokens.push_back(token);
  grown.logprobs.push_back(logprob);
  grown.logprob += logprob;
  grown.raw += pieces_.of(token);
  grown.size = grown.raw.size();
  if (std::find(eos_.begin(), eos_.end(), token) != eos_.end()) {
    grown.finish = Finish::eos;
  } else if (const int start = first_stop(grown.raw, text.raw.size(), action_.stops); start >= 0) {
    grown.finish = Finish::stop;
    grown.size = start;
  } else if (static_cast<int>(grown.tokens.size()) == action_.length) {
    grown.finish = Finish::length;
  }
  grown.state = after(text.state, token);
  return grown;
}

}  // namespace autocog
