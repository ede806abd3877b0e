// A fused kernel for every built-in definition: one pass over the arrays in which everything between the inputs and the
// outputs stays in registers. The code of a built-in is known when this is compiled, so that the machine's
// interpretation happens here, in templates. Compiled once per instruction set.
#include <array>

#include "built_ins.hpp"
#include "program.hpp"

namespace schuss::SCHUSS_BUILD {
namespace {

// Hides from the compiler where x comes from, at the cost of nothing, or of a copy to another register.
SCHUSS_INLINE inline Vec opaque(Vec x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

template <Operation operation> SCHUSS_INLINE inline Vec plain(Vec a, Vec b, Vec c) {
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

// One instruction, with the bits that the machine gives, where operands and results go through memory: no product of
// one may be contracted with a sum of the next, and none may be shared by two of which only one would contract it.
template <Operation operation> SCHUSS_INLINE inline Vec compute(Vec a, Vec b, Vec c) {
  constexpr bool is_function = operation >= Operation::exp && operation <= Operation::cos;
  constexpr bool is_arithmetic = operation >= Operation::add && operation <= Operation::pow;
  if constexpr (is_function) return opaque(plain<operation>(opaque(a), b, c));
  if constexpr (is_arithmetic) return opaque(plain<operation>(a, b, c));
  if constexpr (operation == Operation::fma) return opaque(plain<operation>(a, opaque(b), c));
  return plain<operation>(a, b, c);  // no product: a comparison may melt into what it selects
}

template <int i> using Constant = std::integral_constant<int, i>;

template <int number> void kernel(float *const *arrays, const float *scalars, long count) {
  constexpr const BuiltIn &p = built_ins[number];
  constexpr int n_arrays = p.inputs + p.outputs, first_scalar = n_arrays + p.temporaries;
  float *array[n_arrays];
  Vec scalar[p.broadcast + 1];  // + 1: there may be none
  unroll<n_arrays>([&](auto i) SCHUSS_INLINE { array[i] = arrays[i]; });
  unroll<p.broadcast>([&](auto i) SCHUSS_INLINE { scalar[i] = load(scalars + i * V); });
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
      r[i.destination] =
          compute<i.operation>(operand(Constant<i.a>{}), operand(Constant<i.b>{}), operand(Constant<i.c>{}));
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
