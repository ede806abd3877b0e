// Losses and scores of the rows in a stack. Samples run along the vector, so nothing is summed across lanes until a
// whole slice is done.
#pragma once
#include "layers.hpp"

namespace schuss::SCHUSS_BUILD {

// The losses of V rows, cross-entropies of softmax(z), shifted by the largest z: no overflow, and log >= log 1; times
// the rows' weights. Outputs lie `step` apart, and so do the d(mean over `rows` rows)/dz that are left in delta.
inline Vec softmax_losses(const float *z, int step, Int label, Vec weight, int outputs, int rows, float *delta) {
  Vec largest = load(z), total{}, chosen{};
  for (int j = 1; j < outputs; j++) {
    const Vec zj = load(z + j * step);
    largest = zj > largest ? zj : largest;
  }
  for (int j = 0; j < outputs; j++) {
    const Vec shifted = load(z + j * step) - largest, e = exp(shifted);
    chosen = label == j ? shifted : chosen;
    total += e;
    store(delta + j * step, e);
  }
  const Vec share = weight * (1.f / static_cast<float>(rows)), scale = share / total;
  for (int j = 0; j < outputs; j++)
    store(delta + j * step, load(delta + j * step) * scale - (label == j ? share : Vec{}));
  return weight * (log(total) - chosen);
}

// What label smoothing adds to these losses and to delta: s (z_label - mean z), since the target is then 1 - s at the
// label and, besides, s / outputs everywhere. The weights come times s.
inline Vec smoothing_losses(const float *z, int step, Int label, Vec weight, int outputs, int rows, float *delta) {
  Vec chosen{}, sum{};
  const Vec share = weight / static_cast<float>(rows), everywhere = share / static_cast<float>(outputs);
  for (int j = 0; j < outputs; j++) {
    const Vec zj = load(z + j * step);
    chosen = label == j ? zj : chosen;
    sum += zj;
    store(delta + j * step, load(delta + j * step) + (label == j ? share : Vec{}) - everywhere);
  }
  return weight * (chosen - sum / static_cast<float>(outputs));
}

// For one thread.
class Loss {
 public:
  Loss(const Plan &plan, Stack &stack)
      : stack_(stack), outputs_(plan.outputs()), smoothing_(static_cast<float>(plan.smoothing)) {
    if (!plan.loss) return;
    program_ = plan.loss;
    scratch_ = Aligned<float>(Machine::scratch_size(*plan.loss));
    values_ = Aligned<float>(static_cast<std::size_t>(outputs_) * P);
    machine_ = std::make_unique<Machine>(*plan.loss, scratch_.data());
  }

  bool needs_targets() const { return machine_ != nullptr; }

  // The sum of the losses of the rows in a slice. Leaves d(mean loss)/dz in the delta of the last layer, where the
  // mean is over the `rows` rows of the whole batch, of which the stack may hold only a chunk.
  double operator()(int slice, int rows) { return machine_ ? elementwise(slice, rows) : softmax(slice, rows); }

 private:
  double softmax(int slice, int rows) {
    double sum = 0;
    for (int lane = 0; lane < stack_.batch().lanes(slice); lane += V) {
      const float *z = stack_.prediction() + static_cast<long>(slice) * outputs_ * P + lane;
      const Int label = load(stack_.labels.data() + slice * P + lane);
      const Vec weight = weights(slice, lane);
      float *delta = last_delta(slice) + lane;
      Vec loss = softmax_losses(z, P, label, weight, outputs_, rows, delta);
      if (smoothing_ > 0) loss += smoothing_losses(z, P, label, smoothing_ * weight, outputs_, rows, delta);
      const int real = std::min(V, stack_.batch().lanes(slice) - lane);
      for (int k = 0; k < real; k++) sum += loss[k];
    }
    stack_.through_slope(stack_.depth() - 1, slice);
    return sum;
  }

  // The mean over the outputs of a program of (prediction, target).
  double elementwise(int slice, int rows) {
    const long at = static_cast<long>(slice) * outputs_ * P;
    float *arrays[] = {stack_.prediction() + at, stack_.targets.data() + at, values_.data(), last_delta(slice)};
    machine_->run(arrays, static_cast<long>(outputs_) * P);
    for (int lane = 0; lane < P; lane += V)
      for (float *of : {values_.data() + lane, last_delta(slice) + lane})
        for (int j = 0; j < outputs_; j++) store(of + j * P, load(of + j * P) * weights(slice, lane));
    stack_.through_slope(stack_.depth() - 1, slice, static_cast<float>(1 / (static_cast<double>(rows) * outputs_)));
    return sum_over(values_.data(), outputs_, stack_.batch().lanes(slice), value_of) / outputs_;
  }

  Vec weights(int slice, int lane) const { return load(stack_.weights.data() + slice * P + lane); }
  float *last_delta(int slice) { return stack_.delta(stack_.depth() - 1, slice); }

  Stack &stack_;
  const int outputs_;
  const float smoothing_;
  ProgramPtr program_;
  Aligned<float> scratch_, values_;
  std::unique_ptr<Machine> machine_;
};

// The weight of the rows of a slice whose class is predicted: the largest output, or a single one against a threshold.
inline double weigh_correct(const Stack &stack, int slice, double threshold) {
  const int outputs = stack.layer(stack.depth() - 1).shape.outputs;
  double correct = 0;
  for (int lane = 0; lane < stack.batch().lanes(slice); lane += V) {
    const float *z = stack.prediction() + static_cast<long>(slice) * outputs * P + lane;
    Vec largest = load(z);
    Int predicted = outputs == 1 ? Int(largest > static_cast<float>(threshold)) & 1 : Int{};
    for (int j = 1; j < outputs; j++) {
      const Vec zj = load(z + j * P);
      const Int larger = (zj > largest) | ((zj != zj) & (largest == largest));  // NaN is the largest, as in NumPy
      predicted = larger ? Int{} + j : predicted;
      largest = larger ? zj : largest;
    }
    for (int k = 0; k < std::min(V, stack.batch().lanes(slice) - lane); k++)
      if (predicted[k] == stack.labels[slice * P + lane + k]) correct += stack.weights[slice * P + lane + k];
  }
  return correct;
}

inline double sum_squared_errors(const Stack &stack, int slice) {
  const int outputs = stack.layer(stack.depth() - 1).shape.outputs;
  double sum = 0;
  for (int j = 0; j < outputs; j++) {
    const long at = (static_cast<long>(slice) * outputs + j) * P;
    for (int lane = 0; lane < stack.batch().lanes(slice); lane++) {
      const double error = static_cast<double>(stack.prediction()[at + lane]) - stack.targets[at + lane];
      sum += error * (stack.weights[slice * P + lane] * error);
    }
  }
  return sum;
}

}  // namespace schuss::SCHUSS_BUILD
