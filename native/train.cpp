// A whole training run of one network in one call: shuffle, gather, forward, loss, backward, clip, update, evaluate,
// watch, stop. Compiled once per instruction set; `engine` is what the rest of the library sees of it.
#include <chrono>
#include <numeric>
#include <tuple>

#include "flow.hpp"
#include "lanes.hpp"

namespace schuss::SCHUSS_BUILD {
namespace {

constexpr int kEvaluationRows = 128, kFlowRows = 128;  // kEvaluationRows: at least so many at once
constexpr int kUpdateRows = 16384 / P;                 // of P parameters, updated as one piece

int batch_rows(const Plan &plan, const Data &data) {
  return static_cast<int>(std::min<long>(plan.batch_size, data.train.rows));
}

// Rows of a batch that a training takes at once.
int chunk_rows(const Plan &plan, const Data &data) {
  return plan.whole_batches() ? batch_rows(plan, data) : std::min(batch_rows(plan, data), kChunk);
}

// What each thread needs for itself.
struct Hand {
  Hand(const Plan &plan, Stack &stack)
      : loss(plan, stack), optimizer({plan.optimizer.get()}), arrays(3 + 2 * plan.moments()) {}
  Loss loss;
  Machines optimizer;
  std::vector<float *> arrays;
};
struct SliceSums {
  double loss, squared_errors, correct;
};

// The memory of a training, which networks of one kind can use one after the other.
struct Workspace {
  Workspace(const Plan &plan, const Data &data, int threads)
      : capacity(std::max({chunk_rows(plan, data), kEvaluationRows, kFlowRows})),
        stack(plan, plan.moments(), capacity, threads),
        slice_sums(Batch{capacity}.slices()),
        panel_sums(stack.panels().size()) {
    for (int i = 0; i < threads; i++) hands.emplace_back(plan, stack);
  }

  const int capacity;  // rows the stack can hold at once
  Stack stack;
  std::vector<Hand> hands;
  std::vector<SliceSums> slice_sums;
  std::vector<double> panel_sums;
};

// The training of one network. `Together` makes the updates itself and calls the parts of `run` that are public, with
// the network's parameters in the stack.
class Training {
 public:
  Training(Plan &plan, const Data &data, Control &control, Workspace &workspace)
      : plan_(plan),
        data_(data),
        control_(control),
        rows_(data.train.rows),
        batch_(batch_rows(plan, data)),
        chunk_(chunk_rows(plan, data)),
        capacity_(workspace.capacity),
        stack_(workspace.stack),
        hands_(workspace.hands),
        slice_sums_(workspace.slice_sums),
        panel_sums_(workspace.panel_sums),
        scalars_(plan.optimizer->scalars),
        state_(std::move(plan.start)) {
    std::copy(plan.hyperparameters.begin(), plan.hyperparameters.end(), scalars_.begin());
    if (!plan.watch.empty()) previous_ = Aligned<float>(stack_.block());
    if (batch_ < rows_) order_.resize(rows_);
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
    if (plan_.learning_rate_index >= 0) scalars_[plan_.learning_rate_index] = (*plan_.learning_rates)[state_.step];
    if (plan_.uses_time) scalars_.back() = static_cast<double>(state_.step + 1);
    return scalars_;
  }
  double clip_norm() const { return plan_.clip_norm; }
  void updated(double batch_sum) {
    sum_ += batch_sum;
    state_.step++;
    control_.count_step();
  }
  void diverged(int first, int count) {
    outcome_.diverged_step = state_.step + 1;
    diverged(chunk_, data_.train, order(), first, count, [&](int done) { return training_from(done); });
  }
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
  // f(Share) on all threads that are there. Each flushes denormal numbers, or bits would depend on who does what.
  template <class F> void share(const F &f) {
    control_.team.each(control_.team.size(), [&f](Share share) {
      const FlushDenormals guard;
      f(share);
    });
  }

  // Of the rows of a batch from that one on, in the coming update.
  Purpose training_from(int row) const { return {true, true, dropout_key(plan_.seed, state_.step), row}; }

  void restore(const std::vector<float> &canonical, float *block) { stack_.from_canonical(block, canonical.data()); }
  bool watched(long epoch) const {
    return std::find(plan_.watch.begin(), plan_.watch.end(), epoch) != plan_.watch.end();
  }
  bool patience_is_over() const { return plan_.patience >= 0 && state_.epoch - state_.best_epoch >= plan_.patience; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  void epoch() {
    begin_epoch();
    for (int first = 0; first < rows_; first += batch_) {
      const int count = std::min(batch_, rows_ - first);
      switch (step(first, count, watching_ && first + count == rows_)) {
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
    const bool finite = std::isfinite(sum_parameters(stack_.parameters(), value_of));
    if (!finite || (measured && !std::isfinite(loss))) {
      const Part &part = measured ? data_.valid : data_.train;
      outcome_.diverged_step = state_.step;
      return diverged(capacity_, part, nullptr, 0, part.rows, [](int) { return Purpose{}; });
    }
    if (watching) watch(previous_.data());
    if (plan_.patience < 0 || !(loss < state_.best_loss)) return;
    state_.best_loss = loss;
    state_.best_epoch = state_.epoch;
    state_.best.resize(state_.parameters.size());
    stack_.to_canonical(stack_.parameters(), state_.best.data());
  }

  // One update from rows [first, first + count) of the epoch's order, in chunks. With `keep` the parameters before
  // the update are kept.
  Step step(int first, int count, bool keep) {
    double batch_sum = 0;
    for (int done = 0; done < count; done += chunk_) {
      stack_.set_rows(std::min(chunk_, count - done), training_from(done));
      const bool together = control_.team.size() > 1;
      share([&](Share share) {
        forward(data_.train, order(), first + done, count, share);
        for (int i = stack_.depth() - 1; i >= 0 && !control_.cancelled(); i--) {
          stack_.backward(i, share);
          if (!together) stack_.add_gradient(i, done > 0);
        }
      });
      if (together) add_gradients(done > 0);
      if (cancelled()) return Step::cancelled;
      for (int slice = 0; slice < stack_.batch().slices(); slice++) batch_sum += slice_sums_[slice].loss;
      if (!std::isfinite(batch_sum)) return Step::diverged;
    }
    update(keep);
    updated(batch_sum);
    return Step::done;
  }

  // From rows [first, ...) to the losses of a thread's slices; `count` rows are in the mean. Gives up when cancelled:
  // one layer of a large network takes some hundredths of a second.
  void forward(const Part &part, const int *order, int first, int count, Share share) {
    stack_.gather(part, order, first, hands_[0].loss.needs_targets(), share);
    for (int i = 0; i < stack_.depth(); i++) {
      if (control_.cancelled()) return;
      stack_.forward(i, share);
    }
    const Range slices = share.of(stack_.batch().slices());
    for (int s = slices.first; s < slices.last; s++) slice_sums_[s].loss = hands_[share.part].loss(s, count);
  }

  // Of all layers, once all slices are back; each thread takes some rows.
  void add_gradients(bool accumulate) {
    share([&](Share share) {
      for (int i = stack_.depth() - 1; i >= 0 && !control_.cancelled(); i--) stack_.add_gradient(i, accumulate, share);
    });
  }

  // The update of all parameters, each thread a stretch of them, in pieces that stay in the cache.
  void update(bool keep) {
    const double factor = clip_factor();
    scalars();
    share([&](Share share) {
      Hand &hand = hands_[share.part];
      hand.optimizer.at(0).prepare(scalars_);
      const Range rows = share.of(static_cast<int>(stack_.block() / P));
      for (int row = rows.first; row < rows.last; row += kUpdateRows) {
        const long at = static_cast<long>(row) * P, count = static_cast<long>(std::min(kUpdateRows, rows.last - row)) * P;
        if (factor < 1) scale(stack_.gradient() + at, count, static_cast<float>(factor));
        if (keep) std::copy_n(stack_.parameters() + at, count, previous_.data() + at);
        place_arrays(hand.arrays, at);
        hand.optimizer.at(0).run(hand.arrays.data(), count);
      }
    });
    stack_.set_running_statistics();
  }

  // w, g, moments as inputs; w and the moments again as outputs.
  void place_arrays(std::vector<float *> &arrays, long at) {
    const int moments = plan_.moments();
    arrays[0] = arrays[2 + moments] = stack_.parameters() + at;
    arrays[1] = stack_.gradient() + at;
    for (int k = 0; k < moments; k++) arrays[2 + k] = arrays[3 + moments + k] = stack_.moments(k) + at;
  }

  // What the gradient is multiplied by so that its global norm is at most clip_norm, as in
  // torch.nn.utils.clip_grad_norm_.
  double clip_factor() {
    if (plan_.clip_norm == 0) return 1;
    return plan_.clip_norm / (std::sqrt(sum_parameters(stack_.gradient(), square_of)) + 1e-6);
  }
  static void scale(float *values, long count, float factor) {
    for (long i = 0; i < count; i += V) store(values + i, load(values + i) * factor);
  }

  // Sum of f over a block of parameters, by panels in their order.
  template <class F> double sum_parameters(const float *block, F f) {
    share([&](Share share) {
      const Range range = share.of(static_cast<int>(panel_sums_.size()));
      for (int k = range.first; k < range.last; k++) {
        const Panel &panel = stack_.panels()[k];
        panel_sums_[k] = sum_over(block + panel.at, panel.rows, panel.lanes, f);
      }
    });
    return std::accumulate(panel_sums_.begin(), panel_sums_.end(), 0.);
  }

  // Notes the first layer whose z is not finite in these rows, so many at a time.
  template <class F> void diverged(int at_once, const Part &part, const int *order, int first, int count, F purpose) {
    outcome_.status = "diverged";
    outcome_.diverged_layer = stack_.depth();
    for (int done = 0; done < count && !control_.cancelled(); done += at_once) {
      stack_.set_rows(std::min(at_once, count - done), purpose(done));
      stack_.gather(part, order, first + done, false);
      for (int i = 0; i < outcome_.diverged_layer; i++) {
        stack_.forward_z(i);
        for (int slice = 0; slice < stack_.batch().slices(); slice++)
          if (!std::isfinite(stack_.sum_slice(stack_.z(i), i, slice, value_of))) outcome_.diverged_layer = i + 1;
        stack_.activate(i);
        stack_.add(i);
      }
    }
  }

  void watch(const float *previous) {
    stack_.set_rows(std::min(rows_, kFlowRows), Purpose{true});
    Flow flow(stack_);
    const bool together = control_.team.size() > 1;
    share([&](Share share) {
      stack_.gather(data_.train, nullptr, 0, hands_[0].loss.needs_targets(), share);
      flow.pass(
          share, [&](int slice) { hands_[share.part].loss(slice, stack_.batch().rows); },
          [&](int layer) {
            if (!together) stack_.add_gradient(layer, false);
          });
    });
    if (together) add_gradients(false);
    share([&](Share share) { flow.look_at_panels(share, previous); });
    if (cancelled()) return;  // perhaps in the middle of the gradient
    flow.append_to(outcome_.flow);
    outcome_.watched.push_back(state_.epoch);
  }

  // Mean loss and score of a part; NaN when it is empty or the run was cancelled meanwhile.
  std::pair<double, double> evaluate(const Part &part) {
    double loss = 0, errors = 0, correct = 0;
    const bool classes = !part.labels.empty();
    for (int first = 0; first < part.rows && !control_.cancelled(); first += capacity_) {
      stack_.set_rows(std::min(capacity_, part.rows - first));
      share([&](Share share) {
        forward(part, nullptr, first, stack_.batch().rows, share);
        const Range slices = share.of(stack_.batch().slices());
        for (int s = slices.first; s < slices.last; s++)
          if (classes)
            slice_sums_[s].correct = weigh_correct(stack_, s, plan_.threshold);
          else
            slice_sums_[s].squared_errors = sum_squared_errors(stack_, s);
      });
      for (int slice = 0; slice < stack_.batch().slices(); slice++) {
        loss += slice_sums_[slice].loss;
        correct += slice_sums_[slice].correct;
        errors += slice_sums_[slice].squared_errors;
      }
    }
    const double none = std::numeric_limits<double>::quiet_NaN();
    if (part.rows == 0 || control_.cancelled()) return {none, none};
    const double r2 = part.scatter > 0 ? 1 - errors / part.scatter : none;
    return {loss / part.weight, classes ? correct / part.weight : r2};
  }

  const Plan &plan_;
  const Data &data_;
  Control &control_;
  const int rows_, batch_, chunk_, capacity_;
  Stack &stack_;
  std::vector<Hand> &hands_;
  std::vector<SliceSums> &slice_sums_;
  std::vector<double> &panel_sums_;
  Aligned<float> previous_;
  std::vector<double> scalars_;
  std::vector<int> order_;
  bool watching_ = false;  // the flow is measured after this epoch
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
        workspace_(kind, data, 1),
        lanes_(kind) {}

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

Outcome train(Plan &plan, const Data &data, Control &control) {
  const FlushDenormals guard;
  Workspace workspace(plan, data, control.team.most());
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
  Stack stack(plan, 0, kEvaluationRows, 1);
  stack.from_canonical(stack.parameters(), plan.start.parameters.data());
  const int outputs = plan.outputs();
  for (int first = 0; first < part.rows; first += kEvaluationRows) {
    stack.set_rows(std::min(kEvaluationRows, part.rows - first));
    stack.gather(part, nullptr, first, false);
    for (int i = 0; i < stack.depth(); i++) stack.forward(i);
    for (int row = 0; row < stack.batch().rows; row++)
      for (int j = 0; j < outputs; j++)
        *predictions++ = stack.prediction()[(static_cast<long>(row / P) * outputs + j) * P + row % P];
  }
}

}  // namespace

extern const Engine engine;
const Engine engine{SCHUSS_NAME_OF_BUILD, train, train_together, evaluate, predict, P};

}  // namespace schuss::SCHUSS_BUILD
