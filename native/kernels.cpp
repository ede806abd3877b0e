// A fused kernel for every built-in definition: one pass over the arrays in which everything between the inputs and the
// outputs stays in registers. The code of a built-in is known when this is compiled, so that the machine's
// interpretation happens here, in templates. Compiled once per instruction set.
#include <array>

#include "built_ins.hpp"
#include "program.hpp"

namespace schuss::SCHUSS_BUILD {
namespace {

// What an instruction gives is a float, as in the machine, where it goes through memory: no product of one instruction
// may be contracted with a sum of the next, which would change its last bit.
SCHUSS_INLINE inline Vec rounded(Vec x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

// The others give an operand or a constant, bit for bit; unrounded, a comparison can melt into what it selects.
constexpr bool rounds(Operation o) {
  return (o >= Operation::exp && o < Operation::maximum) || o == Operation::fma;
}

template <Operation operation> SCHUSS_INLINE inline Vec compute(Vec a, Vec b, Vec c) {
#define SCHUSS_UNARY(name) \
  if constexpr (operation == Operation::name) return name(a);
#define SCHUSS_BINARY(name) \
  if constexpr (operation == Operation::name) return name(a, b);
#define SCHUSS_TERNARY(name) \
  if constexpr (operation == Operation::name) return name(a, b, c);
  SCHUSS_OPERATIONS(SCHUSS_UNARY, SCHUSS_BINARY, SCHUSS_TERNARY)
#undef SCHUSS_UNARY
#undef SCHUSS_BINARY
#undef SCHUSS_TERNARY
}

template <int number> void kernel(float *const *arrays, const float *scalars, long count) {
  constexpr const BuiltIn &p = built_ins[number];
  constexpr int n_arrays = p.inputs + p.outputs, first_scalar = n_arrays + p.temporaries;
  float *array[n_arrays];
  Vec scalar[p.scalars + 1];  // + 1: there may be none
  unroll<n_arrays>([&](auto i) SCHUSS_INLINE { array[i] = arrays[i]; });
  unroll<p.scalars>([&](auto i) SCHUSS_INLINE { scalar[i] = load(scalars + i * V); });
  for (long at = 0; at < count; at += V) {
    Vec r[first_scalar];
    unroll<p.inputs>([&](auto i) SCHUSS_INLINE { r[i] = load(array[i] + at); });
    const auto operand = [&](auto i) SCHUSS_INLINE {
      if constexpr (i >= first_scalar)
        return scalar[i - first_scalar];
      else
        return r[i < 0 ? 0 : i];  // 0: stands for an operand that is not used
    };
    unroll<p.length>([&](auto k) SCHUSS_INLINE {
      constexpr Instruction i = p.code[k];
      const Vec result = compute<i.operation>(operand(std::integral_constant<int, i.a>{}),
                                              operand(std::integral_constant<int, i.b>{}),
                                              operand(std::integral_constant<int, i.c>{}));
      r[i.destination] = rounds(i.operation) ? rounded(result) : result;
    });
    unroll<p.outputs>([&](auto i) SCHUSS_INLINE { store(array[p.inputs + i] + at, r[p.inputs + i]); });
  }
}

template <int... I> constexpr std::array<FusedKernel *, sizeof...(I)> all(std::integer_sequence<int, I...>) {
  return {kernel<I>...};
}
constexpr int kBuiltIns = sizeof(built_ins) / sizeof(*built_ins);
constexpr auto table = all(std::make_integer_sequence<int, kBuiltIns>{});

}  // namespace

FusedKernel *fused_kernel(int built_in) { return built_in < 0 ? nullptr : table[built_in]; }

}  // namespace schuss::SCHUSS_BUILD
