// The gradient seen layer by layer, on a fixed sample of rows.
#pragma once
#include <cmath>
#include <tuple>

#include "losses.hpp"

namespace schuss::SCHUSS_BUILD {

// Sum of f over the real entries of [slice][feature][P], slices `stride` features apart.
template <class F> double sum_batch(const float *values, int features, long stride, Batch batch, F f) {
  double sum = 0;
  for (int s = 0; s < batch.slices(); s++) sum += sum_over(values + s * stride * P, features, batch.lanes(s), f);
  return sum;
}

// Share of rows x units whose slope is below 1 % of the largest, and of units whose slope is 0 on every row.
inline std::pair<double, double> saturated_and_dead(const Layer &layer, Batch batch) {
  if (!layer.slope) return {0, 0};
  const int units = layer.shape.outputs;
  const float low = static_cast<float>(0.01 * layer.largest_slope);  // a slope of exactly 1 % is not below it
  int saturated = 0, dead = 0;
  for (int unit = 0; unit < units; unit++) {
    int alive = 0;
    for (int s = 0; s < batch.slices(); s++) {
      const float *slope = layer.slope + (static_cast<long>(s) * units + unit) * P;
      for (int lane = 0; lane < batch.lanes(s); lane++) {
        saturated += std::fabs(slope[lane]) < low;
        alive |= slope[lane] != 0;
      }
    }
    dead += !alive;
  }
  return {saturated / (static_cast<double>(units) * batch.rows), static_cast<double>(dead) / units};
}

// Appends [layer][quantity] for the rows now in the stack, whose gradient block is overwritten. `previous` holds the
// parameters before the last update, or nothing.
inline void measure_flow(Stack &stack, Loss &loss, const float *previous, std::vector<double> &flow) {
  const std::size_t start = flow.size();
  const Batch batch = stack.batch();
  flow.resize(start + static_cast<std::size_t>(stack.depth()) * kQuantities);
  const auto row = [&](int i) { return flow.data() + start + static_cast<std::size_t>(i) * kQuantities; };

  for (int i = 0; i < stack.depth(); i++) {
    const int units = stack.layer(i).shape.outputs;
    const double n = static_cast<double>(units) * batch.rows;
    stack.forward_z(i);
    row(i)[kZMean] = sum_batch(stack.z(i), units, units, batch, value_of) / n;
    row(i)[kZRms] = std::sqrt(sum_batch(stack.z(i), units, units, batch, square_of) / n);
    stack.activate(i);
    row(i)[kActivationMean] = sum_batch(stack.values(i), units, units, batch, value_of) / n;
    row(i)[kActivationRms] = std::sqrt(sum_batch(stack.values(i), units, units, batch, square_of) / n);
    std::tie(row(i)[kSaturated], row(i)[kDead]) = saturated_and_dead(stack.layer(i), batch);
  }
  loss(batch.rows);
  for (int i = stack.depth() - 1; i >= 0; i--) {
    const int units = stack.layer(i).shape.outputs;
    const double n = static_cast<double>(units) * batch.rows;
    row(i)[kDelta] = batch.rows * std::sqrt(sum_batch(stack.delta(i), units, stack.padded(i), batch, square_of) / n);
    stack.backward(i, false);
  }
  for (int i = 0; i < stack.depth(); i++) {
    const double n = static_cast<double>(stack.layer(i).shape.inputs) * stack.layer(i).shape.outputs;
    row(i)[kWeightGradient] = std::sqrt(stack.sum_weights(stack.gradient(), i, square_of) / n);
    row(i)[kUpdateRatio] = std::numeric_limits<double>::quiet_NaN();
  }
  if (!previous) return;
  float *update = stack.gradient();  // no longer needed
  for (long i = 0; i < stack.block(); i++) update[i] = stack.parameters()[i] - previous[i];
  for (int i = 0; i < stack.depth(); i++) {
    const double before = stack.sum_weights(previous, i, square_of);
    if (before > 0) row(i)[kUpdateRatio] = std::sqrt(stack.sum_weights(update, i, square_of) / before);
  }
}

}  // namespace schuss::SCHUSS_BUILD
