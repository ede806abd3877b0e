// The gradient seen layer by layer, on a fixed sample of rows.
#pragma once
#include <cmath>

#include "losses.hpp"

namespace schuss::SCHUSS_BUILD {

// Measures the rows in a stack. Threads take slices, then panels; what they find is kept for each slice and each panel
// and added up in their order, so that it does not depend on the threads.
class Flow {
 public:
  explicit Flow(Stack &stack)
      : stack_(stack),
        batch_(stack.batch()),
        slices_(static_cast<std::size_t>(stack.depth()) * batch_.slices()),
        panels_(stack.panels().size()) {}

  // The way to the prediction and back, for a share of the slices; `loss(slice)` leaves the delta of the last layer,
  // `turned(layer)` is called when that of a layer has been turned.
  template <class Loss, class Turned> void pass(Share share, Loss loss, Turned turned) {
    const Range slices = share.of(batch_.slices());
    for (int i = 0; i < stack_.depth(); i++) {
      stack_.forward_z(i, share);
      for (int s = slices.first; s < slices.last; s++) {
        at(i, s).z = stack_.sum_slice(stack_.z(i), i, s, value_of);
        at(i, s).z_squares = stack_.sum_slice(stack_.z(i), i, s, square_of);
      }
      stack_.activate(i, share);
      for (int s = slices.first; s < slices.last; s++) {
        at(i, s).values = stack_.sum_slice(stack_.values(i), i, s, value_of);
        at(i, s).value_squares = stack_.sum_slice(stack_.values(i), i, s, square_of);
      }
      stack_.add(i, share);
    }
    for (int s = slices.first; s < slices.last; s++) loss(s);
    for (int i = stack_.depth() - 1; i >= 0; i--) {
      for (int s = slices.first; s < slices.last; s++)
        at(i, s).delta_squares =
            sum_over(stack_.delta(i, s), stack_.layer(i).shape.outputs, batch_.lanes(s), square_of);
      stack_.backward(i, share);
      turned(i);
    }
  }

  // Weights and units of a share of the panels, once the gradient is complete. `previous` holds the parameters before
  // the last update, or nothing.
  void look_at_panels(Share share, const float *previous) {
    const Range range = share.of(static_cast<int>(panels_.size()));
    for (int k = range.first; k < range.last; k++) {
      const Panel &panel = stack_.panels()[k];
      if (!panel.weights) continue;
      PanelSums &sums = panels_[k];
      count_units(panel, sums);
      sums.gradient_squares = sum_over(stack_.gradient() + panel.at, panel.rows, panel.lanes, square_of);
      if (!previous) continue;
      const Difference update{stack_.parameters() + panel.at, previous + panel.at};
      sums.weight_squares = sum_over(update.before, panel.rows, panel.lanes, square_of);
      sums.update_squares = sum_over(update, panel.rows, panel.lanes, square_of);
    }
  }

  // Appends [layer][quantity].
  void append_to(std::vector<double> &flow) const {
    const std::size_t start = flow.size();
    flow.resize(start + static_cast<std::size_t>(stack_.depth()) * kQuantities);
    for (int i = 0; i < stack_.depth(); i++) {
      SliceSums s{};
      for (int slice = 0; slice < batch_.slices(); slice++) s += slices_[i * batch_.slices() + slice];
      PanelSums p{};
      for (std::size_t k = 0; k < panels_.size(); k++)
        if (stack_.panels()[k].layer == i) p += panels_[k];
      const LayerPlan &plan = stack_.layer(i).plan;
      const double n = static_cast<double>(plan.outputs) * batch_.rows;
      double *row = flow.data() + start + static_cast<std::size_t>(i) * kQuantities;
      row[kDelta] = batch_.rows * std::sqrt(s.delta_squares / n);
      row[kWeightGradient] = std::sqrt(p.gradient_squares / (static_cast<double>(plan.weight_rows()) * plan.outputs));
      row[kZMean] = s.z / n;
      row[kZRms] = std::sqrt(s.z_squares / n);
      row[kActivationMean] = s.values / n;
      row[kActivationRms] = std::sqrt(s.value_squares / n);
      row[kSaturated] = static_cast<double>(p.saturated) / n;
      row[kDead] = static_cast<double>(p.dead) / plan.outputs;
      row[kUpdateRatio] = p.weight_squares > 0 ? std::sqrt(p.update_squares / p.weight_squares)
                                               : std::numeric_limits<double>::quiet_NaN();
    }
  }

 private:
  struct SliceSums {
    double z, z_squares, values, value_squares, delta_squares;
    void operator+=(const SliceSums &s) {
      z += s.z, z_squares += s.z_squares, values += s.values, value_squares += s.value_squares;
      delta_squares += s.delta_squares;
    }
  };
  struct PanelSums {
    double gradient_squares, weight_squares, update_squares;
    long saturated, dead;
    void operator+=(const PanelSums &p) {
      gradient_squares += p.gradient_squares, weight_squares += p.weight_squares, update_squares += p.update_squares;
      saturated += p.saturated, dead += p.dead;
    }
  };

  struct Difference {
    const float *now, *before;
    float operator[](long i) const { return now[i] - before[i]; }
  };

  SliceSums &at(int layer, int slice) { return slices_[static_cast<std::size_t>(layer) * batch_.slices() + slice]; }

  // Rows x units whose slope is below 1 % of the largest, and units whose slope is 0 on every row.
  void count_units(const Panel &panel, PanelSums &sums) const {
    const Layer &layer = stack_.layer(panel.layer);
    if (layer.activation < 0) return;
    const float low = static_cast<float>(0.01 * layer.plan.largest_slope);  // a slope of exactly 1 % is not below it
    for (int unit = panel.first_output; unit < panel.first_output + panel.lanes; unit++) {
      int saturated = 0, alive = 0;
      for (int s = 0; s < batch_.slices(); s++) {
        const float *slope = layer.slope + (static_cast<long>(s) * layer.shape.outputs + unit) * P;
        for (int lane = 0; lane < batch_.lanes(s); lane++) {
          saturated += std::fabs(slope[lane]) < low;
          alive += slope[lane] != 0;
        }
      }
      sums.saturated += saturated;
      sums.dead += alive == 0;
    }
  }

  Stack &stack_;
  const Batch batch_;
  std::vector<SliceSums> slices_;  // [layer][slice]
  std::vector<PanelSums> panels_;
};

}  // namespace schuss::SCHUSS_BUILD
