// The parts of the engine that are the same for every instruction set: the list of operations, their meaning for
// scalars, the checks that keep malformed programs and plans away from the kernels, and the choice of a build.
#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>

#include "built_ins.hpp"

namespace schuss {

#define SCHUSS_STRING(name) #name,
const std::vector<const char *> operation_names = {SCHUSS_OPERATIONS(SCHUSS_STRING, SCHUSS_STRING, SCHUSS_STRING)};
#undef SCHUSS_STRING

int operand_count(Operation operation) {
  return operation <= Operation::cos ? 1 : operation <= Operation::less_equal ? 2 : 3;
}

double apply(Operation operation, double a, double b, double c) {
  switch (operation) {
    case Operation::move: return a;
    case Operation::neg: return -a;
    case Operation::abs: return std::fabs(a);
    case Operation::sign: return a > 0 ? 1 : a < 0 ? -1 : a;
    case Operation::floor: return std::floor(a);
    case Operation::exp: return std::exp(a);
    case Operation::expm1: return std::expm1(a);
    case Operation::log: return std::log(a);
    case Operation::log1p: return std::log1p(a);
    case Operation::sqrt: return std::sqrt(a);
    case Operation::tanh: return std::tanh(a);
    case Operation::sech2: return 4 * apply(Operation::logistic_pdf, 2 * a, 0, 0);
    case Operation::sigmoid: return 1 / (1 + std::exp(-a));
    case Operation::logistic_pdf: {
      const double e = std::exp(-std::fabs(a));
      return e / (1 + e) / (1 + e);
    }
    case Operation::erf: return std::erf(a);
    case Operation::normal_cdf: return 0.5 * std::erfc(-a * 0.7071067811865476);
    case Operation::normal_pdf: return std::exp(-0.5 * a * a) * 0.3989422804014327;
    case Operation::sin: return std::sin(a);
    case Operation::cos: return std::cos(a);
    case Operation::add: return a + b;
    case Operation::sub: return a - b;
    case Operation::mul: return a * b;
    case Operation::div: return a / b;
    case Operation::pow: return std::pow(a, b);
    case Operation::maximum: return a > b || std::isnan(a) ? a : b;
    case Operation::minimum: return a < b || std::isnan(a) ? a : b;
    case Operation::hypot: return std::hypot(a, b);
    case Operation::less: return a < b;
    case Operation::less_equal: return a <= b;
    case Operation::where: return a != 0 ? b : c;
    case Operation::fma: return a * b + c;
  }
  return std::nan("");
}

namespace {

[[noreturn]] void reject(const std::string &message) { throw std::invalid_argument(message); }
void require(bool condition, const char *message) {
  if (!condition) reject(message);
}

std::string place(const char *what, std::size_t index) { return std::string(what) + " " + std::to_string(index); }

// Operands are registers that already hold a value, unused ones are -1.
void check_operands(const Instruction &i, const std::vector<bool> &written, const std::string &where) {
  const int code = static_cast<int>(i.operation), operands[] = {i.a, i.b, i.c};
  if (code < 0 || code >= static_cast<int>(operation_names.size()))
    reject(where + ": there is no operation " + std::to_string(code));
  for (int k = 0; k < 3; k++) {
    const bool used = k < operand_count(i.operation),
               exists = operands[k] >= 0 && operands[k] < static_cast<int>(written.size());
    if (used && !exists) reject(where + ": there is no register " + std::to_string(operands[k]));
    if (used && !written[operands[k]])
      reject(where + ": register " + std::to_string(operands[k]) + " is read before it is written");
    if (!used && operands[k] != -1)
      reject(where + ": an unused operand must be -1, not " + std::to_string(operands[k]));
  }
}

}  // namespace

void Program::check() const {
  require(inputs >= 0 && temporaries >= 0 && scalars >= 0, "a program cannot have a negative number of registers");
  require(outputs >= 1, "a program needs at least one output");
  require(std::max({inputs, outputs, temporaries, scalars}) <= 1 << 16,
          "a program can have at most 65536 registers of a kind");
  std::vector<bool> known(scalars + constants.size(), true);
  for (std::size_t k = 0; k < scalar_code.size(); k++) {
    const std::string where = place("scalar instruction", k);
    check_operands(scalar_code[k], known, where);
    if (scalar_code[k].destination != static_cast<int>(known.size()))
      reject(where + ": the destination must be the next free register");
    known.push_back(true);
  }
  for (int scalar : broadcast)
    if (scalar < 0 || scalar >= static_cast<int>(known.size()))
      reject("broadcast: there is no scalar register " + std::to_string(scalar));

  const int arrays = inputs + outputs + temporaries;
  std::vector<bool> written(arrays + broadcast.size(), true);
  std::fill(written.begin() + inputs, written.begin() + arrays, false);
  for (std::size_t k = 0; k < code.size(); k++) {
    const std::string where = place("instruction", k);
    check_operands(code[k], written, where);
    if (code[k].destination < inputs || code[k].destination >= arrays)
      reject(where + ": the destination must be an output or a temporary, not register " +
             std::to_string(code[k].destination));
    written[code[k].destination] = true;
  }
  for (int k = 0; k < outputs; k++)
    if (!written[inputs + k]) reject(place("output", k) + " is never written");
}

int find_built_in(const Program &program) {
  const auto has_code = [&](const BuiltIn &b) {
    return program.inputs == b.inputs && program.outputs == b.outputs && program.temporaries == b.temporaries &&
           std::equal(program.code.begin(), program.code.end(), b.code, b.code + b.length);
  };
  const auto found = std::find_if(std::begin(built_ins), std::end(built_ins), has_code);
  return found == std::end(built_ins) ? -1 : static_cast<int>(found - std::begin(built_ins));
}

bool LayerPlan::same_kind(const LayerPlan &other) const {
  const auto key = [](const LayerPlan &l) { return std::tie(l.kind, l.inputs, l.outputs, l.activation, l.adds); };
  return key(*this) == key(other) && same_bits(largest_slope, other.largest_slope) && same_bits(dropout, other.dropout);
}

long Plan::parameter_count() const {
  long count = 0;
  for (const LayerPlan &l : layers) count += (l.weight_rows() + static_cast<long>(l.other_rows())) * l.outputs;
  return count;
}

bool Plan::whole_batches() const {
  return std::any_of(layers.begin(), layers.end(), [](const LayerPlan &l) { return l.kind == Kind::batch_norm; });
}

bool Plan::tiny() const {
  return std::all_of(layers.begin(), layers.end(), [](const LayerPlan &l) {
    return l.plain() && std::max(l.inputs, l.outputs) <= kTiny;
  });
}

namespace {

void check_program(const ProgramPtr &program, const char *what, int inputs, int outputs, int scalars) {
  if (!program || program->inputs != inputs || program->outputs != outputs || program->scalars != scalars)
    reject(std::string(what) + ": expected a program of " + std::to_string(inputs) + " inputs, " +
           std::to_string(outputs) + " outputs and " + std::to_string(scalars) + " scalars");
}

void check_part(const Plan &plan, const Part &part) {
  const int outputs = plan.outputs();
  require(part.features == plan.inputs(), "sizes: the first must be the number of columns of X");
  if (plan.loss)
    require(part.targets == outputs, "sizes: the last must be the number of columns of Y");
  else
    require(part.rows == 0 || !part.labels.empty(), "softmax cross-entropy needs labels");
  require(part.classes <= std::max(2, outputs), "labels: every label must be below the number of outputs");
}

}  // namespace

// Meeting costs a step some microseconds, and the weights pass through the cache of every thread: about 50 microseconds
// of work should be left to each, which is a stack of width 128 with batches of 128 for two. Batch norm sums over rows.
int Plan::useful_threads(long rows, int threads) const {
  constexpr double kProductsPerThread = 2e6;
  if (whole_batches()) return 1;
  const long batch = std::min(batch_size, rows);
  const double products = static_cast<double>(batch) * static_cast<double>(parameter_count());
  return static_cast<int>(std::clamp(products / kProductsPerThread, 1., static_cast<double>(threads)));
}

void Plan::check_stack() const {
  require(!layers.empty(), "sizes: a stack needs at least an input and an output size");
  const int count = static_cast<int>(layers.size());
  for (int i = 0; i < count; i++) {
    const LayerPlan &l = layers[i];
    for (int size : {l.inputs, l.outputs})
      require(size >= 1 && size <= 1 << 20, "sizes: every size must be between 1 and 1048576");
    require(l.kind >= Kind::dense && l.kind <= Kind::rms_norm, "kinds: expected 0 to 3");
    require(l.kind == Kind::dense || l.inputs == l.outputs, "sizes: a norm has as many outputs as inputs");
    check_program(l.activation, "activations", 1, 2, 0);
    require(l.dropout >= 0 && l.dropout < 1, "dropouts: expected shares from 0, below 1");
    require(l.adds >= -1 && l.adds <= i, "adds: expected an earlier value, or -1");
    require(l.adds < 0 || layers[l.adds].inputs == l.outputs, "adds: the value must be as wide as the layer's output");
  }
  require(static_cast<long>(start.parameters.size()) == parameter_count(),
          "parameters: the count does not fit the layers");
}

bool Plan::same_kind(const Plan &other) const {
  const auto key = [](const Plan &p) {
    return std::tie(p.loss, p.optimizer, p.learning_rate_index, p.uses_time, p.batch_size);
  };
  return key(*this) == key(other) && same_bits(smoothing, other.smoothing) &&
         std::equal(layers.begin(), layers.end(), other.layers.begin(), other.layers.end(),
                    [](const LayerPlan &a, const LayerPlan &b) { return a.same_kind(b); });
}

void Plan::check(const Data &data) const {
  check_stack();
  for (const Part *part : {&data.train, &data.valid, &data.test}) check_part(*this, *part);
  require(optimizer && optimizer->inputs >= 2, "optimizer: expected a program of w, g and state");
  check_program(optimizer, "optimizer", optimizer->inputs, optimizer->inputs - 1,
                static_cast<int>(hyperparameters.size()) + uses_time);
  if (loss) check_program(loss, "loss", 2, 2, 0);
  require(learning_rate_index >= -1 && learning_rate_index < static_cast<int>(hyperparameters.size()),
          "lr_index: there is no such hyper-parameter");
  require(batch_size >= 1, "batch_size must be at least 1");
  require(start.step >= 0 && start.epoch >= 0, "step and epoch must not be negative");
  require(start.moments.size() == start.parameters.size() * moments(),
          "moments: expected one array of parameters for each state of the optimizer");
  require(start.best.empty() || start.best.size() == start.parameters.size(),
          "best: expected as many values as parameters, or none");
  const long rates = static_cast<long>(learning_rates->size());  // divided by, as a product might overflow
  require(learning_rate_index < 0 || epochs <= start.epoch ||
              (rates >= start.step && epochs - start.epoch <= (rates - start.step) / steps_per_epoch(data.train.rows)),
          "learning_rates: expected one for each step of the training");
}

// ---------------------------------------------------------------- the builds
namespace baseline {
extern const Engine engine;
}
#ifdef SCHUSS_X86
namespace avx2 {
extern const Engine engine;
}
namespace avx512 {
extern const Engine engine;
}
#endif

std::vector<const Engine *> engines() {
  std::vector<const Engine *> supported;
#ifdef SCHUSS_X86
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v4) supported.push_back(&avx512::engine);
  if (v3) supported.push_back(&avx2::engine);
#endif
  supported.push_back(&baseline::engine);
  return supported;
}

const Engine &engine(const std::string &name) {
  std::string known;
  for (const Engine *candidate : engines()) {
    if (candidate->name == name) return *candidate;
    known += std::string(known.empty() ? "" : ", ") + candidate->name;
  }
  reject("there is no instruction set '" + name + "' on this processor; there are: " + known);
}

}  // namespace schuss
