// A whole training run of one network in one call: shuffle, gather, forward, loss, backward, clip, update, evaluate,
// watch, stop. Compiled once per instruction set; `engine` is what the rest of the library sees of it.
#include <chrono>
#include <numeric>
#include <tuple>

#include "flow.hpp"

namespace schuss::SCHUSS_BUILD {
namespace {

constexpr int kEvaluationRows = 128, kFlowRows = 128;

std::uint64_t mix(std::uint64_t x) {  // the finalizer of SplitMix64
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// The order of the rows in one epoch: Fisher and Yates with counter-based random numbers, the same in all engines.
void shuffle(std::vector<int> &order, std::uint64_t seed, std::uint64_t epoch) {
  constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;
  const std::uint64_t key = mix(mix(seed + golden) + epoch);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint64_t i = order.size() - 1; i > 0; i--)
    std::swap(order[i], order[((mix(key + (i + 1) * golden) >> 32) * (i + 1)) >> 32]);
}

class Training {
 public:
  Training(const Plan &plan, const Data &data, Control &control)
      : plan_(plan),
        data_(data),
        control_(control),
        rows_(data.train.rows),
        batch_(static_cast<int>(std::min<long>(plan.batch_size, rows_))),
        capacity_(std::max({std::min(batch_, kChunk), kEvaluationRows, kFlowRows})),
        stack_(plan, plan.moments(), capacity_),
        loss_(plan, stack_),
        scratch_(Machine::scratch_size(*plan.optimizer)),
        optimizer_(*plan.optimizer, scratch_.data()),
        scalars_(plan.optimizer->scalars),
        state_(plan.start) {
    restore(state_.parameters, stack_.parameters());
    const std::size_t count = state_.parameters.size();
    for (int k = 0; k < plan.moments(); k++)
      stack_.from_canonical(stack_.moments(k), state_.moments.data() + k * count);
    std::copy(plan.hyperparameters.begin(), plan.hyperparameters.end(), scalars_.begin());
    if (!plan.watch.empty()) previous_ = Aligned<float>(stack_.block());
    if (batch_ < rows_) order_.resize(rows_);
    place_arrays();
  }

  Outcome run() {
    if (state_.epoch == 0 && watched(0)) watch(nullptr);
    while (outcome_.status == "finished" && state_.epoch < plan_.epochs) {
      if (patience_is_over())
        outcome_.status = "stopped";
      else
        epoch();
    }
    finish();
    return std::move(outcome_);
  }

 private:
  enum class Step { done, diverged, cancelled };

  void restore(const std::vector<float> &canonical, float *block) { stack_.from_canonical(block, canonical.data()); }
  // Of the rows in this epoch; null for a full batch, which keeps their own order.
  const int *order() const { return order_.empty() ? nullptr : order_.data(); }
  bool watched(long epoch) const {
    return std::find(plan_.watch.begin(), plan_.watch.end(), epoch) != plan_.watch.end();
  }
  bool patience_is_over() const { return plan_.patience >= 0 && state_.epoch - state_.best_epoch >= plan_.patience; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  // w, g, moments as inputs; w and the moments again as outputs.
  void place_arrays() {
    arrays_ = {stack_.parameters(), stack_.gradient()};
    for (int k = 0; k < plan_.moments(); k++) arrays_.push_back(stack_.moments(k));
    arrays_.push_back(stack_.parameters());
    for (int k = 0; k < plan_.moments(); k++) arrays_.push_back(stack_.moments(k));
  }

  void epoch() {
    if (order()) shuffle(order_, plan_.seed, static_cast<std::uint64_t>(state_.epoch));
    const bool watching = watched(state_.epoch + 1);
    double sum = 0;
    for (int first = 0; first < rows_; first += batch_) {
      const int count = std::min(batch_, rows_ - first);
      if (watching && first + count == rows_) std::copy_n(stack_.parameters(), stack_.block(), previous_.data());
      switch (step(first, count, sum)) {
        case Step::done: break;
        case Step::diverged: return diverged(state_.step + 1, data_.train, order(), first, count);
        case Step::cancelled: outcome_.status = "cancelled"; return;
      }
    }
    state_.epoch++;
    finish_epoch(sum / rows_, watching);
  }

  // History, divergence, gradient flow, and the best parameters when waiting for the validation loss to fall.
  void finish_epoch(double train_loss, bool watching) {
    const auto [loss, score] = evaluate(data_.valid);
    if (control_.cancelled()) {
      outcome_.status = "cancelled";
      return;
    }
    for (double x : {double(state_.step), double(state_.epoch), seconds(), train_loss, loss, score})
      outcome_.history.push_back(x);
    const bool measured = data_.valid.rows > 0;
    const bool finite = std::isfinite(stack_.sum_parameters(stack_.parameters(), value_of));
    if (!finite || (measured && !std::isfinite(loss))) {
      const Part &part = measured ? data_.valid : data_.train;
      return diverged(state_.step, part, nullptr, 0, part.rows);
    }
    if (watching) watch(previous_.data());
    if (plan_.patience < 0 || !(loss < state_.best_loss)) return;
    state_.best_loss = loss;
    state_.best_epoch = state_.epoch;
    state_.best.resize(state_.parameters.size());
    stack_.to_canonical(stack_.parameters(), state_.best.data());
  }

  // One update from rows [first, first + count) of the epoch's order, in chunks; adds their losses to `sum`.
  Step step(int first, int count, double &sum) {
    double batch_sum = 0;
    for (int done = 0; done < count; done += kChunk) {
      if (control_.cancelled()) return Step::cancelled;
      load_chunk(data_.train, order(), first + done, std::min(kChunk, count - done));
      stack_.forward();
      batch_sum += loss_(count);
      if (!std::isfinite(batch_sum)) return Step::diverged;
      stack_.backward(done > 0);
    }
    update();
    sum += batch_sum;
    state_.step++;
    control_.count_step();
    return Step::done;
  }

  void load_chunk(const Part &part, const int *order, int first, int count) {
    stack_.gather(part, order, first, count, loss_.needs_targets());
  }

  void update() {
    if (plan_.clip_norm > 0) clip();
    if (plan_.learning_rate_index >= 0) scalars_[plan_.learning_rate_index] = plan_.learning_rates[state_.step];
    if (plan_.uses_time) scalars_.back() = static_cast<double>(state_.step + 1);
    optimizer_.prepare(scalars_);
    optimizer_.run(arrays_.data(), stack_.block());
  }

  // Scales the gradient so that its global norm is at most clip_norm, as torch.nn.utils.clip_grad_norm_ does.
  void clip() {
    const double norm = std::sqrt(stack_.sum_parameters(stack_.gradient(), square_of));
    const double factor = plan_.clip_norm / (norm + 1e-6);
    if (factor >= 1) return;
    for (long i = 0; i < stack_.block(); i += V)
      store(stack_.gradient() + i, load(stack_.gradient() + i) * static_cast<float>(factor));
  }

  // Notes the step that failed, and the first layer whose z is not finite in these rows.
  void diverged(long step, const Part &part, const int *order, int first, int count) {
    outcome_.status = "diverged";
    outcome_.diverged_step = step;
    outcome_.diverged_layer = stack_.depth();
    for (int done = 0; done < count; done += capacity_) {
      load_chunk(part, order, first + done, std::min(capacity_, count - done));
      for (int i = 0; i < outcome_.diverged_layer; i++) {
        const int units = stack_.layer(i).shape.outputs;
        stack_.forward_z(i);
        if (!std::isfinite(sum_batch(stack_.z(i), units, units, stack_.batch(), value_of)))
          outcome_.diverged_layer = i + 1;
        stack_.activate(i);
      }
    }
  }

  void watch(const float *previous) {
    load_chunk(data_.train, nullptr, 0, std::min(rows_, kFlowRows));
    measure_flow(stack_, loss_, previous, outcome_.flow);
    outcome_.watched.push_back(state_.epoch);
  }

  // Mean loss and score of a part; NaN when it is empty or the run was cancelled meanwhile.
  std::pair<double, double> evaluate(const Part &part) {
    double loss = 0, errors = 0;
    long correct = 0;
    const bool classes = !part.labels.empty();
    for (int first = 0; first < part.rows && !control_.cancelled(); first += kEvaluationRows) {
      const int count = std::min(kEvaluationRows, part.rows - first);
      load_chunk(part, nullptr, first, count);
      stack_.forward();
      loss += loss_(count);
      if (classes)
        correct += count_correct(stack_, plan_.threshold);
      else
        errors += sum_squared_errors(stack_);
    }
    const double none = std::numeric_limits<double>::quiet_NaN();
    if (part.rows == 0 || control_.cancelled()) return {none, none};
    const double r2 = part.scatter > 0 ? 1 - errors / part.scatter : none;
    return {loss / part.rows, classes ? static_cast<double>(correct) / part.rows : r2};
  }

  void finish() {
    stack_.to_canonical(stack_.parameters(), state_.parameters.data());
    const std::size_t count = state_.parameters.size();
    for (int k = 0; k < plan_.moments(); k++) stack_.to_canonical(stack_.moments(k), state_.moments.data() + k * count);
    if (!state_.best.empty()) restore(state_.best, stack_.parameters());
    const Part *parts[] = {&data_.train, &data_.valid, &data_.test};
    for (int i = 0; i < 3; i++) std::tie(outcome_.losses[i], outcome_.scores[i]) = evaluate(*parts[i]);
    outcome_.layers = stack_.depth();
    outcome_.state = std::move(state_);
    outcome_.seconds = seconds();
  }

  const Plan &plan_;
  const Data &data_;
  Control &control_;
  const int rows_, batch_, capacity_;  // capacity: rows the stack can hold at once
  Stack stack_;
  Loss loss_;
  Aligned<float> scratch_, previous_;
  Machine optimizer_;
  std::vector<double> scalars_;
  std::vector<float *> arrays_;
  std::vector<int> order_;
  State state_;
  Outcome outcome_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Outcome train(const Plan &plan, const Data &data, Control &control) {
  const FlushDenormals guard;
  return Training(plan, data, control).run();
}

void evaluate(const Program &program, const std::vector<double> &scalars, float *const *arrays, long count) {
  const FlushDenormals guard;
  Aligned<float> scratch(Machine::scratch_size(program));
  Machine machine(program, scratch.data());
  machine.prepare(scalars);
  machine.run(arrays, count);
}

void predict(const Plan &plan, const Part &part, float *predictions) {
  const FlushDenormals guard;
  Stack stack(plan, 0, kEvaluationRows);
  stack.from_canonical(stack.parameters(), plan.start.parameters.data());
  const int outputs = plan.sizes.back();
  for (int first = 0; first < part.rows; first += kEvaluationRows) {
    stack.gather(part, nullptr, first, std::min(kEvaluationRows, part.rows - first), false);
    stack.forward();
    for (int row = 0; row < stack.batch().rows; row++)
      for (int j = 0; j < outputs; j++)
        *predictions++ = stack.prediction()[(static_cast<long>(row / P) * outputs + j) * P + row % P];
  }
}

}  // namespace

extern const Engine engine;
const Engine engine{SCHUSS_NAME_OF_BUILD, train, evaluate, predict, P};

}  // namespace schuss::SCHUSS_BUILD
