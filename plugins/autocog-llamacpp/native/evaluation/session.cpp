#include "evaluation/session.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "evaluation/logits.h"

namespace autocog {

namespace {

// MAX_ROWS of core's toolkit/logits_cache.py.
constexpr std::size_t kMaxCachedRows = 32;

// FNV-1a (Fowler, Noll, Vo) over tokens.
std::size_t hash_tokens(const Tokens& tokens) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto token : tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x100000001b3ULL;
  }
  return static_cast<std::size_t>(hash);
}

}  // namespace

Session::Session(const LlamaApi& api, llama_context* pointer, const volatile char* stop,
                 Limits limits, bool recurrent)
    : context_(api, pointer, stop, limits),
      evaluator_(recurrent ? make_recurrent_evaluator(context_)
                           : make_attention_evaluator(context_)) {}

std::vector<TreeScores> Session::score_trees(const std::vector<TreeQuery>& queries) {
  TreeScoreCollector collector(queries, context_.limits.width);
  PrefixForest& forest = collector.forest;
  // The first query whose tree begins after each node.
  std::vector<int> query_of(forest.size(), -1);
  for (int query = static_cast<int>(queries.size()) - 1; query >= 0; --query) {
    query_of[collector.roots[query]] = query;
  }
  for (std::size_t query = 0; query < queries.size(); ++query) {
    const int node = collector.roots[query];
    if (query_of[node] != static_cast<int>(query) || !forest.needs_row[node]) continue;
    const Tokens& prefix = queries[query].prefix;
    const auto cached = find_row(hash_tokens(prefix), prefix);
    if (cached == cached_rows_.end()) continue;
    cached_rows_.splice(cached_rows_.end(), cached_rows_, cached);
    forest.needs_row[node] = 0;
    collector.add({node}, cached->logits.data());
  }
  const bool any =
      std::find(forest.needs_row.begin(), forest.needs_row.end(), 1) != forest.needs_row.end();
  if (any) {
    evaluator_->evaluate(forest, [&](const std::vector<int>& nodes, const float* logits) {
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const int query = query_of[nodes[i]];
        if (query >= 0) cache_row(queries[query].prefix, logits + i * context_.limits.width);
      }
      collector.add(nodes, logits);
    });
  }
  return collector.finish();
}

TreeScores Session::score_isolated(const TreeQuery& query, std::size_t start) {
  const Tokens first(query.prefix.begin(), query.prefix.begin() + start);
  const std::vector<TreeQuery> queries{query};
  TreeScoreCollector collector(queries, context_.limits.width);
  int evaluated = 0;
  if (!evaluator_->holds_isolated(first)) {
    evaluator_->clear();
    if (start > 0) logits_after(*evaluator_, first, context_.limits.width);
    evaluated = static_cast<int>(start);
  }
  // Without the cached rows: one row less changes the shape of the batch.
  evaluator_->evaluate(collector.forest,
                       [&](const std::vector<int>& nodes, const float* logits) {
                         collector.add(nodes, logits);
                       });
  evaluator_->end_isolated(first);
  TreeScores scores = std::move(collector.finish().front());
  scores.tokens_evaluated += evaluated;
  return scores;
}

std::vector<float> Session::row(const Tokens& tokens) {
  std::vector<float> row = logits_after(*evaluator_, tokens, context_.limits.width);
  const double normalizer = logsumexp_row(row.data(), row.size());
  for (float& value : row) {
    const double logprob = value - normalizer;
    // Rounding may put it above 0. NaN stays NaN.
    value = static_cast<float>(logprob > 0 ? 0.0 : logprob);
  }
  return row;
}

void Session::clear() {
  cached_rows_.clear();
  evaluator_->clear();
}

std::list<Session::CachedRow>::iterator Session::find_row(std::size_t hash, const Tokens& tokens) {
  return std::find_if(cached_rows_.begin(), cached_rows_.end(), [&](const CachedRow& cached) {
    return cached.hash == hash && cached.tokens == tokens;
  });
}

void Session::cache_row(const Tokens& tokens, const float* logits) {
  const std::size_t hash = hash_tokens(tokens);
  auto entry = find_row(hash, tokens);
  if (entry == cached_rows_.end()) {
    // Reuses the memory of the oldest row.
    entry = cached_rows_.size() < kMaxCachedRows
                ? cached_rows_.insert(cached_rows_.end(), CachedRow())
                : cached_rows_.begin();
    entry->hash = hash;
    entry->tokens = tokens;
  }
  entry->logits.assign(logits, logits + context_.limits.width);
  cached_rows_.splice(cached_rows_.end(), cached_rows_, entry);
}

}  // namespace autocog
