// What the parts of the engine say to each other: programs, data, plans and outcomes. Plain data, nothing that depends
// on the instruction set: the kernels are compiled once per instruction set and meet the rest through `Engine`.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "team.hpp"

namespace schuss {

// Zeroed memory aligned for the widest pair of vectors.
template <class T> class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t count) {
    if (count == 0) return;
    const std::size_t bytes = (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(static_cast<T *>(::operator new(bytes, std::align_val_t{kAlignment})));
    std::memset(data_.get(), 0, bytes);
  }
  T *data() { return data_.get(); }
  const T *data() const { return data_.get(); }
  T &operator[](std::size_t i) { return data_.get()[i]; }
  const T &operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  static constexpr std::size_t kAlignment = 128;
  struct Free {
    void operator()(T *p) const { ::operator delete(p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<T, Free> data_;
};

// The operations of the elementwise machine; the order is that of `schuss.programs.OPERATIONS`.
// clang-format off
#define SCHUSS_OPERATIONS(unary, binary, ternary)                                                              \
  unary(move) unary(neg) unary(abs) unary(sign) unary(floor) unary(exp) unary(expm1) unary(log) unary(log1p)   \
  unary(sqrt) unary(tanh) unary(sech2) unary(sigmoid) unary(logistic_pdf) unary(erf) unary(normal_cdf)         \
  unary(normal_pdf) unary(sin) unary(cos)                                                                      \
  binary(add) binary(sub) binary(mul) binary(div) binary(pow) binary(maximum) binary(minimum) binary(hypot)    \
  binary(less) binary(less_equal)                                                                              \
  ternary(where) ternary(fma)
// clang-format on

#define SCHUSS_NAME(name) name,
enum class Operation : int { SCHUSS_OPERATIONS(SCHUSS_NAME, SCHUSS_NAME, SCHUSS_NAME) };
#undef SCHUSS_NAME

// Whether two numbers are the same, NaN included: a plan that is not equal to itself would wait for ever.
inline bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

extern const std::vector<const char *> operation_names;
int operand_count(Operation operation);
double apply(Operation operation, double a, double b, double c);

struct Instruction {
  Operation operation;
  int destination, a, b, c;  // registers; unused operands are -1

  bool operator==(const Instruction &other) const {
    return operation == other.operation && destination == other.destination && a == other.a && b == other.b &&
           c == other.c;
  }
};

// A compiled expression. Scalar code runs once a step in double on [scalar inputs | constants | computed ...]; the
// scalars in `broadcast` are then cast to float for the array code, whose registers are
// [inputs | outputs | temporaries | broadcast scalars].
struct Program {
  std::vector<Instruction> code, scalar_code;
  std::vector<double> constants;
  std::vector<int> broadcast;
  int inputs = 0, outputs = 0, temporaries = 0, scalars = 0;
  int built_in = -1;  // the built-in definition whose kernel runs the code; -1: none, it is for the machine

  void check() const;  // throws std::invalid_argument unless it can run without touching a foreign register
};
using ProgramPtr = std::shared_ptr<const Program>;

// The array code of a built-in definition, known when the kernels are compiled; what is broadcast to it is data.
struct BuiltIn {
  int inputs, outputs, temporaries, broadcast, length;
  const Instruction *code;
};
int find_built_in(const Program &program);  // its number, or -1

// One part of a data set. Rows are padded to whole cache lines, so that they can be loaded as vectors.
struct Part {
  static constexpr int kRowAlignment = 16;
  int rows = 0, features = 0, targets = 0;
  long x_stride = 0, y_stride = 0;
  Aligned<float> x, y;
  std::vector<int> labels;     // empty for regression
  int classes = 0;             // largest label + 1
  std::vector<float> weights;  // how much each row counts; empty: all 1
  double weight = 0;           // of all rows
  double scatter = 0;          // weighted sum of squares of y around its column means, for R^2
};

struct Data {
  Part train, valid, test;
};

struct State {
  std::vector<float> parameters, moments, best;  // canonical order
  long step = 0, epoch = 0, best_epoch = 0;
  double best_loss = std::numeric_limits<double>::infinity();
};

enum class Kind : int { dense, batch_norm, layer_norm, rms_norm };  // the order of `schuss.engines.native`

// One layer: z = x·W + b, or gain·x̂ + shift; a = phi(z), in training without what dropout drops; out = a + value[adds].
struct LayerPlan {
  Kind kind;
  int inputs, outputs;
  ProgramPtr activation;
  double largest_slope;
  double dropout;  // share of the outputs that are 0 in training
  int adds;        // 0: the network's input, i: the output of layer i, counted from 1; -1: nothing

  // Its parameters are rows of one number an output: W or gain, then b or shift, then the running statistics.
  int weight_rows() const { return kind == Kind::dense ? inputs : 1; }
  int other_rows() const { return kind == Kind::rms_norm ? 0 : kind == Kind::batch_norm ? 3 : 1; }
  bool plain() const { return kind == Kind::dense && dropout == 0 && adds < 0; }
  bool same_kind(const LayerPlan &other) const;
};

struct Plan {
  static constexpr int kTiny = 16;

  std::vector<LayerPlan> layers;
  ProgramPtr loss;       // null: softmax cross-entropy
  double smoothing = 0;  // of its targets
  ProgramPtr optimizer;
  std::vector<double> hyperparameters;
  int learning_rate_index = -1;        // which hyper-parameter `learning_rates` replaces
  bool uses_time = false;              // the step, counted from 1, is the last scalar input
  std::shared_ptr<const std::vector<double>> learning_rates;  // one a step of the whole training
  long batch_size = 1, epochs = 0;
  long patience = -1;      // -1: none
  double clip_norm = 0;    // 0: none
  double threshold = 0.5;  // of a single output, for the accuracy
  std::uint64_t seed = 0;
  std::vector<long> watch;  // epochs after which the gradient flow is measured
  State start;

  long steps_per_epoch(long rows) const { return (rows - 1) / batch_size + 1; }
  int moments() const { return optimizer->inputs - 2; }
  int inputs() const { return layers.front().inputs; }
  int outputs() const { return layers.back().outputs; }
  long parameter_count() const;
  // Batch norm needs all rows of a batch at once.
  bool whole_batches() const;
  // Dense layers only, so narrow that the network is always trained in a lane beside others, by whatever company.
  bool tiny() const;
  bool same_kind(const Plan &other) const;  // whether the two can be trained in lanes of the same vectors
  int useful_threads(long rows, int threads) const;  // how many of so many can share a step and gain time
  void check_stack() const;            // layers and parameters; throws std::invalid_argument
  void check(const Data &data) const;  // all that a kernel relies on; whether it makes sense is for Python to say
};

// Order of `schuss.engines.QUANTITIES`.
// clang-format off
enum Quantity { kDelta, kWeightGradient, kZMean, kZRms, kActivationMean, kActivationRms, kSaturated, kDead,
                kUpdateRatio, kQuantities };
// clang-format on

struct Outcome {
  std::string status = "finished", message;
  State state;
  std::vector<double> history;  // [epochs done][6]: step, epoch, seconds, train loss, validation loss and score
  std::vector<double> flow;     // [measurements][layers][quantities]
  std::vector<long> watched;
  double losses[3], scores[3];  // train, valid, test
  int layers = 0;               // in each measurement, also when there is none
  long diverged_step = -1;
  int diverged_layer = -1;
  double seconds = 0;
};

// The line between a running network and the outside.
struct Control {
  const std::atomic<long> &generation;  // changes when everything submitted so far is cancelled
  const long mine;
  std::atomic<long> &steps;  // updates done by this worker thread
  Team &team;                // the threads that work on this network, of which this one is the leader

  bool cancelled() const { return generation.load(std::memory_order_relaxed) != mine; }
  // One writer only, so a load and a store do: no locked instruction in the step.
  void count_step() { steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

// A network that waits for its training.
struct Job {
  long key;
  std::shared_ptr<Plan> plan;
  std::shared_ptr<const Data> data;
  long generation;
};

// The tiny networks of one kind, on one data set, that a thread trains together: they join when there is room and leave one by one.
class Group {
 public:
  virtual std::vector<Job> join(int room) = 0;
  virtual Control control(const Job &job) = 0;
  virtual void leave(const Job &job, Outcome outcome) = 0;

 protected:
  ~Group() = default;
};

// One build of the kernels.
struct Engine {
  const char *name;
  Outcome (*train)(Plan &plan, const Data &data, Control &control);  // takes plan.start away
  void (*train_together)(const Plan &kind, const Data &data, Group &group);
  void (*evaluate)(const Program &program, const std::vector<double> &scalars, float *const *arrays, long count);
  void (*predict)(const Plan &plan, const Part &part, float *predictions);
  int padding;  // `count` of evaluate is a multiple of this
};

std::vector<const Engine *> engines();          // those this processor can run, best first
const Engine &engine(const std::string &name);  // throws std::invalid_argument

}  // namespace schuss
