#include "automaton/branches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "automaton/choice_scores.h"

namespace autocog {

std::vector<Branch> choice_branches(const Site& site, const Action& action, const Answer* answers) {
  const double* values = answers[0].values.data() + site.chain();
  const double* other = site.unconditional.empty() ? nullptr : answers[1].values.data();
  ChoiceScores scores = choice_scores(site, action.norm, values, other);
  std::vector<Branch> branches(action.choices);
  for (int choice = 0; choice < action.choices; ++choice) {
    Branch& branch = branches[choice];
    for (int i = site.path_starts[choice]; i < site.path_starts[choice + 1]; ++i) {
      branch.node.tokens.push_back(site.tokens[site.path_nodes[i]]);
    }
    if (site.eos > 0) branch.node.tokens.push_back(site.eos_token);
    branch.node.choice = choice;
    branch.node.logprobs = std::move(scores.logprobs[choice]);
    branch.node.prob = scores.prob[choice];
    branch.rank = scores.rank[choice];
    branch.logprob = scores.logprob[choice];
    branch.kept = site.kept[choice];
    branch.rest = site.rest[choice];
    branch.node.retokenized = !branch.rest.empty();
  }
  return branches;
}

std::vector<Branch> text_branches(const Search& search, Pieces& pieces) {
  const std::vector<GrowingText>& texts = search.found();
  // Of equal texts the best counts: they are ordered best first, equal ones by their places.
  std::vector<std::string> said;
  std::vector<double> ranks;
  std::vector<std::size_t> kept;
  for (const GrowingText& text : texts) {
    said.push_back(replaced(text.raw.substr(0, text.size)));
    ranks.push_back(search.score(text));
  }
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ranks[a] > ranks[b]; });
  for (const std::size_t number : order) {
    const bool known = std::any_of(kept.begin(), kept.end(),
                                   [&](std::size_t one) { return said[one] == said[number]; });
    if (!known) kept.push_back(number);
  }
  std::sort(kept.begin(), kept.end());
  std::vector<double> of_kept;
  for (const std::size_t number : kept) of_kept.push_back(ranks[number]);
  const std::vector<double> shares = softmax(of_kept);

  std::vector<Branch> branches(texts.size());
  for (std::size_t number = 0; number < texts.size(); ++number) {
    const GrowingText& text = texts[number];
    Branch& branch = branches[number];
    const auto place = std::find(kept.begin(), kept.end(), number);
    branch.node.text = text.raw.substr(0, text.size);
    branch.node.tokens = text.tokens;
    branch.node.logprobs = text.logprobs;
    branch.node.finish = text.finish;
    branch.node.prob = place == kept.end() ? 0.0 : shares[place - kept.begin()];
    if (place == kept.end()) branch.node.pruned = Pruned::duplicate;
    branch.rank = ranks[number];
    branch.logprob = text.logprob;
    branch.kept = static_cast<int>(text.tokens.size());
    if (text.finish == Finish::eos) {
      --branch.kept;
    } else if (text.finish == Finish::stop) {
      Split split = split_tokens(pieces, text.tokens, text.size);
      branch.kept = split.kept;
      branch.rest = std::move(split.rest);
    }
    branch.node.retokenized = !branch.rest.empty();
  }
  return branches;
}

void prune_branches(const Following& following, std::vector<Branch>& branches) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    if (branches[i].node.pruned == Pruned::none) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return branches[a].rank > branches[b].rank;
  });
  for (std::size_t place = 1; place < order.size(); ++place) {
    Branch& branch = branches[order[place]];
    const auto count = static_cast<double>(std::max<std::size_t>(1, branch.node.logprobs.size()));
    const double share =
        following.on_mean ? std::exp(branch.logprob / count) : branch.node.prob;
    if (following.width >= 0 && place >= static_cast<std::size_t>(following.width)) {
      branch.node.pruned = Pruned::width;
    } else if (share < following.threshold) {
      branch.node.pruned = Pruned::threshold;
    }
  }
}

}  // namespace autocog
