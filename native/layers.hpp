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

// Sum in double, in a fixed order, of f over the first `lanes` lanes of rows of P floats; floats[i] is the i-th of them.
template <class Floats, class F> double sum_over(Floats floats, long rows, int lanes, F f) {
  double sum[P] = {};
  for (long i = 0; i < rows * P; i += P)
    for (int lane = 0; lane < P; lane++) sum[lane] += f(static_cast<double>(floats[i + lane]));
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
  long weights, bias;  // offsets in a block of parameters
  int activation;      // which machine; -1: identity
  double largest_slope;
  float *slope;   // phi'(z) as [slice][output][P]; null: identity
  float *turned;  // the deltas as [panel][sample][P]
};

// A stretch of a block that holds parameters of P outputs: weights, or biases as a single row.
struct Panel {
  int layer;
  bool bias;
  int first_output, lanes;
  long at, rows;
};

class Stack {
 public:
  // `moments` blocks of optimizer state; room for `rows` rows at once, on which up to `threads` threads work.
  Stack(const Plan &plan, int moments, int rows, int threads) {
    add_layers(plan, threads);
    parameters_ = Aligned<float>(block_ * (2 + moments));
    const std::size_t samples = static_cast<std::size_t>(Batch{rows}.slices()) * P;
    std::size_t all = 0, slopes = 0, values = layers_[0].shape.inputs * samples;
    for (const Layer &layer : layers_) {
      const long padded = static_cast<long>(layer.shape.panels()) * P;
      delta_stride_ = std::max({delta_stride_, padded, static_cast<long>(layer.shape.inputs + P - 1) / P * P});
      all += padded;
      values += layer.shape.outputs * samples;
      if (layer.activation >= 0) slopes += layer.shape.outputs * samples;
    }
    values_memory_ = Aligned<float>(values + slopes);
    for (Aligned<float> &buffer : delta_) buffer = Aligned<float>(delta_stride_ * samples);
    // Threads take the way back through all layers before the gradients; one thread stays with a layer in its cache.
    turned_ = Aligned<float>((threads > 1 ? all : delta_stride_) * samples);
    float *turned = turned_.data();
    for (Layer &layer : layers_) {
      layer.turned = turned;
      if (threads > 1) turned += layer.shape.panels() * P * samples;
    }
    targets = Aligned<float>(plan.sizes.back() * samples);
    labels = Aligned<int>(samples);
    place_values(samples);
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;

  int depth() const { return static_cast<int>(layers_.size()); }
  const Layer &layer(int i) const { return layers_[i]; }
  const Batch &batch() const { return batch_; }
  void set_rows(int rows) { batch_ = {rows}; }  // of the batch that `gather` then takes
  const std::vector<Panel> &panels() const { return panels_; }
  long block() const { return block_; }
  float *parameters() { return parameters_.data(); }
  float *gradient() { return parameters_.data() + block_; }
  float *moments(int k) { return parameters_.data() + (2 + k) * block_; }
  const float *values(int i) const { return values_[i + 1]; }  // activations of layer i
  float *prediction() const { return values_.back(); }
  // z of layer i, after forward_z(i) and before activate(i), which overwrites it.
  float *z(int i) const { return layers_[i].slope ? layers_[i].slope : values_[i + 1]; }
  // Of layer i, until that of layer i - 2 is computed. Each slice has its own place, the same for all layers: threads
  // are not at the same layer at the same time.
  float *delta(int i, int slice) { return delta_[i % 2].data() + slice * delta_stride_ * P; }

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

  // What follows is done for a thread's share of the rows, or of whatever else the comment names.

  // Takes rows[0], ..., rows[count-1] of a part as the batch; rows == null means first, first + 1, ...
  void gather(const Part &part, const int *rows, int first, bool with_targets, Share share = {}) {
    const Range slices = share.of(batch_.slices());
    const auto row = [&](int i) { return rows ? rows[first + i] : first + i; };
    gather_matrix(part.x.data(), part.x_stride, part.features, row, values_[0], slices);
    if (with_targets) gather_matrix(part.y.data(), part.y_stride, part.targets, row, targets.data(), slices);
    if (!part.labels.empty())
      for (int i = slices.first * P; i < std::min(slices.last * P, batch_.rows); i++) labels[i] = part.labels[row(i)];
  }

  // Through one layer; phi'(z) is kept for the way back.
  void forward(int i, Share share = {}) {
    products(i, share, [&](long at, long count) {
      if (layers_[i].slope) activate(i, share.part, at, count);
    });
  }
  // The two halves of a layer on their own, for those who want to see z.
  void forward_z(int i, Share share = {}) {
    products(i, share, [](long, long) {});
  }
  void activate(int i, Share share = {}) {
    const long slice = static_cast<long>(layers_[i].shape.outputs) * P;
    const Range slices = share.of(batch_.slices());
    if (layers_[i].slope) activate(i, share.part, slices.first * slice, (slices.last - slices.first) * slice);
  }

  // Of [slice][output][P], over the real entries of a slice.
  double sum_slice(const float *values, int i, int slice) const {
    const int outputs = layers_[i].shape.outputs;
    return sum_over(values + static_cast<long>(slice) * outputs * P, outputs, batch_.lanes(slice), value_of);
  }

  // From the delta of a layer to that of the layer before; the delta is also turned for the gradient.
  void backward(int i, Share share = {}) {
    const Layer &l = layers_[i];
    const Range slices = share.of(batch_.slices());
    clear_padding(i, slices);
    turn(l.shape, batch_, slices, delta(i, 0), delta_stride_, l.turned);
    if (i > 0)
      backward_product(l.shape, batch_, slices, parameters() + l.weights, delta(i, 0), layers_[i - 1].slope,
                       delta(i - 1, 0), delta_stride_);
  }
  // The gradient of the parameters of a layer, added to what is there when accumulating. For a share of its inputs.
  void add_gradient(int i, bool accumulate, Share share = {}) {
    const Layer &l = layers_[i];
    gradient_product(l.shape, batch_, share.of(l.shape.inputs), values_[i], l.turned, gradient() + l.weights,
                     accumulate);
    bias_gradient(l.shape, batch_, share.of(l.shape.panels()), l.turned, gradient() + l.bias, accumulate);
  }

  Aligned<float> targets;  // [slice][output][P]
  Aligned<int> labels;     // [sample]

 private:
  void add_layers(const Plan &plan, int threads) {
    std::vector<const Program *> programs;
    for (int i = 0; i + 1 < static_cast<int>(plan.sizes.size()); i++) {
      const Shape shape{plan.sizes[i], plan.sizes[i + 1]};
      const long bias = block_ + shape.weights();
      const int activation = machine_for(*plan.activations[i], programs);
      layers_.push_back({shape, block_, bias, activation, plan.largest_slopes[i], nullptr, nullptr});
      for (int p = 0; p < shape.panels(); p++)
        panels_.push_back({i, false, p * P, shape.lanes(p), block_ + p * long{P} * shape.inputs, shape.inputs});
      for (int p = 0; p < shape.panels(); p++) panels_.push_back({i, true, p * P, shape.lanes(p), bias + p * P, 1});
      block_ = bias + static_cast<long>(shape.panels()) * P;
    }
    for (int i = 0; i < threads; i++) machines_.emplace_back(programs);
  }
  // Layers with the same program share a machine, so that its constants stay in L1 in a deep stack.
  static int machine_for(const Program &program, std::vector<const Program *> &programs) {
    if (is_identity(program)) return -1;
    const auto found = std::find(programs.begin(), programs.end(), &program);
    const int index = static_cast<int>(found - programs.begin());
    if (found == programs.end()) programs.push_back(&program);
    return index;
  }
  void place_values(std::size_t samples) {
    float *next = values_memory_.data();
    const auto take = [&](int width) { return std::exchange(next, next + width * samples); };
    values_.push_back(take(layers_[0].shape.inputs));
    for (Layer &l : layers_) {
      values_.push_back(take(l.shape.outputs));
      if (l.activation >= 0) l.slope = take(l.shape.outputs);
    }
  }

  template <class F> void products(int i, Share share, F done) {
    const Layer &l = layers_[i];
    forward_product(l.shape, batch_, share.of(batch_.slices()), parameters() + l.weights, parameters() + l.bias,
                    values_[i], z(i), done);
  }
  void activate(int i, int thread, long at, long count) {  // phi'(z) takes the place of z
    float *arrays[] = {layers_[i].slope + at, values_[i + 1] + at, layers_[i].slope + at};
    machines_[thread].at(layers_[i].activation).run(arrays, count);
  }

  template <class Row>
  void gather_matrix(const float *rows, long stride, int width, Row row, float *out, Range slices) const {
    for (int sample = slices.first * P; sample < std::min(slices.last * P, batch_.rows); sample += V) {
      float *slice = out + static_cast<long>(sample / P) * width * P + sample % P;
      // Lanes past the batch repeat its last row: finite, and never read.
      gather_rows(rows, stride, width, [&](int i) { return row(std::min(sample + i, batch_.rows - 1)); }, slice, P);
    }
  }
  // Deltas of features that do not exist are zero: their lanes of the gradient then stay zero, too.
  void clear_padding(int i, Range slices) {
    const Shape shape = layers_[i].shape;
    for (int slice = slices.first; slice < slices.last; slice++)
      std::fill(delta(i, slice) + shape.outputs * P, delta(i, slice) + shape.panels() * P * P, 0.f);
  }

  long block_ = 0, delta_stride_ = 0;
  Batch batch_{0};
  std::vector<Layer> layers_;
  std::vector<Panel> panels_;       // in the order of the block
  std::vector<Machines> machines_;  // a set a thread
  Aligned<float> parameters_;  // parameters, gradient, moments
  Aligned<float> values_memory_, delta_[2], turned_;
  std::vector<float *> values_;  // values_[i] is the input of layer i as [slice][feature][P]
};

}  // namespace schuss::SCHUSS_BUILD
