#include "evaluator.h"

#include <numeric>

namespace autocog {

void Evaluator::settle(bool held) {
  if (!sure_ || (held && !lent)) forget();
}

const float* Evaluator::decode_step(const std::vector<int>& handles, const Tokens& tokens,
                                    const std::vector<int>& positions) {
  Batch batch;
  batch.tokens = tokens;
  batch.positions.assign(positions.begin(), positions.end());
  batch.sequences.assign(handles.begin(), handles.end());
  batch.first.resize(tokens.size());
  std::iota(batch.first.begin(), batch.first.end(), 0);
  batch.last.resize(tokens.size());
  std::iota(batch.last.begin(), batch.last.end(), 1);
  batch.wanted.assign(tokens.size(), 1);
  return context_.decode(batch, 0, batch.size());
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
