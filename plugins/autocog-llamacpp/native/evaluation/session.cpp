#include "evaluation/session.h"

#include <algorithm>
#include <cstdint>

#include "evaluation/logits.h"

namespace autocog {

namespace {

// As many as in core's toolkit/logits_cache.py.
constexpr std::size_t kMostRows = 32;

// FNV-1a (Fowler, Noll, Vo), token by token.
std::size_t digest_of(const Tokens& tokens) {
  std::uint64_t digest = 0xcbf29ce484222325ULL;
  for (const auto token : tokens) {
    digest = (digest ^ static_cast<std::uint32_t>(token)) * 0x100000001b3ULL;
  }
  return static_cast<std::size_t>(digest);
}

}  // namespace

Session::Session(const Api& api, llama_context* pointer, const volatile char* stop, Limits limits,
                 bool recurrent)
    : context_(api, pointer, stop, limits),
      evaluator_(recurrent ? make_state_evaluator(context_) : make_tree_evaluator(context_)) {}

std::vector<Answer> Session::score_trees(const std::vector<Query>& queries) {
  Answers answers(queries, context_.limits.width);
  Forest& forest = answers.forest;
  // Several queries may begin at the same node; the first of each is looked at.
  std::vector<int> query_of(forest.size(), -1);
  for (int number = static_cast<int>(queries.size()) - 1; number >= 0; --number) {
    query_of[answers.roots[number]] = number;
  }
  for (std::size_t number = 0; number < queries.size(); ++number) {
    const int node = answers.roots[number];
    if (query_of[node] != static_cast<int>(number) || !forest.wanted[node]) continue;
    const Tokens& prefix = queries[number].prefix;
    const auto known = find(digest_of(prefix), prefix);
    if (known == rows_.end()) continue;
    rows_.splice(rows_.end(), rows_, known);
    forest.wanted[node] = 0;
    answers.add({node}, known->logits.data());
  }
  const bool any = std::find(forest.wanted.begin(), forest.wanted.end(), 1) != forest.wanted.end();
  if (any) {
    evaluator_->evaluate(forest, [&](const std::vector<int>& nodes, const float* logits) {
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const int number = query_of[nodes[i]];
        if (number >= 0) keep(queries[number].prefix, logits + i * context_.limits.width);
      }
      answers.add(nodes, logits);
    });
  }
  return answers.take();
}

std::vector<float> Session::row(const Tokens& tokens) {
  std::vector<float> row = row_after(*evaluator_, tokens, context_.limits.width);
  const double whole = total(row.data(), row.size());
  for (float& value : row) {
    const double logprob = value - whole;
    // Rounding may put it above 0; NaN stays what it is.
    value = static_cast<float>(logprob > 0 ? 0.0 : logprob);
  }
  return row;
}

void Session::forget() {
  rows_.clear();
  evaluator_->forget();
}

std::list<Session::KeptRow>::iterator Session::find(std::size_t digest, const Tokens& tokens) {
  return std::find_if(rows_.begin(), rows_.end(), [&](const KeptRow& kept) {
    return kept.digest == digest && kept.tokens == tokens;
  });
}

void Session::keep(const Tokens& tokens, const float* logits) {
  const std::size_t digest = digest_of(tokens);
  auto place = find(digest, tokens);
  if (place == rows_.end()) {
    // The memory of the oldest is used again.
    place = rows_.size() < kMostRows ? rows_.insert(rows_.end(), KeptRow()) : rows_.begin();
    place->digest = digest;
    place->tokens = tokens;
  }
  place->logits.assign(logits, logits + context_.limits.width);
  rows_.splice(rows_.end(), rows_, place);
}

}  // namespace autocog
