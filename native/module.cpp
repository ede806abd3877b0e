// The binding: Python objects in, plain data out, and nothing else. Everything is checked here or by the `check` of the
// plain types before it reaches a kernel.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "pool.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace schuss {
namespace {

template <class T, int dimensions> using Array =
    nb::ndarray<const T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void reject(const std::string &message) { throw std::invalid_argument(message); }

// An array that owns a copy-free vector.
template <class T> nb::object to_numpy(std::vector<T> values, std::initializer_list<std::size_t> shape) {
  auto *owned = new std::vector<T>(std::move(values));
  nb::capsule owner(owned, [](void *p) noexcept { delete static_cast<std::vector<T> *>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(owned->data(), shape.size(), shape.begin(), owner));
}
template <class T> nb::object to_numpy(std::vector<T> values) {
  const std::size_t size = values.size();
  return to_numpy(std::move(values), {size});
}
template <class... Traits> auto to_vector(const nb::ndarray<Traits...> &array) {
  return std::vector(array.data(), array.data() + array.size());
}

// ---------------------------------------------------------------- programs
// The class Python holds. The program is shared with running networks, whose threads must not touch Python's counts.
struct ProgramHandle {
  ProgramPtr program;
};

std::vector<Instruction> instructions(const Array<int, 2> &rows, const char *what) {
  if (rows.shape(1) != 5) reject(std::string(what) + ": expected five columns: operation, destination, a, b, c");
  std::vector<Instruction> result;
  for (std::size_t i = 0; i < rows.shape(0); i++) {
    const int *row = rows.data() + i * 5;
    result.push_back({static_cast<Operation>(row[0]), row[1], row[2], row[3], row[4]});
  }
  return result;
}

ProgramHandle make_program(const Array<int, 2> &code, const Array<int, 2> &scalar_code,
                           const Array<double, 1> &constants, const Array<int, 1> &broadcast, int n_inputs,
                           int n_outputs, int n_temporaries, int n_scalar_inputs, bool fused) {
  auto program = std::make_shared<Program>();
  program->code = instructions(code, "code");
  program->scalar_code = instructions(scalar_code, "scalar_code");
  program->constants = to_vector(constants);
  program->broadcast = to_vector(broadcast);
  program->inputs = n_inputs;
  program->outputs = n_outputs;
  program->temporaries = n_temporaries;
  program->scalars = n_scalar_inputs;
  program->check();
  if (fused) program->built_in = find_built_in(*program);
  return {program};
}

nb::list evaluate(const ProgramHandle &handle, const std::string &instruction_set,
                  const std::vector<Array<float, 1>> &inputs, const std::vector<double> &scalars) {
  const Program &program = *handle.program;
  const Engine &build = engine(instruction_set);
  if (static_cast<int>(inputs.size()) != program.inputs)
    reject("inputs: expected " + std::to_string(program.inputs) + " arrays");
  if (static_cast<int>(scalars.size()) != program.scalars)
    reject("scalars: expected " + std::to_string(program.scalars) + " numbers");
  const std::size_t count = inputs.empty() ? 1 : inputs[0].size();
  const std::size_t padded = (count + build.padding - 1) / build.padding * build.padding;
  std::vector<Aligned<float>> buffers;
  std::vector<float *> arrays;
  for (int i = 0; i < program.inputs + program.outputs; i++) {
    buffers.emplace_back(padded);
    arrays.push_back(buffers.back().data());
    if (i >= program.inputs) continue;
    if (inputs[i].size() != count) reject("inputs: expected arrays of one length");
    std::copy_n(inputs[i].data(), count, arrays.back());
  }
  build.evaluate(program, scalars, arrays.data(), static_cast<long>(padded));
  nb::list outputs;
  for (int i = program.inputs; i < program.inputs + program.outputs; i++)
    outputs.append(to_numpy(std::vector<float>(arrays[i], arrays[i] + count)));
  return outputs;
}

// ---------------------------------------------------------------- data
Aligned<float> padded_rows(const Array<float, 2> &matrix, long stride) {
  Aligned<float> rows(matrix.shape(0) * stride);
  for (std::size_t i = 0; i < matrix.shape(0); i++)
    std::copy_n(matrix.data() + i * matrix.shape(1), matrix.shape(1), rows.data() + i * stride);
  return rows;
}

// Of the rows with their weights, f(i) being the value of row i.
template <class F> double weighted_sum(const Part &part, F f) {
  double sum = 0;
  for (int i = 0; i < part.rows; i++) sum += part.weights.empty() ? f(i) : part.weights[i] * f(i);
  return sum;
}

double scatter(const Part &part, const Array<float, 2> &y) {
  double sum = 0;
  for (int j = 0; j < part.targets; j++) {
    const double mean = weighted_sum(part, [&](int i) -> double { return y(i, j); }) / part.weight;
    sum += weighted_sum(part, [&](int i) { return (y(i, j) - mean) * (y(i, j) - mean); });
  }
  return sum;
}

Part make_part(const Array<float, 2> &x, const Array<float, 2> &y, const Array<int, 1> &labels,
               const Array<float, 1> &weights) {
  constexpr std::size_t most = 1u << 30, widest = 1u << 20;
  if (x.shape(0) != y.shape(0)) reject("X and Y: expected the same number of rows");
  if (labels.size() != 0 && labels.size() != x.shape(0)) reject("labels: expected one a row, or none");
  if (weights.size() != 0 && weights.size() != x.shape(0)) reject("weights: expected one a row, or none");
  if (x.shape(0) > most || x.shape(1) > widest || y.shape(1) > widest)
    reject("X and Y: at most 2^30 rows and 2^20 columns");
  const auto stride = [](std::size_t width) {
    return static_cast<long>(width + Part::kRowAlignment - 1) / Part::kRowAlignment * Part::kRowAlignment;
  };
  Part part;
  part.rows = static_cast<int>(x.shape(0));
  part.features = static_cast<int>(x.shape(1));
  part.targets = static_cast<int>(y.shape(1));
  part.x_stride = stride(x.shape(1));
  part.y_stride = stride(y.shape(1));
  part.x = padded_rows(x, part.x_stride);
  part.y = padded_rows(y, part.y_stride);
  part.labels = to_vector(labels);
  for (int label : part.labels) {
    if (label < 0) reject("labels: expected class indices from 0");
    part.classes = std::max(part.classes, label + 1);
  }
  part.weights = to_vector(weights);
  part.weight = weighted_sum(part, [](int) { return 1.; });
  part.scatter = scatter(part, y);
  return part;
}

// A data set, shared with the networks that are trained on it.
struct DataHandle {
  std::shared_ptr<const Data> data;
};

using PartArrays = std::tuple<Array<float, 2>, Array<float, 2>, Array<int, 1>, Array<float, 1>>;

DataHandle make_data(const std::vector<PartArrays> &parts) {
  if (parts.size() != 3) reject("parts: expected train, valid and test");
  const auto part = [&](int i) { return std::apply(make_part, parts[i]); };
  Data data{part(0), part(1), part(2)};
  if (data.train.rows == 0) reject("parts: the training part has no rows");
  for (Part *p : {&data.valid, &data.test})
    if (p->rows > 0 && p->weights.empty() != data.train.weights.empty())
      reject("weights: expected those of all parts, or none");
  return {std::make_shared<const Data>(std::move(data))};
}

// ---------------------------------------------------------------- plans and outcomes
// Reads a plan's dictionary; a missing or wrong entry is reported by its name.
class Reader {
 public:
  explicit Reader(const nb::dict &entries) : entries_(entries) {}

  template <class T> T get(const char *key) const {
    if (!entries_.contains(key)) reject(std::string("plan: '") + key + "' is missing");
    T value;
    if (!nb::try_cast<T>(entries_[key], value)) reject(std::string("plan: '") + key + "' has the wrong type");
    return value;
  }
  template <class T, int dimensions> std::vector<T> array(const char *key) const {
    return to_vector(get<Array<T, dimensions>>(key));
  }
  ProgramPtr program(const char *key) const {
    const nb::object value = get<nb::object>(key);
    return value.is_none() ? nullptr : program(value, key);
  }
  std::vector<ProgramPtr> programs(const char *key) const {
    std::vector<ProgramPtr> result;
    for (nb::handle value : get<nb::list>(key)) result.push_back(program(value, key));
    return result;
  }

 private:
  static ProgramPtr program(nb::handle value, const char *key) {
    const ProgramHandle *handle;
    if (!nb::try_cast<const ProgramHandle *>(value, handle) || !handle)
      reject(std::string("plan: '") + key + "' must hold Program objects");
    return handle->program;
  }
  const nb::dict &entries_;
};

// A plan without its seed and start: what the networks of a population share is read once.
struct PlanHandle {
  Plan plan;
};

std::vector<LayerPlan> layers(const Reader &read) {
  const auto kinds = read.get<std::vector<int>>("kinds"), sizes = read.get<std::vector<int>>("sizes"),
             adds = read.get<std::vector<int>>("adds");
  const auto activations = read.programs("activations");
  const auto slopes = read.get<std::vector<double>>("slopes"), dropouts = read.get<std::vector<double>>("dropouts");
  const std::size_t count = kinds.size();
  if (sizes.size() != count + 1) reject("sizes: expected one more than kinds");
  for (const auto &[name, size] : {std::pair{"activations", activations.size()}, {"slopes", slopes.size()},
                                   {"dropouts", dropouts.size()}, {"adds", adds.size()}})
    if (size != count) reject(std::string(name) + ": expected one a layer");
  std::vector<LayerPlan> result;
  for (std::size_t i = 0; i < count; i++)
    result.push_back({static_cast<Kind>(kinds[i]), sizes[i], sizes[i + 1], activations[i], slopes[i], dropouts[i],
                      adds[i]});
  return result;
}

PlanHandle make_plan(const nb::dict &entries) {
  const Reader read(entries);
  Plan plan;
  plan.layers = layers(read);
  plan.loss = read.program("loss");
  plan.smoothing = read.get<double>("smoothing");
  plan.optimizer = read.program("optimizer");
  plan.hyperparameters = read.get<std::vector<double>>("hyperparameters");
  plan.learning_rate_index = read.get<int>("lr_index");
  plan.uses_time = read.get<bool>("uses_t");
  plan.learning_rates = std::make_shared<const std::vector<double>>(read.array<double, 1>("learning_rates"));
  plan.batch_size = read.get<long>("batch_size");
  plan.epochs = read.get<long>("epochs");
  plan.patience = read.get<long>("patience");
  plan.clip_norm = read.get<double>("clip_norm");
  plan.threshold = read.get<double>("threshold");
  plan.watch = read.get<std::vector<long>>("watch");
  return {std::move(plan)};
}

Plan complete(Plan plan, const nb::dict &entries) {
  const Reader read(entries);
  plan.seed = read.get<std::uint64_t>("seed");
  plan.start.parameters = read.array<float, 1>("parameters");
  plan.start.moments = read.array<float, 2>("moments");
  plan.start.step = read.get<long>("step");
  plan.start.epoch = read.get<long>("epoch");
  plan.start.best = read.array<float, 1>("best");
  plan.start.best_loss = read.get<double>("best_loss");
  plan.start.best_epoch = read.get<long>("best_epoch");
  return plan;
}

nb::tuple three(const double *x) { return nb::make_tuple(x[0], x[1], x[2]); }

nb::dict to_python(Outcome outcome) {
  nb::dict result;
  result["status"] = outcome.status;
  result["message"] = outcome.message;
  if (outcome.status == "failed") return result;
  State &state = outcome.state;
  const std::size_t parameters = state.parameters.size(),
                    n_moments = parameters ? state.moments.size() / parameters : 0;
  const std::size_t epochs = outcome.history.size() / 6, measured = outcome.watched.size();
  const std::size_t layers = outcome.layers;
  result["parameters"] = to_numpy(std::move(state.parameters));
  result["moments"] = to_numpy(std::move(state.moments), {n_moments, parameters});
  result["step"] = state.step;
  result["epoch"] = state.epoch;
  result["best"] = state.best.empty() ? nb::none() : to_numpy(std::move(state.best));
  result["best_loss"] = state.best_loss;
  result["best_epoch"] = state.best_epoch;
  result["history"] = to_numpy(std::move(outcome.history), {epochs, 6});
  result["flow"] = to_numpy(std::move(outcome.flow), {measured, layers, kQuantities});
  result["watched"] = to_numpy(std::move(outcome.watched));
  result["losses"] = three(outcome.losses);
  result["scores"] = three(outcome.scores);
  result["diverged_step"] = outcome.diverged_step;
  result["diverged_layer"] = outcome.diverged_layer;
  result["seconds"] = outcome.seconds;
  return result;
}

// ---------------------------------------------------------------- trainer
class Trainer {
 public:
  Trainer(int threads, const std::string &instruction_set) {
    if (threads < 1 || threads > 1024) reject("threads: expected 1 to 1024");
    pool_ = std::make_unique<Pool>(threads, engine(instruction_set));
  }
  ~Trainer() {
    const nb::gil_scoped_release release;
    pool_.reset();
  }

  void submit(const std::vector<std::tuple<long, const PlanHandle *, const DataHandle *, nb::dict>> &networks) {
    std::vector<Job> jobs;
    for (const auto &[key, plan, data, start] : networks) {
      if (!plan || !data) reject("networks: expected a Plan and its Data");
      jobs.push_back({key, std::make_shared<Plan>(complete(plan->plan, start)), data->data, 0});
      jobs.back().plan->check(*data->data);
    }
    pool_->submit(std::move(jobs));
  }
  nb::list poll(double timeout) {
    std::vector<Pool::Result> finished;
    {
      const nb::gil_scoped_release release;
      finished = pool_->poll(timeout);
    }
    nb::list result;
    for (Pool::Result &r : finished) result.append(nb::make_tuple(r.key, to_python(std::move(r.outcome))));
    return result;
  }
  long steps() const { return pool_->steps(); }
  long helped() const { return pool_->helped(); }
  long pending() const { return pool_->pending(); }
  void cancel() {
    const nb::gil_scoped_release release;
    pool_->cancel();
  }

 private:
  std::unique_ptr<Pool> pool_;
};

nb::object predict(const Array<float, 2> &x, const nb::dict &entries, const Array<float, 1> &parameters,
                   const std::string &instruction_set) {
  Plan plan;
  plan.layers = layers(Reader(entries));
  plan.start.parameters = to_vector(parameters);
  plan.check_stack();
  if (x.shape(1) != static_cast<std::size_t>(plan.inputs()))
    reject("X: expected " + std::to_string(plan.inputs()) + " columns");
  const Array<float, 2> no_targets(nullptr, {x.shape(0), 0}, nb::handle());
  const Part part =
      make_part(x, no_targets, Array<int, 1>(nullptr, {0}, nb::handle()), Array<float, 1>(nullptr, {0}, nb::handle()));
  const Engine &build = engine(instruction_set);
  std::vector<float> predictions(x.shape(0) * plan.outputs());
  {
    const nb::gil_scoped_release release;
    build.predict(plan, part, predictions.data());
  }
  return to_numpy(std::move(predictions), {x.shape(0), static_cast<std::size_t>(plan.outputs())});
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Engine *build : engines()) names.emplace_back(build->name);
  return names;
}

}  // namespace
}  // namespace schuss

NB_MODULE(_native, m) {
  using namespace schuss;
  nb::set_leak_warnings(false);  // Python's caches may hold programs until the interpreter ends
  m.doc() = "The native training engine of schuss; use it through schuss.engines.native.";
  m.def("operations", [] { return std::vector<std::string>(operation_names.begin(), operation_names.end()); });
  m.def("instruction_sets", &instruction_sets, "Those this processor supports, best first.");
  nb::class_<ProgramHandle>(m, "Program")
      .def(nb::new_(&make_program), "code"_a, "scalar_code"_a, "constants"_a, "broadcast"_a, "n_inputs"_a,
           "n_outputs"_a, "n_temporaries"_a, "n_scalar_inputs"_a, "fused"_a = true)
      .def_prop_ro("fused", [](const ProgramHandle &handle) { return handle.program->built_in >= 0; });
  m.def("evaluate", &evaluate, "program"_a, "instruction_set"_a, "inputs"_a, "scalars"_a);
  m.def("predict", &predict, "X"_a, "layers"_a, "parameters"_a, "instruction_set"_a);
  nb::class_<PlanHandle>(m, "Plan").def(nb::new_(&make_plan), "entries"_a);
  nb::class_<DataHandle>(m, "Data").def(nb::new_(&make_data), "parts"_a);
  nb::class_<Trainer>(m, "Trainer")
      .def(nb::init<int, const std::string &>(), "threads"_a, "instruction_set"_a)
      .def("submit", &Trainer::submit, "networks"_a)
      .def("poll", &Trainer::poll, "timeout"_a)
      .def("steps", &Trainer::steps)
      .def("helped", &Trainer::helped)
      .def("pending", &Trainer::pending)
      .def("cancel", &Trainer::cancel);
}
