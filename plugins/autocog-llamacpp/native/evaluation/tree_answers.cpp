#include "evaluation/tree_answers.h"

#include <cmath>
#include <limits>

#include "evaluation/logits.h"

namespace autocog {

TreeScoreCollector::TreeScoreCollector(const std::vector<TreeQuery>& queries, std::size_t width)
    : forest(static_cast<int>(queries.size())), queries_(queries), width_(width) {
  std::vector<Reading> readings;
  std::vector<int> reading_nodes;
  for (int index = 0; index < static_cast<int>(queries.size()); ++index) {
    const TreeQuery& query = queries[index];
    TreeScores scores;
    // NaN, not 0: what is never read must not look like certainty.
    constexpr double not_read = std::numeric_limits<double>::quiet_NaN();
    scores.values.assign(query.size, not_read);
    scores.top_tokens.assign(query.top_at.size() * query.top_k, -1);
    scores.top_logprobs.assign(query.top_at.size() * query.top_k, not_read);
    if (query.with_mask_logprobs) scores.mask_logprobs.assign(query.top_at.size(), not_read);
    scores_.push_back(std::move(scores));

    // Leaves outside of top_at get no node: the distribution after them is not needed.
    std::vector<char> is_inner(query.size + 1, 0);
    for (std::size_t i = 0; i < query.size; ++i) is_inner[query.parents[i] + 1] = 1;
    for (const auto at : query.top_at) is_inner[at + 1] = 1;
    // Forest nodes by tree node + 1; the prefix at 0.
    std::vector<int> nodes(query.size + 1, -1);
    nodes[0] = forest.add_path(query.prefix, index);
    for (std::size_t i = 0; i < query.size; ++i) {
      if (!is_inner[i + 1]) continue;
      nodes[i + 1] = forest.add_child(nodes[query.parents[i] + 1], query.tokens[i], index);
      forest.needs_row[nodes[i + 1]] = 1;
    }
    if (is_inner[0]) forest.needs_row[nodes[0]] = 1;
    roots.push_back(nodes[0]);

    for (std::size_t i = 0; i < query.size; ++i) {
      readings.push_back({index, static_cast<int>(i)});
      reading_nodes.push_back(nodes[query.parents[i] + 1]);
    }
    for (std::size_t row = 0; row < query.top_at.size(); ++row) {
      readings.push_back({index, -1 - static_cast<int>(row)});
      reading_nodes.push_back(nodes[query.top_at[row] + 1]);
    }
  }
  begin_.assign(forest.size() + 1, 0);
  for (const int node : reading_nodes) ++begin_[node + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  std::vector<int> next(begin_.begin(), begin_.end() - 1);
  readings_.resize(readings.size());
  for (std::size_t i = 0; i < readings.size(); ++i) {
    readings_[next[reading_nodes[i]]++] = readings[i];
  }
}

void TreeScoreCollector::add(const std::vector<int>& nodes, const float* logits) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const float* row = logits + i * width_;
    const double normalizer = logsumexp_row(row, width_);
    for (int j = begin_[nodes[i]]; j < begin_[nodes[i] + 1]; ++j) {
      const Reading& reading = readings_[j];
      const TreeQuery& query = queries_[reading.query];
      TreeScores& scores = scores_[reading.query];
      if (reading.target >= 0) {
        scores.values[reading.target] =
            static_cast<double>(row[query.tokens[reading.target]]) - normalizer;
        continue;
      }
      const std::size_t top_row = static_cast<std::size_t>(-1 - reading.target);
      const std::size_t begin = top_row * query.top_k;
      if (std::isnan(normalizer)) {
        // -inf would look like "no token is allowed".
        for (std::size_t k = 0; k < query.top_k; ++k) scores.top_logprobs[begin + k] = normalizer;
        continue;
      }
      if (query.with_mask_logprobs) {
        scores.mask_logprobs[top_row] = mask_logsumexp(row, width_, query.mask) - normalizer;
      }
      const auto best = top_k_ids(row, width_, query.top_k, query.mask);
      for (std::size_t k = 0; k < query.top_k; ++k) {
        if (k >= best.size()) {
          scores.top_logprobs[begin + k] = -std::numeric_limits<double>::infinity();
          continue;
        }
        scores.top_tokens[begin + k] = best[k];
        scores.top_logprobs[begin + k] = static_cast<double>(row[best[k]]) - normalizer;
      }
    }
  }
}

std::vector<TreeScores> TreeScoreCollector::finish() {
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    scores_[i].tokens_evaluated = forest.evaluated[i];
  }
  return std::move(scores_);
}

}  // namespace autocog
