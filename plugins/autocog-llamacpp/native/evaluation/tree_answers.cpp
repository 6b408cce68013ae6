#include "evaluation/tree_answers.h"

#include <cmath>
#include <limits>

#include "evaluation/logits.h"

namespace autocog {

Answers::Answers(const std::vector<Query>& queries, std::size_t width)
    : forest(static_cast<int>(queries.size())), queries_(queries), width_(width) {
  std::vector<Asked> asked;
  for (int number = 0; number < static_cast<int>(queries.size()); ++number) {
    const Query& query = queries[number];
    Answer answer;
    answer.values.assign(query.size, 0.0);
    answer.top_tokens.assign(query.top_at.size() * query.top_k, -1);
    answer.top_logprobs.assign(query.top_at.size() * query.top_k,
                               -std::numeric_limits<double>::infinity());
    answers_.push_back(std::move(answer));

    // Places without children that are not in top_at get no node: nobody asks what follows.
    std::vector<char> inner(query.size + 1, 0);
    for (std::size_t i = 0; i < query.size; ++i) inner[query.parents[i] + 1] = 1;
    for (const auto at : query.top_at) inner[at + 1] = 1;
    // By place + 1, the prefix at 0.
    std::vector<int> nodes(query.size + 1, -1);
    nodes[0] = forest.path(query.prefix, number);
    for (std::size_t i = 0; i < query.size; ++i) {
      if (!inner[i + 1]) continue;
      nodes[i + 1] = forest.child(nodes[query.parents[i] + 1], query.tokens[i], number);
      forest.wanted[nodes[i + 1]] = 1;
    }
    if (inner[0]) forest.wanted[nodes[0]] = 1;
    roots.push_back(nodes[0]);

    for (std::size_t i = 0; i < query.size; ++i) {
      asked.push_back({number, static_cast<int>(i)});
      nodes_.push_back(nodes[query.parents[i] + 1]);
    }
    for (std::size_t row = 0; row < query.top_at.size(); ++row) {
      asked.push_back({number, -1 - static_cast<int>(row)});
      nodes_.push_back(nodes[query.top_at[row] + 1]);
    }
  }
  begin_.assign(forest.size() + 1, 0);
  for (const int node : nodes_) ++begin_[node + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  std::vector<int> next(begin_.begin(), begin_.end() - 1);
  asked_.resize(asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i) asked_[next[nodes_[i]]++] = asked[i];
}

void Answers::add(const std::vector<int>& nodes, const float* logits) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const float* row = logits + i * width_;
    const double whole = total(row, width_);
    for (int each = begin_[nodes[i]]; each < begin_[nodes[i] + 1]; ++each) {
      const Asked& asked = asked_[each];
      const Query& query = queries_[asked.query];
      Answer& answer = answers_[asked.query];
      if (asked.place >= 0) {
        answer.values[asked.place] = static_cast<double>(row[query.tokens[asked.place]]) - whole;
        continue;
      }
      const std::size_t from = static_cast<std::size_t>(-1 - asked.place) * query.top_k;
      if (std::isnan(whole)) {
        // Not "nothing is allowed": what the model said must not look like an answer.
        for (std::size_t k = 0; k < query.top_k; ++k) answer.top_logprobs[from + k] = whole;
        continue;
      }
      const auto best = likeliest(row, width_, query.top_k, query.mask);
      for (std::size_t k = 0; k < best.size(); ++k) {
        answer.top_tokens[from + k] = best[k];
        answer.top_logprobs[from + k] = static_cast<double>(row[best[k]]) - whole;
      }
    }
  }
}

std::vector<Answer> Answers::take() {
  for (std::size_t i = 0; i < answers_.size(); ++i) answers_[i].evaluated = forest.evaluated[i];
  return std::move(answers_);
}

}  // namespace autocog
