#include "evaluation/evaluator.h"

#include <numeric>

#include "llama/errors.h"

namespace autocog {

void Evaluator::recover(bool finishing) {
  isolated_start_.reset();
  if (!consistent_ || (active_sequences() > 0 && !in_use && !finishing)) clear();
}

void Evaluator::end_isolated(const Tokens& start) {
  if (keep_only(start)) isolated_start_ = start;
}

const float* Evaluator::step(const std::vector<int>& handles, const Tokens& tokens) {
  recover();
  consistent_ = false;
  Batch batch;
  for (const int handle : handles) {
    batch.positions.push_back(length_of(handle));
    if (batch.positions.back() < 0) {
      throw RequestError("another call on the model has ended this completion",
                         "in on_text, make no calls that fail or need more memory than is free");
    }
  }
  make_step_room(static_cast<int>(handles.size()));
  batch.tokens = tokens;
  batch.sequences.assign(handles.begin(), handles.end());
  batch.first.resize(tokens.size());
  std::iota(batch.first.begin(), batch.first.end(), 0);
  batch.last.resize(tokens.size());
  std::iota(batch.last.begin(), batch.last.end(), 1);
  batch.needs_logits.assign(tokens.size(), 1);
  const float* rows = context_.decode(batch, 0, batch.size());
  record_step(handles, tokens);
  consistent_ = true;
  return rows;
}

std::vector<float> logits_after(Evaluator& evaluator, const Tokens& tokens, int width) {
  std::vector<float> row;
  PrefixForest forest(1);
  forest.needs_row[forest.add_path(tokens, 0)] = 1;
  evaluator.evaluate(forest, [&](const std::vector<int>&, const float* logits) {
    row.assign(logits, logits + width);
  });
  return row;
}

}  // namespace autocog
