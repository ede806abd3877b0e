// Batch, layer and RMS normalization: z = gain·x̂ + shift with x̂ = (x − mean)·rate, rate = 1/√(variance + ε).
//
// Mean and rate belong to a feature, over the rows of the batch (batch norm), or to a row, over its features (layer and
// RMS norm; the mean of RMS norm is 0). The way back, with g = gain·δ, is the same for all:
//     ∂loss/∂x = rate·(g − mean(g) − x̂·mean(g·x̂))
// with means over whatever the mean of x was taken over; RMS norm leaves out the first.
#pragma once
#include "engine.hpp"
#include "gemm.hpp"

namespace schuss::SCHUSS_BUILD {

constexpr float kNormEpsilon = 1e-5f, kBatchMomentum = 0.1f;

// f(0) + ... + f(count - 1). Four partial sums hide the latency of addition.
template <class F> SCHUSS_INLINE inline Vec sum_of(int count, F f) {
  Vec sum[4] = {};
  int j = 0;
  for (; j + 4 <= count; j += 4) unroll<4>([&](auto k) SCHUSS_INLINE { sum[k] += f(j + k); });
  for (; j < count; j++) sum[0] += f(j);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
template <class F> SCHUSS_INLINE inline Vec mean_of(int count, F f) {
  return sum_of(count, f) / static_cast<float>(count);
}

// means[feature] = the mean of f(x, feature) over the rows of a batch. `turned` is [panel][row][P features]. The sums
// of P rows each are added in double: a full batch may have a million rows.
template <class F> void means_over_rows(Shape s, Batch batch, const float *turned, float *means, F f) {
  const long samples = static_cast<long>(batch.slices()) * P;
  for (int lane = 0; lane < s.outputs; lane += V) {
    const float *t = turned + lane / P * samples * P + lane % P;
    double total[V] = {};
    for (int row = 0; row < batch.rows; row += P) {
      const Vec sum = sum_of(std::min(P, batch.rows - row), [&](int k) SCHUSS_INLINE {
        return f(load(t + static_cast<long>(row + k) * P), lane);
      });
      for (int i = 0; i < V; i++) total[i] += static_cast<double>(sum[i]);
    }
    for (int i = 0; i < V; i++) means[lane + i] = static_cast<float>(total[i] / batch.rows);
  }
}

// One layer of normalization: its statistics, and the passes over slices [feature][P rows] that need them.
class Norm {
 public:
  Norm(Kind kind, Shape shape, int slices) : kind_(kind), shape_(shape) {
    const int count = over_rows() ? shape.panels() * P : slices * P;
    for (Aligned<float> *each : {&mean_, &rate_, &mean_g_, &mean_gx_}) *each = Aligned<float>(count);
    if (over_rows()) running_ = Aligned<float>(2 * count);
  }

  bool over_rows() const { return kind_ == Kind::batch_norm; }
  bool has_shift() const { return kind_ != Kind::rms_norm; }

  // ---- what must be known before a slice is normalized
  // Mean and rate of the rows of a slice, each over its features.
  void measure_slice(Batch batch, int slice, const float *x) {
    for (int lane = 0; lane < batch.vectors(slice) * V; lane += V) {
      const auto entry = [&](int j) SCHUSS_INLINE { return load(x + static_cast<long>(j) * P + lane); };
      const Vec mean = kind_ == Kind::layer_norm ? mean_of(shape_.outputs, entry) : Vec{};
      const Vec variance = mean_of(shape_.outputs, [&](int j) SCHUSS_INLINE {
        const Vec distance = entry(j) - mean;
        return distance * distance;
      });
      store(mean_.data() + slice * P + lane, mean);
      store(rate_.data() + slice * P + lane, 1 / sqrt(variance + kNormEpsilon));
    }
  }
  // Or of every feature over the batch, whose inputs are turned. Notes where the running statistics go from here.
  void measure_batch(Batch batch, const float *turned, const float *running) {
    means_over_rows(shape_, batch, turned, mean_.data(), [](Vec x, int) SCHUSS_INLINE { return x; });
    means_over_rows(shape_, batch, turned, rate_.data(), [&](Vec x, int feature) SCHUSS_INLINE {
      const Vec distance = x - load(mean_.data() + feature);
      return distance * distance;
    });
    const float unbiased = static_cast<float>(static_cast<double>(batch.rows) / std::max(1, batch.rows - 1));
    const int n = width();
    for (int j = 0; j < n; j += V) {
      const Vec mean = load(mean_.data() + j), variance = load(rate_.data() + j);
      store(running_.data() + j, step(load(running + j), mean));
      store(running_.data() + n + j, step(load(running + n + j), variance * unbiased));
      store(rate_.data() + j, 1 / sqrt(variance + kNormEpsilon));
    }
  }
  // Or as the running statistics say: the mean, then the variance of every feature.
  void use_running(const float *running) {
    const int n = width();
    std::copy_n(running, n, mean_.data());
    for (int j = 0; j < n; j += V) store(rate_.data() + j, 1 / sqrt(load(running + n + j) + kNormEpsilon));
  }
  // As they are after the batch that was measured last.
  const float *running() const { return running_.data(); }
  int width() const { return shape_.panels() * P; }  // floats of a vector with one number a feature

  // ---- over a slice
  // z = gain·x̂ + shift.
  void forward(Batch batch, int slice, const float *x, const float *gain, const float *shift, float *z) const {
    each(batch, slice, [&](int j, long at, const Statistics &s) SCHUSS_INLINE {
      store(z + at, s.normal(load(x + at)) * gain[j] + (shift ? shift[j] : 0.f));
    });
  }
  // δ·x̂, of which the gradient of the gain is the sum over the rows. Of rows also takes the means of g and g·x̂.
  void multiply(Batch batch, int slice, const float *x, const float *delta, const float *gain, float *product) {
    if (over_rows())
      return each(batch, slice, [&](int, long at, const Statistics &s) SCHUSS_INLINE {
        store(product + at, load(delta + at) * s.normal(load(x + at)));
      });
    for (int lane = 0; lane < batch.vectors(slice) * V; lane += V) {
      const int row = slice * P + lane;
      const Vec mean = load(mean_.data() + row), rate = load(rate_.data() + row);
      store(mean_gx_.data() + row, mean_of(shape_.outputs, [&](int j) SCHUSS_INLINE {
        const long at = static_cast<long>(j) * P + lane;
        const Vec result = load(delta + at) * ((load(x + at) - mean) * rate);
        store(product + at, result);
        return result * gain[j];
      }));
      if (kind_ == Kind::layer_norm)
        store(mean_g_.data() + row, mean_of(shape_.outputs, [&](int j) SCHUSS_INLINE {
          return load(delta + static_cast<long>(j) * P + lane) * gain[j];
        }));
    }
  }
  // ∂loss/∂x, times the slope of the layer before unless it is null. The means of g and g·x̂ must be there.
  void backward(Batch batch, int slice, const float *x, const float *delta, const float *gain, const float *slope,
                float *out) const {
    each(batch, slice, [&](int j, long at, const Statistics &s) SCHUSS_INLINE {
      // Rounded like the mean: of a single row, whose rate is 316, nothing must be left.
      const Vec g = opaque(load(delta + at) * gain[j]);
      const Vec result = (g - s.mean_g - s.normal(load(x + at)) * s.mean_gx) * s.rate;
      store(out + at, slope ? result * load(slope + at) : result);
    });
  }

  // ---- over the batch
  // The means of g and g·x̂ for every feature, and the gradients of gain and shift, from δ and δ·x̂, turned.
  void average_batch(Batch batch, const float *delta, const float *product, const float *gain, float *gain_gradient,
                     float *shift_gradient) {
    const auto average = [&](const float *turned, float *means, float *gradient) {
      means_over_rows(shape_, batch, turned, means, [](Vec x, int) SCHUSS_INLINE { return x; });
      for (int j = 0; j < width(); j += V) {
        store(gradient + j, load(means + j) * static_cast<float>(batch.rows));
        store(means + j, load(means + j) * load(gain + j));
      }
    };
    average(delta, mean_g_.data(), shift_gradient);
    average(product, mean_gx_.data(), gain_gradient);
  }

 private:
  static Vec step(Vec running, Vec batch) { return (1 - kBatchMomentum) * running + kBatchMomentum * batch; }
  // Those of one vector of a slice.
  struct Statistics {
    Vec mean, rate, mean_g, mean_gx;
    SCHUSS_INLINE Vec normal(Vec x) const { return (x - mean) * rate; }
  };
  template <class F> SCHUSS_INLINE Statistics statistics(F f) const {
    return {f(mean_.data()), f(rate_.data()), f(mean_g_.data()), f(mean_gx_.data())};
  }
  // f(feature, offset in the slice, statistics) for every vector of a slice.
  template <class F> void each(Batch batch, int slice, F f) const {
    const int features = shape_.outputs, vectors = batch.vectors(slice);
    if (over_rows()) {
      for (int j = 0; j < features; j++) {
        const Statistics all = statistics([j](const float *of) SCHUSS_INLINE { return broadcast(of[j]); });
        for (int k = 0; k < vectors; k++) f(j, static_cast<long>(j) * P + k * V, all);
      }
    } else {
      for (int lane = 0; lane < vectors * V; lane += V) {
        const int row = slice * P + lane;
        const Statistics all = statistics([row](const float *of) SCHUSS_INLINE { return load(of + row); });
        for (int j = 0; j < features; j++) f(j, static_cast<long>(j) * P + lane, all);
      }
    }
  }

  const Kind kind_;
  const Shape shape_;
  Aligned<float> mean_, rate_, mean_g_, mean_gx_;  // [feature], or [slice][P rows]
  Aligned<float> running_;                         // mean and variance of every feature
};

}  // namespace schuss::SCHUSS_BUILD
