// The elementwise machine: runs a Program over arrays, tile by tile, so that everything between two instructions stays
// in L1. Each instruction is one vectorised loop over the tile. An operand is a pointer and a step; a scalar is one
// broadcast vector with step 0, so that arrays and scalars need only one loop.
#pragma once
#include <algorithm>
#include <numeric>

#include "engine.hpp"
#include "simd.hpp"

namespace schuss::SCHUSS_BUILD {

constexpr long kTile = 1024;  // floats

struct Operand {
  const float *at;
  long step;  // V or 0
};

// One instruction over a tile, two vectors at a time, both computed before either is stored: `out` may be an operand.
template <class F, class... Operands>
__attribute__((noinline)) void loop(F f, float *out, long count, Operands... operands) {
  for (long i = 0; i < count; i += P, ((operands.at += 2 * operands.step), ...)) {
    const Vec x = f(load(operands.at)...), y = f(load(operands.at + operands.step)...);
    store(out + i, x);
    store(out + i + V, y);
  }
}

inline Vec move(Vec a) { return a; }
inline Vec neg(Vec a) { return -a; }
inline Vec add(Vec a, Vec b) { return a + b; }
inline Vec sub(Vec a, Vec b) { return a - b; }
inline Vec mul(Vec a, Vec b) { return a * b; }
inline Vec div(Vec a, Vec b) { return a / b; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }

inline void execute(Operation operation, float *out, long count, Operand a, Operand b, Operand c) {
#define SCHUSS_UNARY(name) \
  case Operation::name: return loop([](Vec x) SCHUSS_INLINE { return name(x); }, out, count, a);
#define SCHUSS_BINARY(name) \
  case Operation::name: return loop([](Vec x, Vec y) SCHUSS_INLINE { return name(x, y); }, out, count, a, b);
#define SCHUSS_TERNARY(name) \
  case Operation::name:      \
    return loop([](Vec x, Vec y, Vec z) SCHUSS_INLINE { return name(x, y, z); }, out, count, a, b, c);
  switch (operation) { SCHUSS_OPERATIONS(SCHUSS_UNARY, SCHUSS_BINARY, SCHUSS_TERNARY) }
#undef SCHUSS_UNARY
#undef SCHUSS_BINARY
#undef SCHUSS_TERNARY
}

// One pass over the arrays of a built-in definition, with the same results as the machine's; null for -1.
using FusedKernel = void(float *const *arrays, const float *scalars, long count);
FusedKernel *fused_kernel(int built_in);

// A Program bound to memory for its registers. `scratch` holds the temporaries, programs that run one after the other
// share it.
class Machine {
 public:
  static std::size_t scratch_size(const Program &p) { return static_cast<std::size_t>(p.temporaries) * kTile; }

  Machine(const Program &program, float *scratch)
      : program_(program),
        kernel_(fused_kernel(program.built_in)),
        scalars_(program.scalars + program.constants.size() + program.scalar_code.size()),
        broadcast_(program.broadcast.size() * V),
        registers_(program.inputs + program.outputs) {
    for (int i = 0; i < program.temporaries; i++) registers_.push_back({scratch + i * kTile, V});
    for (std::size_t i = 0; i < program.broadcast.size(); i++) registers_.push_back({broadcast_.data() + i * V, 0});
    registers_.push_back({nullptr, 0});  // what unused operands, -1, refer to
    std::copy(program.constants.begin(), program.constants.end(), scalars_.begin() + program.scalars);
    if (program.scalars == 0) prepare({});
  }

  // Sets the scalar inputs: in double, as 1 - 0.999f is off by 1e-5.
  void prepare(const std::vector<double> &inputs) {
    std::copy(inputs.begin(), inputs.end(), scalars_.begin());
    for (const Instruction &i : program_.scalar_code)
      scalars_[i.destination] = apply(i.operation, scalar(i.a), scalar(i.b), scalar(i.c));
    for (std::size_t i = 0; i < program_.broadcast.size(); i++)
      store(broadcast_.data() + i * V, broadcast(static_cast<float>(scalars_[program_.broadcast[i]])));
  }

  // The scalars of the array code, a vector each, for those who want other values in other lanes.
  float *broadcast_scalars() { return broadcast_.data(); }

  // Inputs, then outputs; count is a multiple of P.
  void run(float *const *arrays, long count) {
    if (kernel_) return kernel_(arrays, broadcast_.data(), count);
    const int n_arrays = program_.inputs + program_.outputs, unused = static_cast<int>(registers_.size()) - 1;
    for (long start = 0; start < count; start += kTile) {
      const long length = std::min(kTile, count - start);
      for (int i = 0; i < n_arrays; i++) registers_[i] = {arrays[i] + start, V};
      for (const Instruction &i : program_.code)
        execute(i.operation, const_cast<float *>(registers_[i.destination].at), length, registers_[i.a],
                registers_[i.b < 0 ? unused : i.b], registers_[i.c < 0 ? unused : i.c]);
    }
  }

 private:
  double scalar(int i) const { return i < 0 ? 0 : scalars_[i]; }

  const Program &program_;
  FusedKernel *const kernel_;
  std::vector<double> scalars_;
  Aligned<float> broadcast_;
  std::vector<Operand> registers_;
};

// Machines for some programs, for one thread: those that run one after the other share their temporaries.
class Machines {
 public:
  explicit Machines(const std::vector<const Program *> &programs) {
    std::size_t scratch = 0;
    for (const Program *program : programs) scratch = std::max(scratch, Machine::scratch_size(*program));
    scratch_ = Aligned<float>(scratch);
    machines_.reserve(programs.size());
    for (const Program *program : programs) machines_.emplace_back(*program, scratch_.data());
  }
  Machine &at(int i) { return machines_[i]; }

 private:
  Aligned<float> scratch_;
  std::vector<Machine> machines_;
};

// An activation that only moves its input to the value and 1 to the slope: it needs no pass over memory at all.
inline bool is_identity(const Program &p) {
  const int arrays = p.inputs + p.outputs + p.temporaries;
  std::vector<int> origin(arrays + p.broadcast.size());
  std::iota(origin.begin(), origin.end(), 0);
  for (const Instruction &i : p.code) {
    if (i.operation != Operation::move) return false;
    origin[i.destination] = origin[i.a];
  }
  const int scalar = origin[2] < arrays ? -1 : p.broadcast[origin[2] - arrays];
  return origin[1] == 0 && scalar >= 0 && scalar < static_cast<int>(p.constants.size()) && p.constants[scalar] == 1;
}

}  // namespace schuss::SCHUSS_BUILD
