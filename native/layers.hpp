// A dense stack in memory, and its forward and backward pass over one chunk of rows.
//
// All parameters of a stack lie in one block: for each layer the panels of W, then b. Gradient and optimizer state are
// blocks of the same layout behind it, so an update is one sweep over flat memory. Lanes of a panel beyond the outputs
// are padding: whatever an optimizer makes of them, they are never read into a product, a sum or a statistic.
#pragma once
#include <numeric>
#include <vector>

#include "gemm.hpp"
#include "program.hpp"

namespace schuss::SCHUSS_BUILD {

// Sum in double, in a fixed order, of f over the first `lanes` lanes of rows of P floats.
template <class F> double sum_over(const float *rows, long count, int lanes, F f) {
  double sum[P] = {};
  for (long i = 0; i < count; i++)
    for (int lane = 0; lane < P; lane++) sum[lane] += f(static_cast<double>(rows[i * P + lane]));
  return std::accumulate(sum, sum + lanes, 0.);
}
inline constexpr auto value_of = [](double x) { return x; };
inline constexpr auto square_of = [](double x) { return x * x; };

// Rows row(0), ..., row(V - 1) of a matrix, transposed: row(i) into lane i of vectors `step` apart.
template <class Row>
void gather_rows(const float *rows, long stride, int width, Row row, float *out, int step) {
  const float *from[V];
  for (int i = 0; i < V; i++) from[i] = rows + row(i) * stride;
  for (int column = 0; column < width; column += V) {
    Vec r[V];
    unroll<V>([&](auto i) SCHUSS_INLINE { r[i] = load(from[i] + column); });
    transpose(r);
    unroll<V>([&](auto i) SCHUSS_INLINE {
      if (column + i < width) store(out + (column + i) * step, r[i]);
    });
  }
}

struct Layer {
  Shape shape;
  long weights, bias;   // offsets in a block of parameters
  Machine *activation;  // null: identity
  double largest_slope;
  float *slope;  // phi'(z) as [slice][output][P]; null: identity
};

class Stack {
 public:
  // `moments` blocks of optimizer state; room for `rows` rows at once.
  Stack(const Plan &plan, int moments, int rows) {
    add_layers(plan);
    parameters_ = Aligned<float>(block_ * (2 + moments));
    const std::size_t samples = static_cast<std::size_t>(Batch{rows}.slices()) * P;
    std::size_t widest = 0, slopes = 0, values = layers_[0].shape.inputs * samples;
    for (const Layer &layer : layers_) {
      widest = std::max<std::size_t>(widest, layer.shape.panels() * P);
      widest = std::max<std::size_t>(widest, (layer.shape.inputs + P - 1) / P * P);
      values += layer.shape.outputs * samples;
      if (layer.activation) slopes += layer.shape.outputs * samples;
    }
    values_memory_ = Aligned<float>(values + slopes);
    for (Aligned<float> &buffer : delta_) buffer = Aligned<float>(widest * samples);
    turned_ = Aligned<float>(widest * samples);
    targets = Aligned<float>(plan.sizes.back() * samples);
    labels = Aligned<int>(samples);
    place_values(samples);
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;

  int depth() const { return static_cast<int>(layers_.size()); }
  const Layer &layer(int i) const { return layers_[i]; }
  const Batch &batch() const { return batch_; }
  long block() const { return block_; }
  float *parameters() { return parameters_.data(); }
  float *gradient() { return parameters_.data() + block_; }
  float *moments(int k) { return parameters_.data() + (2 + k) * block_; }
  const float *values(int i) const { return values_[i + 1]; }  // activations of layer i
  float *prediction() const { return values_.back(); }
  // z of layer i, after forward_z(i) and before activate(i), which overwrites it.
  float *z(int i) const { return layers_[i].activation ? layers_[i].slope : values_[i + 1]; }
  float *delta(int i) { return delta_[i % 2].data(); }  // of layer i, until that of layer i - 2 is computed
  long padded(int i) const { return static_cast<long>(layers_[i].shape.panels()) * P; }  // rows of a slice of delta(i)

  // Calls f(offset in a block, offset in canonical order, count) for each stretch of parameters.
  template <class F> void each_stretch(F f) const {
    long canonical = 0;
    for (const Layer &l : layers_)
      for (int row = 0; row <= l.shape.inputs; row++)  // the last row is the bias
        for (int p = 0; p < l.shape.panels(); p++) {
          const long weight = l.weights + (static_cast<long>(p) * l.shape.inputs + row) * P;
          f(row < l.shape.inputs ? weight : l.bias + p * P, canonical, l.shape.lanes(p));
          canonical += l.shape.lanes(p);
        }
  }
  void from_canonical(float *block, const float *canonical) const {
    each_stretch([&](long at, long from, int n) { std::copy(canonical + from, canonical + from + n, block + at); });
  }
  void to_canonical(const float *block, float *canonical) const {
    each_stretch([&](long at, long to, int n) { std::copy(block + at, block + at + n, canonical + to); });
  }
  // Sum of f over the weights of one layer, without biases, or over its biases alone.
  template <class F> double sum_weights(const float *block, int i, F f) const {
    const Shape &s = layers_[i].shape;
    const float *weights = block + layers_[i].weights;
    double sum = 0;
    for (int p = 0; p < s.panels(); p++, weights += static_cast<long>(s.inputs) * P)
      sum += sum_over(weights, s.inputs, s.lanes(p), f);
    return sum;
  }
  template <class F> double sum_bias(const float *block, int i, F f) const {
    double sum = 0;
    for (int p = 0; p < layers_[i].shape.panels(); p++)
      sum += sum_over(block + layers_[i].bias + p * P, 1, layers_[i].shape.lanes(p), f);
    return sum;
  }
  template <class F> double sum_parameters(const float *block, F f) const {
    double sum = 0;
    for (int i = 0; i < depth(); i++) sum += sum_weights(block, i, f) + sum_bias(block, i, f);
    return sum;
  }

  // Takes rows[0], ..., rows[count-1] of a part as the batch; rows == null means first, first + 1, ...
  void gather(const Part &part, const int *rows, int first, int count, bool with_targets) {
    batch_ = {count};
    const auto row = [&](int i) { return rows ? rows[first + i] : first + i; };
    gather_matrix(part.x.data(), part.x_stride, part.features, row, values_[0]);
    if (with_targets) gather_matrix(part.y.data(), part.y_stride, part.targets, row, targets.data());
    if (!part.labels.empty())
      for (int i = 0; i < count; i++) labels[i] = part.labels[row(i)];
  }

  // Layer by layer to the prediction; phi'(z) is kept for the way back.
  void forward() {
    for (int i = 0; i < depth(); i++) {
      Layer &l = layers_[i];
      products(i, [&](long at, long count) {
        if (l.activation) activate(i, at, count);
      });
    }
  }
  // The two halves of a layer on their own, for those who want to see z.
  void forward_z(int i) {
    products(i, [](long, long) {});
  }
  void activate(int i) {
    if (layers_[i].activation) activate(i, 0, static_cast<long>(batch_.slices()) * layers_[i].shape.outputs * P);
  }

  // From the delta of the last layer to the gradient of all parameters, added to `gradient` when accumulating.
  void backward(bool accumulate) {
    for (int i = depth() - 1; i >= 0; i--) backward(i, accumulate);
  }
  void backward(int i, bool accumulate) {
    const Layer &l = layers_[i];
    clear_padding(i);
    turn(l.shape, batch_, delta(i), turned_.data());
    if (i > 0)
      backward_product(l.shape, batch_, parameters() + l.weights, delta(i), layers_[i - 1].slope, delta(i - 1));
    gradient_product(l.shape, batch_, values_[i], turned_.data(), gradient() + l.weights, accumulate);
    bias_gradient(l.shape, batch_, turned_.data(), gradient() + l.bias, accumulate);
  }

  Aligned<float> targets;  // [slice][output][P]
  Aligned<int> labels;     // [sample]

 private:
  void add_layers(const Plan &plan) {
    std::size_t scratch = 0;
    for (const ProgramPtr &program : plan.activations) scratch = std::max(scratch, Machine::scratch_size(*program));
    scratch_ = Aligned<float>(scratch);
    for (std::size_t i = 0; i + 1 < plan.sizes.size(); i++) {
      const Shape shape{plan.sizes[i], plan.sizes[i + 1]};
      const long bias = block_ + shape.weights();
      layers_.push_back({shape, block_, bias, machine_for(plan, i), plan.largest_slopes[i], nullptr});
      block_ = bias + static_cast<long>(shape.panels()) * P;
    }
  }
  // Layers with the same program share a machine, so that its constants stay in L1 in a deep stack.
  Machine *machine_for(const Plan &plan, std::size_t i) {
    if (is_identity(*plan.activations[i])) return nullptr;
    for (std::size_t j = 0; j < i; j++)
      if (plan.activations[j] == plan.activations[i]) return layers_[j].activation;
    machines_.push_back(std::make_unique<Machine>(*plan.activations[i], scratch_.data()));
    return machines_.back().get();
  }
  void place_values(std::size_t samples) {
    float *next = values_memory_.data();
    const auto take = [&](int width) { return std::exchange(next, next + width * samples); };
    values_.push_back(take(layers_[0].shape.inputs));
    for (Layer &l : layers_) {
      values_.push_back(take(l.shape.outputs));
      if (l.activation) l.slope = take(l.shape.outputs);
    }
  }

  template <class F> void products(int i, F done) {
    const Layer &l = layers_[i];
    forward_product(l.shape, batch_, parameters() + l.weights, parameters() + l.bias, values_[i], z(i), done);
  }
  void activate(int i, long at, long count) {  // phi'(z) takes the place of z
    float *arrays[] = {layers_[i].slope + at, values_[i + 1] + at, layers_[i].slope + at};
    layers_[i].activation->run(arrays, count);
  }

  template <class Row> void gather_matrix(const float *rows, long stride, int width, Row row, float *out) const {
    for (int sample = 0; sample < batch_.rows; sample += V) {
      float *slice = out + static_cast<long>(sample / P) * width * P + sample % P;
      // Lanes past the batch repeat its last row: finite, and never read.
      gather_rows(rows, stride, width, [&](int i) { return row(std::min(sample + i, batch_.rows - 1)); }, slice, P);
    }
  }
  // Deltas of features that do not exist are zero: their lanes of the gradient then stay zero, too.
  void clear_padding(int i) {
    const int outputs = layers_[i].shape.outputs;
    for (int slice = 0; slice < batch_.slices(); slice++)
      std::fill(delta(i) + (slice * padded(i) + outputs) * P, delta(i) + (slice + 1) * padded(i) * P, 0.f);
  }

  long block_ = 0;
  Batch batch_{0};
  std::vector<Layer> layers_;
  std::vector<std::unique_ptr<Machine>> machines_;
  Aligned<float> parameters_;  // parameters, gradient, moments
  Aligned<float> values_memory_, delta_[2], turned_, scratch_;
  std::vector<float *> values_;  // values_[i] is the input of layer i as [slice][feature][P]
};

}  // namespace schuss::SCHUSS_BUILD
