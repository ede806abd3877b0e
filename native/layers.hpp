// A stack in memory, and its forward and backward pass over one chunk of rows.
//
// All parameters of a stack lie in one block: for each layer the panels of W, then b; of a norm gain, then shift and
// running statistics. Gradient and optimizer state are blocks of the same layout behind it, so an update is one sweep
// over flat memory. Lanes of a panel beyond the outputs are padding: whatever an optimizer makes of them, they are never
// read into a product, a sum or a statistic.
#pragma once
#include <numeric>
#include <vector>

#include "norms.hpp"
#include "program.hpp"
#include "random.hpp"

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

// delta *= scale, which is noted in `returned`; then delta *= slope. Both may be null: it is not noted, the slope is 1.
inline void scale_delta(float *delta, const float *slope, float scale, long count, float *returned = nullptr) {
  if (!slope && scale == 1 && !returned) return;
  for (long i = 0; i < count; i += V) {
    const Vec scaled = load(delta + i) * scale;
    if (returned) store(returned + i, scaled);
    store(delta + i, slope ? scaled * load(slope + i) : scaled);
  }
}

struct Layer {
  LayerPlan plan;
  Shape shape;
  long weights, others;        // offsets in a block of parameters: W or gain; b or shift, then running statistics
  int activation;              // which machine; -1: identity
  std::unique_ptr<Norm> norm;  // null: dense
  float *slope = nullptr;     // d out/dz as [slice][output][P]; null: always 1
  float *turned = nullptr;    // the deltas as [panel][sample][P]; of a norm first those times x̂
  float *returned = nullptr;  // d loss/d out as [slice][output][P], which the added value gets, too; null: none does
  std::vector<const float *> returns = {};  // what the layers that add this one's output return to it

  bool joins() const { return returned || !returns.empty(); }
  long turned_rows() const { return (norm && norm->has_shift() ? 2L : 1L) * shape.panels() * P; }
};

// What a forward pass is for.
struct Purpose {
  bool batch_statistics = false;  // batch norm takes those of the rows at hand, not the running ones
  bool drops = false;             // dropout, with a key for the step; the rows are those of a batch from `first_row` on
  std::uint64_t key = 0;
  int first_row = 0;
};

// A stretch of a block that holds parameters of P outputs: weights, or a single row.
struct Panel {
  int layer;
  bool weights;  // W or gain; else biases, shifts or running statistics
  int first_output, lanes;
  long at, rows;
};

class Stack {
 public:
  // `moments` blocks of optimizer state; room for `rows` rows at once, on which up to `threads` threads work.
  Stack(const Plan &plan, int moments, int rows, int threads) : moments_(moments) {
    const int slices = Batch{rows}.slices();
    add_layers(plan, slices, threads);
    parameters_ = Aligned<float>(block_ * (2 + moments));
    const std::size_t samples = static_cast<std::size_t>(slices) * P;
    std::size_t all = 0, most = 0;
    for (const Layer &l : layers_) {
      delta_stride_ = std::max({delta_stride_, l.shape.panels() * long{P}, (l.shape.inputs + P - 1L) / P * P});
      all += l.turned_rows();
      most = std::max<std::size_t>(most, l.turned_rows());
    }
    for (Aligned<float> &buffer : delta_) buffer = Aligned<float>(delta_stride_ * samples);
    // Threads take the way back through all layers before the gradients; one thread stays with a layer in its cache.
    turned_ = Aligned<float>((threads > 1 ? all : most) * samples);
    float *turned = turned_.data();
    for (Layer &l : layers_) {
      l.turned = turned;
      if (threads > 1) turned += l.turned_rows() * samples;
    }
    targets = Aligned<float>(plan.outputs() * samples);
    labels = Aligned<int>(samples);
    weights = Aligned<float>(samples);
    std::fill_n(weights.data(), samples, 1.f);
    place_values(samples);
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;

  int depth() const { return static_cast<int>(layers_.size()); }
  const Layer &layer(int i) const { return layers_[i]; }
  const Batch &batch() const { return batch_; }
  // Of the batch that `gather` then takes.
  void set_rows(int rows, const Purpose &purpose = {}) {
    batch_ = {rows};
    purpose_ = purpose;
  }
  const std::vector<Panel> &panels() const { return panels_; }
  long block() const { return block_; }
  float *parameters() { return parameters_.data(); }
  float *gradient() { return parameters_.data() + block_; }
  float *moments(int k) { return parameters_.data() + (2 + k) * block_; }
  const float *values(int i) const { return values_[i + 1]; }  // outputs of layer i
  float *prediction() const { return values_.back(); }
  // z of layer i, after forward_z(i) and before activate(i), which overwrites it.
  float *z(int i) const { return layers_[i].activation >= 0 ? layers_[i].slope : values_[i + 1]; }
  // Of layer i, until that of layer i - 2 is computed. Each slice has its own place, the same for all layers: threads
  // are not at the same layer at the same time.
  float *delta(int i, int slice) { return delta_[i % 2].data() + slice * delta_stride_ * P; }

  // Calls f(offset in a block, offset in canonical order, count) for each stretch of parameters.
  template <class F> void each_stretch(F f) const {
    long canonical = 0;
    for (const Layer &l : layers_)
      for (int row = 0; row < l.plan.weight_rows() + l.plan.other_rows(); row++)
        for (int p = 0; p < l.shape.panels(); p++) {
          const int rows = l.plan.weight_rows();
          const long weight = l.weights + (static_cast<long>(p) * rows + row) * P,
                     other = l.others + ((row - rows) * long{l.shape.panels()} + p) * P;
          f(row < rows ? weight : other, canonical, l.shape.lanes(p));
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
    if (!part.weights.empty())
      for (int i = slices.first * P; i < std::min(slices.last * P, batch_.rows); i++) weights[i] = part.weights[row(i)];
  }

  // Through one layer; its slope is kept for the way back.
  void forward(int i, Share share = {}) {
    products(i, share, [&](long at, long count) {
      activate(i, share.part, at, count);
      add(i, at, count);
    });
  }
  // The parts of a layer on their own, for those who want to see z, or the activation before another value is added.
  void forward_z(int i, Share share = {}) {
    products(i, share, [](long, long) {});
  }
  void activate(int i, Share share = {}) {
    const auto [at, count] = stretch(i, share);
    activate(i, share.part, at, count);
  }
  void add(int i, Share share = {}) {
    const auto [at, count] = stretch(i, share);
    add(i, at, count);
  }

  // The sum of f over the real entries of a slice of [slice][output of layer i][P].
  template <class F> double sum_slice(const float *values, int i, int slice, F f) const {
    const int outputs = layers_[i].shape.outputs;
    return sum_over(values + static_cast<long>(slice) * outputs * P, outputs, batch_.lanes(slice), f);
  }

  // In the delta of layer i is, times `scale`, what the next layer knows of d loss/d out: makes it d loss/dz.
  void through_slope(int i, int slice, float scale = 1) {
    const Layer &l = layers_[i];
    const long count = static_cast<long>(l.shape.outputs) * P, at = slice * count;
    const float *slope = this->slope(i);
    float *d = delta(i, slice);
    for (const float *other : l.returns) add(other + at, d, count);
    scale_delta(d, slope ? slope + at : nullptr, scale, count, l.returned ? l.returned + at : nullptr);
  }
  // From the delta of a layer to that of the layer before; the delta is also turned for the gradient.
  void backward(int i, Share share = {}) {
    const Layer &l = layers_[i];
    const Range slices = share.of(batch_.slices());
    const bool joins = i > 0 && layers_[i - 1].joins();
    const float *factor = i > 0 && !joins ? slope(i - 1) : nullptr;
    if (l.norm) {
      backward_norm(i, slices, factor);
    } else {
      turn_deltas(i, slices, delta(i, 0), l.turned);
      if (i > 0)
        backward_product(l.shape, batch_, slices, parameters() + l.weights, delta(i, 0), factor, delta(i - 1, 0),
                         delta_stride_);
    }
    if (joins)
      for (int s = slices.first; s < slices.last; s++) through_slope(i - 1, s);
  }
  // The gradient of the parameters of a layer, added to what is there when accumulating. For a share of its inputs.
  void add_gradient(int i, bool accumulate, Share share = {}) {
    const Layer &l = layers_[i];
    if (l.plan.kind == Kind::batch_norm) return;  // it is there: the way back needs it
    const Range panels = share.of(l.shape.panels());
    if (l.norm)
      bias_gradient(l.shape, batch_, panels, l.turned, gradient() + l.weights, accumulate);
    else
      gradient_product(l.shape, batch_, share.of(l.shape.inputs), values_[i], l.turned, gradient() + l.weights,
                       accumulate);
    if (l.plan.other_rows() > 0)
      bias_gradient(l.shape, batch_, panels, turned_deltas(l), gradient() + l.others, accumulate);
  }
  // Puts the running statistics after the last batch into the parameters, whatever an update has made of them.
  void set_running_statistics() {
    for (int i : batch_norms_) {
      const Layer &l = layers_[i];
      const long at = running(l), count = 2 * l.norm->width();
      std::copy_n(l.norm->running(), count, parameters() + at);
      for (int k = 0; k < moments_; k++) std::fill_n(moments(k) + at, count, 0.f);
    }
  }

  Aligned<float> targets;  // [slice][output][P]
  Aligned<int> labels;     // [sample]
  Aligned<float> weights;  // [sample]; 1 unless the data has some

 private:
  void add_layers(const Plan &plan, int slices, int threads) {
    std::vector<const Program *> programs;
    for (const LayerPlan &l : plan.layers) {
      const int i = depth(), rows = l.weight_rows();
      const Shape shape{l.inputs, l.outputs};
      const long others = block_ + static_cast<long>(shape.panels()) * rows * P;
      auto norm = l.kind == Kind::dense ? nullptr : std::make_unique<Norm>(l.kind, shape, slices);
      if (l.kind == Kind::batch_norm) batch_norms_.push_back(i);
      layers_.push_back({l, shape, block_, others, machine_for(*l.activation, programs), std::move(norm)});
      for (int p = 0; p < shape.panels(); p++)
        panels_.push_back({i, true, p * P, shape.lanes(p), block_ + p * long{P} * rows, rows});
      block_ = others;
      for (int row = 0; row < l.other_rows(); row++)
        for (int p = 0; p < shape.panels(); p++, block_ += P)
          panels_.push_back({i, false, p * P, shape.lanes(p), block_, 1});
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
    const auto has_slope = [](const Layer &l) { return l.activation >= 0 || l.plan.dropout > 0; };
    std::size_t size = layers_[0].shape.inputs * samples;
    for (const Layer &l : layers_) size += (1 + has_slope(l) + (l.plan.adds > 0)) * l.shape.outputs * samples;
    values_memory_ = Aligned<float>(size + P * P);  // to turn values is to read whole vectors of features
    float *next = values_memory_.data();
    const auto take = [&](int width) { return std::exchange(next, next + width * samples); };
    values_.push_back(take(layers_[0].shape.inputs));
    for (Layer &l : layers_) {
      values_.push_back(take(l.shape.outputs));
      if (has_slope(l)) l.slope = take(l.shape.outputs);
    }
    for (Layer &l : layers_) {  // the input of the network needs no gradient
      if (l.plan.adds <= 0) continue;
      l.returned = take(l.shape.outputs);
      layers_[l.plan.adds - 1].returns.push_back(l.returned);
    }
  }

  // Where the share of a thread is in the values of a layer.
  std::pair<long, long> stretch(int i, Share share) const {
    const long slice = static_cast<long>(layers_[i].shape.outputs) * P;
    const Range slices = share.of(batch_.slices());
    return {slices.first * slice, (slices.last - slices.first) * slice};
  }
  static long running(const Layer &l) { return l.others + l.norm->width(); }
  float *turned_deltas(const Layer &l) const {  // behind those times x̂
    return l.turned + (l.norm ? l.shape.panels() * P * static_cast<long>(batch_.slices()) * P : 0);
  }
  const float *slope(int i) const {
    return layers_[i].activation >= 0 || drops(layers_[i]) ? layers_[i].slope : nullptr;
  }
  bool drops(const Layer &l) const { return purpose_.drops && l.plan.dropout > 0; }

  template <class F> void products(int i, Share share, F done) {
    const Layer &l = layers_[i];
    const Range slices = share.of(batch_.slices());
    if (l.norm) return normalize(i, slices, done);
    forward_product(l.shape, batch_, slices, parameters() + l.weights, parameters() + l.others, values_[i], z(i), done);
  }
  template <class F> void normalize(int i, Range slices, F done) {
    const Layer &l = layers_[i];
    const float *gain = parameters() + l.weights;
    const long slice = static_cast<long>(l.shape.outputs) * P;
    if (l.plan.kind == Kind::batch_norm) {
      if (purpose_.batch_statistics) {
        turn(l.shape, batch_, slices, values_[i], l.shape.outputs, l.turned);
        l.norm->measure_batch(batch_, l.turned, parameters() + running(l));
      } else {
        l.norm->use_running(parameters() + running(l));
      }
    }
    for (int s = slices.first; s < slices.last; s++) {
      const float *x = values_[i] + s * slice;
      if (l.plan.kind != Kind::batch_norm) l.norm->measure_slice(batch_, s, x);
      l.norm->forward(batch_, s, x, gain, l.norm->has_shift() ? parameters() + l.others : nullptr, z(i) + s * slice);
      done(s * slice, slice);
    }
  }
  // Activation and dropout: phi'(z), times what dropout makes of it, takes the place of z.
  void activate(int i, int thread, long at, long count) {
    const Layer &l = layers_[i];
    if (l.activation >= 0) {
      float *arrays[] = {l.slope + at, values_[i + 1] + at, l.slope + at};
      machines_[thread].at(l.activation).run(arrays, count);
    }
    if (drops(l)) drop(i, at, count);
  }
  void drop(int i, long at, long count) {
    const Layer &l = layers_[i];
    const Dropout dropout(purpose_.key, i, l.plan.dropout);
    const int units = l.shape.outputs;
    for (const long end = at + count; at < end;) {
      const int slice = static_cast<int>(at / P / units), unit = static_cast<int>(at / P % units);
      const long stop = std::min(end, (slice + 1L) * units * P);
      Uint element[2];
      for (unsigned lane = 0; lane < P; lane++)
        element[lane / V][lane % V] = (purpose_.first_row + slice * P + lane) * units + unit;
      for (; at < stop; at += P)
        for (int k = 0; k < batch_.vectors(slice); k++) {
          float *value = values_[i + 1] + at + k * V, *slope = l.slope + at + k * V;
          const Vec factor = dropout.factor(element[k]);
          store(value, load(value) * factor);
          store(slope, l.activation >= 0 ? load(slope) * factor : factor);
          element[k] += 1;
        }
    }
  }
  void add(int i, long at, long count) {
    const Layer &l = layers_[i];
    if (l.plan.adds < 0) return;
    add(values_[l.plan.adds] + at, values_[i + 1] + at, count);
  }
  static void add(const float *other, float *sum, long count) {
    for (long k = 0; k < count; k += V) store(sum + k, load(sum + k) + load(other + k));
  }

  void backward_norm(int i, Range slices, const float *factor) {
    const Layer &l = layers_[i];
    const long slice = static_cast<long>(l.shape.outputs) * P;
    const float *gain = parameters() + l.weights;
    // The products stand where the delta of the layer before will.
    const auto product = [&](int s) { return delta(i + 1, s); };
    for (int s = slices.first; s < slices.last; s++)
      l.norm->multiply(batch_, s, values_[i] + s * slice, delta(i, s), gain, product(s));
    turn_deltas(i, slices, product(0), l.turned);
    if (l.norm->has_shift()) turn_deltas(i, slices, delta(i, 0), turned_deltas(l));
    if (l.plan.kind == Kind::batch_norm)
      l.norm->average_batch(batch_, turned_deltas(l), l.turned, gain, gradient() + l.weights, gradient() + l.others);
    if (i == 0) return;
    for (int s = slices.first; s < slices.last; s++)
      l.norm->backward(batch_, s, values_[i] + s * slice, delta(i, s), gain, factor ? factor + s * slice : nullptr,
                       delta(i - 1, s));
  }

  template <class Row>
  void gather_matrix(const float *rows, long stride, int width, Row row, float *out, Range slices) const {
    for (int sample = slices.first * P; sample < std::min(slices.last * P, batch_.rows); sample += V) {
      float *slice = out + static_cast<long>(sample / P) * width * P + sample % P;
      // Lanes past the batch repeat its last row: finite, and never read.
      gather_rows(rows, stride, width, [&](int i) { return row(std::min(sample + i, batch_.rows - 1)); }, slice, P);
    }
  }
  // Deltas, or what stands in their place, for the gradient. Those of features that do not exist are zero: their lanes
  // of the gradient then stay zero, too.
  void turn_deltas(int i, Range slices, float *deltas, float *turned) {
    const Shape shape = layers_[i].shape;
    for (int s = slices.first; s < slices.last; s++) {
      float *slice = deltas + s * delta_stride_ * P;
      std::fill(slice + shape.outputs * P, slice + shape.panels() * P * P, 0.f);
    }
    turn(shape, batch_, slices, deltas, delta_stride_, turned);
  }

  long block_ = 0, delta_stride_ = 0;
  const int moments_;
  Batch batch_{0};
  Purpose purpose_;
  std::vector<Layer> layers_;
  std::vector<int> batch_norms_;    // which layers
  std::vector<Panel> panels_;       // in the order of the block
  std::vector<Machines> machines_;  // a set a thread
  Aligned<float> parameters_;  // parameters, gradient, moments
  Aligned<float> values_memory_, delta_[2], turned_;
  std::vector<float *> values_;  // values_[i] is the input of layer i as [slice][feature][P]
};

}  // namespace schuss::SCHUSS_BUILD
