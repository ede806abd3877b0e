// Tiny networks, V at a time. Below the width of a panel most of the layout of `Stack` would be padding; here every
// scalar of the computation is a vector over V networks of one kind instead, each in a lane of its own:
//     activations, deltas   [sample][feature][lane]
//     parameters            [canonical order][lane]      that is, for each layer W by rows, then b
// No operation mixes lanes, so a network's bits depend neither on its lane nor on what the other lanes hold.
#pragma once
#include <cstring>

#include "losses.hpp"

namespace schuss::SCHUSS_BUILD {

// Rows and columns of C a micro-kernel holds in registers, beside a row of B and one element of A.
constexpr int kLaneRows = V == 16 ? 6 : 4, kLaneColumns = V == 16 ? 4 : 3;
// Samples at once; larger batches come in chunks, so that their activations stay near.
constexpr int kLaneChunk = 16;

// C(i, j) = start(j) + sum over k of A(i, k) B(k, j), where every element is a vector. Strides are in vectors.
struct LaneBlock {
  int depth;
  const float *a;
  int a_row, a_depth;
  const float *b;
  int b_depth, b_column;
  float *c;  // stored by rows
  int c_row;
  const float *start;   // one a column; or null
  bool accumulate;      // C += instead of C =
  const float *factor;  // like C, multiplies the result; or null
};

template <int rows, int columns> void lane_kernel(const LaneBlock &block, int row, int column) {
  const long a_row = block.a_row * V, a_depth = block.a_depth * V, b_depth = block.b_depth * V,
             b_column = block.b_column * V, c_row = block.c_row * V, corner = row * c_row + column * V;
  const float *a = block.a + row * a_row, *b = block.b + column * b_column;
  float *c = block.c + corner;
  Vec sum[rows][columns];
  const auto each = [&](auto f) SCHUSS_INLINE {
    unroll<rows>([&](auto i) SCHUSS_INLINE { unroll<columns>([&](auto j) SCHUSS_INLINE { f(i, j); }); });
  };
  each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] = block.start ? load(block.start + (column + j) * V) : Vec{}; });
  if (block.accumulate) each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] = load(c + i * c_row + j * V); });
  for (int k = 0; k < block.depth; k++, a += a_depth, b += b_depth) {
    Vec lane[columns], coefficient;
    unroll<columns>([&](auto j) SCHUSS_INLINE { lane[j] = load(b + j * b_column); });
    each([&](auto i, auto j) SCHUSS_INLINE {
      if (j == 0) coefficient = load(a + i * a_row);
      sum[i][j] += coefficient * lane[j];
    });
  }
  if (block.factor)
    each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] *= load(block.factor + corner + i * c_row + j * V); });
  each([&](auto i, auto j) SCHUSS_INLINE { store(c + i * c_row + j * V, sum[i][j]); });
}

using LaneKernel = void(const LaneBlock &block, int row, int column);
template <int... I> constexpr std::array<LaneKernel *, sizeof...(I)> lane_kernels(std::integer_sequence<int, I...>) {
  return {lane_kernel<I / kLaneColumns + 1, I % kLaneColumns + 1>...};
}

// Calls f(start, size) for nearly equal parts of at most `most`.
template <class F> SCHUSS_INLINE inline void split(int count, int most, F f) {
  for (int parts = (count + most - 1) / most, start = 0; parts > 0; parts--) {
    const int size = (count - start + parts - 1) / parts;
    f(start, size);
    start += size;
  }
}

inline void lane_product(int rows, int columns, const LaneBlock &block) {
  static constexpr auto table = lane_kernels(std::make_integer_sequence<int, kLaneRows * kLaneColumns>{});
  split(columns, kLaneColumns, [&](int column, int width) {
    split(rows, kLaneRows,
          [&](int row, int height) { table[(height - 1) * kLaneColumns + width - 1](block, row, column); });
  });
}

using PerLane = std::array<double, V>;

// The scalar code of a program for V networks. What is the same in all lanes is computed once: V powers of beta would
// cost as much as the update of the weights.
class LaneScalars {
 public:
  explicit LaneScalars(const Program &program)
      : program_(program),
        registers_(program.scalars + program.constants.size() + program.scalar_code.size() + 1),
        same_(registers_.size(), true) {
    for (std::size_t i = 0; i < program.constants.size(); i++)
      registers_[program.scalars + i].fill(program.constants[i]);
  }

  PerLane &input(int i) { return registers_[i]; }

  // Computes the scalars that the array code needs, a vector each.
  void prepare(float *broadcast) {
    for (int i = 0; i < program_.scalars; i++) same_[i] = same_bits(registers_[i]);
    for (const Instruction &i : program_.scalar_code) {
      const std::size_t a = operand(i.a), b = operand(i.b), c = operand(i.c);
      const bool same = same_[a] && same_[b] && same_[c];
      PerLane &result = registers_[i.destination];
      same_[i.destination] = same;
      for (int lane = 0; lane < (same ? 1 : V); lane++)
        result[lane] = apply(i.operation, registers_[a][lane], registers_[b][lane], registers_[c][lane]);
      if (same) result.fill(result[0]);
    }
    for (int i : program_.broadcast)
      for (double x : registers_[i]) *broadcast++ = static_cast<float>(x);
  }

 private:
  static bool same_bits(const PerLane &x) { return std::memcmp(&x[0], &x[1], sizeof x - sizeof x[0]) == 0; }
  std::size_t operand(int i) const { return i < 0 ? registers_.size() - 1 : i; }  // the last one stands for no operand

  const Program &program_;
  std::vector<PerLane> registers_;
  std::vector<char> same_;
};

// V networks of one kind, and the steps of an update of all of them.
class Lanes {
 public:
  using Orders = std::array<const int *, V>;

  explicit Lanes(const Plan &plan)
      : sizes_(sizes(plan)),
        softmax_(!plan.loss),
        smoothing_(static_cast<float>(plan.smoothing)),
        machines_(programs(plan)),
        scalars_(*plan.optimizer),
        count_(plan.parameter_count()),
        block_((count_ * V + P - 1) / P * P),
        memory_(block_ * (2 + plan.moments())) {
    constexpr std::size_t samples = kLaneChunk * V;
    const int widest = *std::max_element(sizes_.begin(), sizes_.end());
    for (int size : sizes_) values_.emplace_back(size * samples);
    for (const LayerPlan &l : plan.layers) slopes_.emplace_back(is_identity(*l.activation) ? 0 : l.outputs * samples);
    for (Aligned<float> &buffer : delta_) buffer = Aligned<float>(widest * samples);
    targets_ = Aligned<float>(sizes_.back() * samples);
    losses_ = Aligned<float>(sizes_.back() * samples);
    labels_ = Aligned<int>(samples);
    weights_ = Aligned<float>(samples);
    std::fill_n(weights_.data(), samples, 1.f);
    arrays_ = {parameters(), gradient()};  // inputs: w, g, moments; outputs: w, moments
    for (int k = 0; k < plan.moments(); k++) arrays_.push_back(moments(k));
    arrays_.push_back(parameters());
    for (int k = 0; k < plan.moments(); k++) arrays_.push_back(moments(k));
  }

  void put(int lane, const State &state) {
    spread(state.parameters.data(), lane, parameters());
    for (std::size_t k = 0; k * count_ < state.moments.size(); k++)
      spread(state.moments.data() + k * count_, lane, moments(k));
  }
  void take(int lane, State &state) {
    collect(parameters(), lane, state.parameters.data());
    for (std::size_t k = 0; k * count_ < state.moments.size(); k++)
      collect(moments(k), lane, state.moments.data() + k * count_);
  }

  // Makes rows orders[lane][first], ... the batch of each lane; a null order means first, first + 1, ...
  void gather(const Part &part, const Orders &orders, int first, int count) {
    rows_ = count;
    for (int sample = 0; sample < count; sample++) {
      int rows[V];
      for (int lane = 0; lane < V; lane++) rows[lane] = orders[lane] ? orders[lane][first + sample] : first + sample;
      const auto row = [&](int lane) { return rows[lane]; };
      gather_rows(part.x.data(), part.x_stride, part.features, row, at(values_[0], sample, part.features), V);
      if (!softmax_) gather_rows(part.y.data(), part.y_stride, part.targets, row, at(targets_, sample, part.targets), V);
      if (softmax_)
        for (int lane = 0; lane < V; lane++) labels_[sample * V + lane] = part.labels[rows[lane]];
      if (!part.weights.empty())
        for (int lane = 0; lane < V; lane++) weights_[sample * V + lane] = part.weights[rows[lane]];
    }
  }

  void forward() {
    const float *w = parameters();
    for (int i = 0; i < depth(); i++) {
      const int k = inputs(i), n = outputs(i);
      const float *bias = w + k * n * V;
      float *z = slope(i) ? slope(i) : values_[i + 1].data();
      lane_product(rows_, n, {k, values_[i].data(), k, 1, w, n, 1, z, n, bias, false, nullptr});
      if (slope(i)) run(i, {z, values_[i + 1].data(), z}, n);  // phi'(z) takes the place of z
      w = bias + n * V;
    }
  }

  // Adds the losses of the batch to `sums`. Leaves d(mean loss)/dz in the delta of the last layer, where the mean is
  // over `rows` rows, of which the batch may be only a chunk.
  void loss(int rows, PerLane &sums) {
    const int last = depth() - 1, n = outputs(last);
    float *prediction = values_.back().data(), *delta = delta_[last % 2].data();
    PerLane sum{};
    const auto add = [&](Vec x) {
      for (int lane = 0; lane < V; lane++) sum[lane] += static_cast<double>(x[lane]);
    };
    if (softmax_) {
      for (int i = 0; i < rows_; i++) {
        const float *z = prediction + i * n * V;
        const Int label = load(&labels_[i * V]);
        Vec loss = softmax_losses(z, V, label, weights(i), n, rows, delta + i * n * V);
        if (smoothing_ > 0) loss += smoothing_losses(z, V, label, smoothing_ * weights(i), n, rows, delta + i * n * V);
        add(loss);
      }
    } else {
      run(depth(), {prediction, targets_.data(), losses_.data(), delta}, n);
      for (int i = 0; i < rows_; i++)
        for (long at = i * n * V; at < (i + 1) * n * V; at += V) {
          add(load(losses_.data() + at) * weights(i));
          store(delta + at, load(delta + at) * weights(i));
        }
    }
    const double outputs = softmax_ ? 1 : n, terms = softmax_ ? 1 : static_cast<double>(rows) * n;
    scale_delta(delta, slope(last), static_cast<float>(1 / terms), rows_ * n * V);
    for (int lane = 0; lane < V; lane++) sums[lane] += sum[lane] / outputs;
  }

  // From the delta of the last layer to the gradient of all parameters, added to what is there when accumulating.
  void backward(bool accumulate) {
    float *g = gradient() + count_ * V;
    const float *w = parameters() + count_ * V;
    for (int i = depth() - 1; i >= 0; i--) {
      const int k = inputs(i), n = outputs(i);
      const float *delta = delta_[i % 2].data();
      w -= (k + 1) * n * V;
      g -= (k + 1) * n * V;
      if (i > 0) {
        float *before = delta_[(i - 1) % 2].data();
        lane_product(rows_, k, {n, delta, n, 1, w, 1, n, before, k, nullptr, false, slope(i - 1)});
      }
      lane_product(k, n, {rows_, values_[i].data(), 1, k, delta, n, 1, g, n, nullptr, accumulate, nullptr});
      sum_rows(delta, n, g + k * n * V, accumulate);
    }
  }

  // Scales the gradient of each lane so that its norm is at most `clip_norms`; 0 stands for none.
  void clip(const PerLane &clip_norms) {
    PerLane squares{};
    for (long i = 0; i < count_; i++)
      for (int lane = 0; lane < V; lane++) {
        const double g = gradient()[i * V + lane];
        squares[lane] += g * g;
      }
    Vec factors{};
    for (int lane = 0; lane < V; lane++) {
      const double factor = clip_norms[lane] / (std::sqrt(squares[lane]) + 1e-6);
      factors[lane] = clip_norms[lane] > 0 && !(factor >= 1) ? static_cast<float>(factor) : 1;
    }
    for (long i = 0; i < block_; i += V) store(gradient() + i, load(gradient() + i) * factors);
  }

  // The scalars of the optimizer, to be set before an update.
  PerLane &scalar(int i) { return scalars_.input(i); }
  void update() {
    Machine &optimizer = machines_.at(depth() + 1);
    scalars_.prepare(optimizer.broadcast_scalars());
    optimizer.run(arrays_.data(), block_);
  }

 private:
  static std::vector<int> sizes(const Plan &plan) {
    std::vector<int> result{plan.inputs()};
    for (const LayerPlan &layer : plan.layers) result.push_back(layer.outputs);
    return result;
  }
  // Of the layers, of the loss and of the optimizer.
  static std::vector<const Program *> programs(const Plan &plan) {
    std::vector<const Program *> result;
    for (const LayerPlan &layer : plan.layers) result.push_back(layer.activation.get());
    result.push_back(plan.loss ? plan.loss.get() : result[0]);  // softmax never runs it
    result.push_back(plan.optimizer.get());
    return result;
  }

  int depth() const { return static_cast<int>(sizes_.size()) - 1; }
  int inputs(int layer) const { return sizes_[layer]; }
  int outputs(int layer) const { return sizes_[layer + 1]; }
  float *parameters() { return memory_.data(); }
  float *gradient() { return memory_.data() + block_; }
  float *moments(int k) { return memory_.data() + (2 + k) * block_; }
  Vec weights(int sample) const { return load(&weights_[sample * V]); }
  float *slope(int i) { return slopes_[i].data(); }  // null: identity
  static float *at(Aligned<float> &values, int sample, int width) { return values.data() + sample * width * V; }

  void spread(const float *canonical, int lane, float *block) const {
    for (long i = 0; i < count_; i++) block[i * V + lane] = canonical[i];
  }
  void collect(const float *block, int lane, float *canonical) const {
    for (long i = 0; i < count_; i++) canonical[i] = block[i * V + lane];
  }
  void run(int program, std::initializer_list<float *> arrays, int width) {
    machines_.at(program).run(arrays.begin(), (rows_ * width + 1L) / 2 * P);
  }
  void sum_rows(const float *delta, int outputs, float *sum, bool accumulate) const {
    for (int j = 0; j < outputs; j++) {
      Vec total = accumulate ? load(sum + j * V) : Vec{};
      for (int row = 0; row < rows_; row++) total += load(delta + (row * outputs + j) * V);
      store(sum + j * V, total);
    }
  }

  const std::vector<int> sizes_;
  const bool softmax_;
  const float smoothing_;
  Machines machines_;
  LaneScalars scalars_;
  const long count_, block_;  // parameters of a network; floats of all of them, in whole pairs of vectors
  Aligned<float> memory_;     // parameters, gradient, moments
  int rows_ = 0;
  std::vector<Aligned<float>> values_, slopes_;  // values_[i] is the input, slopes_[i] phi'(z) of layer i
  Aligned<float> delta_[2], targets_, losses_;
  Aligned<int> labels_;
  Aligned<float> weights_;  // 1 unless the data has some
  std::vector<float *> arrays_;
};

}  // namespace schuss::SCHUSS_BUILD
