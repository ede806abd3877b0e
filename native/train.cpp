// A whole training run of one network in one call: shuffle, gather, forward, loss, backward, clip, update, evaluate,
// watch, stop. Compiled once per instruction set; `engine` is what the rest of the library sees of it.
#include <chrono>
#include <numeric>
#include <tuple>

#include "flow.hpp"
#include "lanes.hpp"

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

int batch_rows(const Plan &plan, const Data &data) {
  return static_cast<int>(std::min<long>(plan.batch_size, data.train.rows));
}

// What networks of one kind can share, one after the other.
struct Workspace {
  Workspace(const Plan &plan, const Data &data)
      : capacity(std::max({std::min(batch_rows(plan, data), kChunk), kEvaluationRows, kFlowRows})),
        stack(plan, plan.moments(), capacity),
        loss(plan, stack),
        scratch(Machine::scratch_size(*plan.optimizer)),
        optimizer(*plan.optimizer, scratch.data()) {}

  const int capacity;  // rows the stack can hold at once
  Stack stack;
  Loss loss;
  Aligned<float> scratch;
  Machine optimizer;
};

// The training of one network. Whoever makes the updates himself, as `Together` does, calls the public parts of `run`,
// with the network's parameters in the stack wherever it is evaluated.
class Training {
 public:
  Training(const Plan &plan, const Data &data, Control &control, Workspace &workspace)
      : plan_(plan),
        data_(data),
        control_(control),
        rows_(data.train.rows),
        batch_(batch_rows(plan, data)),
        capacity_(workspace.capacity),
        stack_(workspace.stack),
        loss_(workspace.loss),
        optimizer_(workspace.optimizer),
        scalars_(plan.optimizer->scalars),
        state_(plan.start) {
    std::copy(plan.hyperparameters.begin(), plan.hyperparameters.end(), scalars_.begin());
    if (!plan.watch.empty()) previous_ = Aligned<float>(stack_.block());
    if (batch_ < rows_) order_.resize(rows_);
    place_arrays();
  }

  Outcome run() {
    state_to_stack();
    begin();
    while (goes_on()) epoch();
    stack_to_state();
    return finish();
  }

  void begin() {
    if (state_.epoch == 0 && watched(0)) watch(nullptr);
  }
  bool goes_on() {
    if (outcome_.status == "finished" && state_.epoch < plan_.epochs && patience_is_over()) outcome_.status = "stopped";
    return outcome_.status == "finished" && state_.epoch < plan_.epochs;
  }
  void begin_epoch() {
    if (order()) shuffle(order_, plan_.seed, static_cast<std::uint64_t>(state_.epoch));
    watching_ = watched(state_.epoch + 1);
    sum_ = 0;
  }
  // Of the rows in this epoch; null for a full batch, which keeps their own order.
  const int *order() const { return order_.empty() ? nullptr : order_.data(); }
  // Before the last update of an epoch after which the flow is measured.
  bool watching() const { return watching_; }
  void remember() { std::copy_n(stack_.parameters(), stack_.block(), previous_.data()); }
  bool cancelled() {
    if (control_.cancelled()) outcome_.status = "cancelled";
    return control_.cancelled();
  }
  // Of the optimizer in the coming update.
  const std::vector<double> &scalars() {
    if (plan_.learning_rate_index >= 0) scalars_[plan_.learning_rate_index] = plan_.learning_rates[state_.step];
    if (plan_.uses_time) scalars_.back() = static_cast<double>(state_.step + 1);
    return scalars_;
  }
  double clip_norm() const { return plan_.clip_norm; }
  void updated(double batch_sum) {
    sum_ += batch_sum;
    state_.step++;
    control_.count_step();
  }
  void diverged(int first, int count) { diverged(state_.step + 1, data_.train, order(), first, count); }
  void end_epoch() {
    state_.epoch++;
    finish_epoch(sum_ / rows_, watching_);
  }

  State &state() { return state_; }
  void state_to_stack() {
    restore(state_.parameters, stack_.parameters());
    const std::size_t count = state_.parameters.size();
    for (int k = 0; k < plan_.moments(); k++)
      stack_.from_canonical(stack_.moments(k), state_.moments.data() + k * count);
  }
  void stack_to_state() {
    stack_.to_canonical(stack_.parameters(), state_.parameters.data());
    const std::size_t count = state_.parameters.size();
    for (int k = 0; k < plan_.moments(); k++) stack_.to_canonical(stack_.moments(k), state_.moments.data() + k * count);
  }
  Outcome finish() {
    if (!state_.best.empty()) restore(state_.best, stack_.parameters());
    const Part *parts[] = {&data_.train, &data_.valid, &data_.test};
    for (int i = 0; i < 3; i++) std::tie(outcome_.losses[i], outcome_.scores[i]) = evaluate(*parts[i]);
    outcome_.layers = stack_.depth();
    outcome_.state = std::move(state_);
    outcome_.seconds = seconds();
    return std::move(outcome_);
  }

 private:
  enum class Step { done, diverged, cancelled };

  void restore(const std::vector<float> &canonical, float *block) { stack_.from_canonical(block, canonical.data()); }
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
    begin_epoch();
    for (int first = 0; first < rows_; first += batch_) {
      const int count = std::min(batch_, rows_ - first);
      if (watching_ && first + count == rows_) remember();
      switch (step(first, count)) {
        case Step::done: break;
        case Step::diverged: return diverged(first, count);
        case Step::cancelled: return;
      }
    }
    end_epoch();
  }

  // History, divergence, gradient flow, and the best parameters when waiting for the validation loss to fall.
  void finish_epoch(double train_loss, bool watching) {
    const auto [loss, score] = evaluate(data_.valid);
    if (cancelled()) return;
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

  // One update from rows [first, first + count) of the epoch's order, in chunks.
  Step step(int first, int count) {
    double batch_sum = 0;
    for (int done = 0; done < count; done += kChunk) {
      if (cancelled()) return Step::cancelled;
      load_chunk(data_.train, order(), first + done, std::min(kChunk, count - done));
      stack_.forward();
      batch_sum += loss_(count);
      if (!std::isfinite(batch_sum)) return Step::diverged;
      stack_.backward(done > 0);
    }
    update();
    updated(batch_sum);
    return Step::done;
  }

  void load_chunk(const Part &part, const int *order, int first, int count) {
    stack_.gather(part, order, first, count, loss_.needs_targets());
  }

  void update() {
    if (plan_.clip_norm > 0) clip();
    optimizer_.prepare(scalars());
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

  const Plan &plan_;
  const Data &data_;
  Control &control_;
  const int rows_, batch_, capacity_;  // capacity: rows the stack can hold at once
  Stack &stack_;
  Loss &loss_;
  Machine &optimizer_;
  Aligned<float> previous_;  // parameters before the last update of an epoch
  std::vector<double> scalars_;
  std::vector<float *> arrays_;
  std::vector<int> order_;
  bool watching_ = false;  // whether the flow is measured after this epoch
  double sum_ = 0;         // of the losses of this epoch
  State state_;
  Outcome outcome_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Tiny networks of one kind, one a lane, epoch by epoch. One that is done leaves its lane to the next that waits.
class Together {
 public:
  Together(const Plan &kind, const Data &data, Group &group)
      : data_(data),
        group_(group),
        batch_(batch_rows(kind, data)),
        workspace_(kind, data),
        lanes_(kind, workspace_.stack, workspace_.loss, workspace_.optimizer) {}

  void run() {
    do {
      admit();
      epoch();
    } while (busy() > 0);
  }

 private:
  struct Seat {
    Seat(Job waiting, const Data &data, Group &group, Workspace &workspace)
        : job(std::move(waiting)), control(group.control(job)), training(*job.plan, data, control, workspace) {}
    const Job job;
    Control control;
    Training training;
  };

  template <class F> void each(F f) {
    for (int lane = 0; lane < V; lane++)
      if (seats_[lane]) f(lane, seats_[lane]->training);
  }
  int busy() const { return V - static_cast<int>(std::count(seats_.begin(), seats_.end(), nullptr)); }

  void admit() {
    if (busy() == V) return;
    int lane = 0;
    for (Job &job : group_.join(V - busy())) {
      while (seats_[lane]) lane++;
      seats_[lane] = std::make_unique<Seat>(std::move(job), data_, group_, workspace_);
      Training &training = seats_[lane]->training;
      lanes_.put(lane, training.state());
      training.state_to_stack();
      training.begin();
    }
    each([&](int i, Training &training) {
      if (!training.goes_on()) leave(i);
    });
  }

  void show(int lane) {
    lanes_.take(lane, seats_[lane]->training.state());
    seats_[lane]->training.state_to_stack();
  }
  void leave(int lane) {
    show(lane);
    group_.leave(seats_[lane]->job, seats_[lane]->training.finish());
    seats_[lane].reset();
  }

  void epoch() {
    each([&](int, Training &training) { training.begin_epoch(); });
    const int rows = data_.train.rows;
    for (int first = 0; first < rows; first += batch_) {
      const int count = std::min(batch_, rows - first);
      if (first + count == rows)
        each([&](int lane, Training &training) {
          if (!training.watching()) return;
          show(lane);
          training.remember();
        });
      step(first, count);
    }
    each([&](int lane, Training &training) {
      show(lane);
      training.end_epoch();
      if (!training.goes_on()) leave(lane);
    });
  }

  // One update of every network from rows [first, first + count) of its epoch's order.
  void step(int first, int count) {
    PerLane sums{};
    for (int done = 0; done < count; done += kLaneChunk) {
      Lanes::Orders orders{};
      each([&](int lane, Training &training) {
        orders[lane] = training.order();
        if (training.cancelled()) leave(lane);
      });
      if (busy() == 0) return;
      lanes_.gather(data_.train, orders, first + done, std::min(kLaneChunk, count - done));
      lanes_.forward();
      lanes_.loss(count, sums);
      lanes_.backward(done > 0);
    }
    each([&](int lane, Training &training) {
      if (std::isfinite(sums[lane])) return;
      show(lane);
      training.diverged(first, count);
      leave(lane);
    });
    update();
    each([&](int lane, Training &training) { training.updated(sums[lane]); });
  }

  void update() {
    PerLane clip_norms{};
    bool clipping = false, all = true;
    each([&](int lane, Training &training) {
      const std::vector<double> &scalars = training.scalars();
      for (std::size_t i = 0; i < scalars.size(); i++) {
        if (all) lanes_.scalar(i).fill(scalars[i]);  // idle lanes hold what others do: what is the same stays the same
        lanes_.scalar(i)[lane] = scalars[i];
      }
      all = false;
      clip_norms[lane] = training.clip_norm();
      clipping |= training.clip_norm() > 0;
    });
    if (clipping) lanes_.clip(clip_norms);
    lanes_.update();
  }

  const Data &data_;
  Group &group_;
  const int batch_;
  Workspace workspace_;
  Lanes lanes_;
  std::array<std::unique_ptr<Seat>, V> seats_;  // one a lane; null: free
};

void train_together(const Plan &kind, const Data &data, Group &group) {
  const FlushDenormals guard;
  Together(kind, data, group).run();
}

Outcome train(const Plan &plan, const Data &data, Control &control) {
  const FlushDenormals guard;
  Workspace workspace(plan, data);
  return Training(plan, data, control, workspace).run();
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
const Engine engine{SCHUSS_NAME_OF_BUILD, train, train_together, evaluate, predict, P};

}  // namespace schuss::SCHUSS_BUILD
