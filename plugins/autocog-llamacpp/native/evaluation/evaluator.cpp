#include "evaluation/evaluator.h"

#include <numeric>

#include "llama/errors.h"

namespace autocog {

void Evaluator::settle(bool releasing) {
  if (!sure_ || (held() > 0 && !lent && !releasing)) forget();
}

const float* Evaluator::step(const std::vector<int>& handles, const Tokens& tokens) {
  settle();
  sure_ = false;
  Batch batch;
  for (const int handle : handles) {
    batch.positions.push_back(length_of(handle));
    if (batch.positions.back() < 0) {
      throw Refused("another call on the model has ended this completion",
                    "make no calls in on_text that fail, or ask for more than the memory holds");
    }
  }
  prepare_step(static_cast<int>(handles.size()));
  batch.tokens = tokens;
  batch.sequences.assign(handles.begin(), handles.end());
  batch.first.resize(tokens.size());
  std::iota(batch.first.begin(), batch.first.end(), 0);
  batch.last.resize(tokens.size());
  std::iota(batch.last.begin(), batch.last.end(), 1);
  batch.wanted.assign(tokens.size(), 1);
  const float* rows = context_.decode(batch, 0, batch.size());
  take_step(handles, tokens);
  sure_ = true;
  return rows;
}

std::vector<float> row_after(Evaluator& evaluator, const Tokens& tokens, int width) {
  std::vector<float> row;
  Forest forest(1);
  forest.wanted[forest.path(tokens, 0)] = 1;
  evaluator.evaluate(forest, [&](const std::vector<int>&, const float* logits) {
    row.assign(logits, logits + width);
  });
  return row;
}

}  // namespace autocog
