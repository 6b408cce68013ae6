#include "automaton/branches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "automaton/choice_scores.h"

namespace autocog {

namespace {

// Indices of texts without duplicates, ascending. Of equal texts the best-ranked one counts; of
// equal ranks the first.
std::vector<std::size_t> unique_texts(const std::vector<std::string>& texts,
                                      const std::vector<double>& ranks) {
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ranks[a] > ranks[b]; });
  std::vector<std::size_t> unique;
  for (const std::size_t index : order) {
    const bool is_duplicate =
        std::any_of(unique.begin(), unique.end(),
                    [&](std::size_t other) { return texts[other] == texts[index]; });
    if (!is_duplicate) unique.push_back(index);
  }
  std::sort(unique.begin(), unique.end());
  return unique;
}

// A branch without the numbers of its choice.
Branch to_branch(const PreparedStep& step, int choice) {
  Branch branch;
  for (int i = step.path_starts[choice]; i < step.path_starts[choice + 1]; ++i) {
    branch.node.tokens.push_back(step.tokens[step.path_nodes[i]]);
  }
  if (step.eos > 0) branch.node.tokens.push_back(step.eos_token);
  branch.node.choice = choice;
  branch.kept_tokens = step.kept_tokens[choice];
  branch.retokenized_bytes = step.retokenized_bytes[choice];
  branch.node.retokenized = !branch.retokenized_bytes.empty();
  return branch;
}

}  // namespace

std::vector<Branch> choice_branches(const PreparedStep& step, const Action& action,
                                    const TreeScores* answers) {
  const double* values = answers[0].values.data() + step.text_count();
  const double* unconditional = step.unconditional.empty() ? nullptr : answers[1].values.data();
  ChoiceScores scores = choice_scores(step, action.norm, values, unconditional);
  std::vector<Branch> branches;
  for (int choice = 0; choice < action.choices; ++choice) {
    Branch branch = to_branch(step, choice);
    branch.node.logprobs = std::move(scores.token_logprobs[choice]);
    branch.node.prob = scores.prob[choice];
    branch.rank = scores.rank[choice];
    branch.logprob = scores.logprob[choice];
    branches.push_back(std::move(branch));
  }
  return branches;
}

std::vector<Branch> best_branches(const PreparedStep& step, const ChoiceSearch& search, int top,
                                  const std::set<int>& exhausted) {
  const std::vector<double> probs = search.probs();
  std::vector<Branch> branches;
  for (const int position : search.best()) {
    if (top == 0) break;
    Branch branch = to_branch(step, search.choice(position));
    branch.node.logprobs = search.token_logprobs(position);
    branch.node.prob = std::nullopt;
    if (probs.empty()) {
      branch.node.prob_bounds = search.prob_bounds(position);
    } else {
      branch.node.prob = probs[position];
    }
    branch.rank = search.score(position);
    branch.logprob = search.logprob(position);
    top -= exhausted.count(branch.node.choice) == 0;
    branches.push_back(std::move(branch));
  }
  std::sort(branches.begin(), branches.end(),
            [](const Branch& a, const Branch& b) { return a.node.choice < b.node.choice; });
  return branches;
}

std::vector<Branch> text_branches(const BeamSearch& search, TokenBytes& token_bytes) {
  const std::vector<Hypothesis>& hypotheses = search.finished();
  std::vector<std::string> texts;
  std::vector<double> ranks;
  for (const Hypothesis& hypothesis : hypotheses) {
    texts.push_back(decode_utf8_lossy(hypothesis.raw.substr(0, hypothesis.text_bytes)));
    ranks.push_back(search.score(hypothesis));
  }
  const std::vector<std::size_t> unique = unique_texts(texts, ranks);
  std::vector<double> unique_ranks;
  for (const std::size_t index : unique) unique_ranks.push_back(ranks[index]);
  const std::vector<double> probs = softmax(unique_ranks);

  std::vector<Branch> branches(hypotheses.size());
  for (std::size_t index = 0; index < hypotheses.size(); ++index) {
    const Hypothesis& hypothesis = hypotheses[index];
    Branch& branch = branches[index];
    const auto entry = std::find(unique.begin(), unique.end(), index);
    branch.node.text = hypothesis.raw.substr(0, hypothesis.text_bytes);
    branch.node.tokens = hypothesis.tokens;
    branch.node.logprobs = hypothesis.logprobs;
    branch.node.finish_reason = hypothesis.finish_reason;
    branch.node.prob = entry == unique.end() ? 0.0 : probs[entry - unique.begin()];
    if (entry == unique.end()) branch.node.pruned_by = PrunedBy::duplicate;
    branch.rank = ranks[index];
    branch.logprob = hypothesis.logprob;
    branch.kept_tokens = static_cast<int>(hypothesis.tokens.size());
    if (hypothesis.finish_reason == FinishReason::eos) {
      --branch.kept_tokens;
    } else if (hypothesis.finish_reason == FinishReason::stop) {
      TextSplit split = split_tokens(token_bytes, hypothesis.tokens, hypothesis.text_bytes);
      branch.kept_tokens = split.kept_tokens;
      branch.retokenized_bytes = std::move(split.retokenized_bytes);
    }
    branch.node.retokenized = !branch.retokenized_bytes.empty();
  }
  return branches;
}

void prune_branches(const BranchSelection& selection, std::vector<Branch>& branches) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    if (branches[i].node.pruned_by == PrunedBy::none) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return branches[a].rank > branches[b].rank;
  });
  for (std::size_t position = 1; position < order.size(); ++position) {
    Branch& branch = branches[order[position]];
    const auto count = static_cast<double>(std::max<std::size_t>(1, branch.node.logprobs.size()));
    const double prob = selection.on_mean ? std::exp(branch.logprob / count) : branch.node.prob.value_or(1.0);
    if (selection.width >= 0 && position >= static_cast<std::size_t>(selection.width)) {
      branch.node.pruned_by = PrunedBy::width;
    } else if (prob < selection.threshold) {
      branch.node.pruned_by = PrunedBy::threshold;
    }
  }
}

}  // namespace autocog
