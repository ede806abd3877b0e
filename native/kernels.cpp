// A fused kernel for every built-in definition: one pass over the arrays in which everything between the inputs and the
// outputs stays in registers. The code of a built-in is known when this is compiled, so that the machine's
// interpretation happens here, in templates. Compiled once per instruction set.
#include <array>

#include "built_ins.hpp"
#include "program.hpp"

namespace schuss::SCHUSS_BUILD {
namespace {

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
// Functions of one argument may share what they compute, as softplus and its slope do: the products in them that two
// could share and add to are by powers of two, so exact.
template <Operation operation> SCHUSS_INLINE inline Vec compute(Vec a, Vec b, Vec c) {
  constexpr bool is_function =
      (operation >= Operation::exp && operation <= Operation::cos) || operation == Operation::hypot;
  constexpr bool is_arithmetic = operation >= Operation::add && operation <= Operation::pow;
  if constexpr (is_function || is_arithmetic) return opaque(plain<operation>(a, b, c));
  if constexpr (operation == Operation::fma) return opaque(plain<operation>(a, opaque(b), c));
  return plain<operation>(a, b, c);  // no product: a comparison may melt into what it selects
}

// Instruction k of a built-in on the registers r, after which come the scalars.
template <int built_in, int k> SCHUSS_INLINE inline void step(Vec *r, const Vec *scalar) {
  constexpr BuiltIn p = built_ins[built_in];
  constexpr Instruction now = p.code[k];
  constexpr int first_scalar = p.inputs + p.outputs + p.temporaries;
  const auto operand = [&](int i) SCHUSS_INLINE {  // of -1, which is not used, some register
    return i >= first_scalar ? scalar[i - first_scalar] : r[i < 0 ? 0 : i];
  };
  r[now.destination] = compute<now.operation>(operand(now.a), operand(now.b), operand(now.c));
}

// Two vectors at a time: one fills the waits of the other, which are long in chains such as log1p(exp(-|z|)).
template <int built_in> void kernel(float *const *arrays, const float *scalars, long count) {
  constexpr BuiltIn p = built_ins[built_in];
  constexpr int n_arrays = p.inputs + p.outputs;
  float *array[n_arrays];
  Vec scalar[p.broadcast + 1];  // + 1: there may be none
  unroll<n_arrays>([&](auto i) SCHUSS_INLINE { array[i] = arrays[i]; });
  unroll<p.broadcast>([&](auto i) SCHUSS_INLINE { scalar[i] = load(scalars + i * V); });
  for (long at = 0; at < count; at += P) {
    Vec r[2][n_arrays + p.temporaries];
    unroll<p.inputs>([&](auto i) SCHUSS_INLINE {
      r[0][i] = load(array[i] + at);
      r[1][i] = load(array[i] + at + V);
    });
    unroll<p.length>([&](auto k) SCHUSS_INLINE {
      step<built_in, k>(r[0], scalar);
      step<built_in, k>(r[1], scalar);
    });
    unroll<p.outputs>([&](auto i) SCHUSS_INLINE {
      store(array[p.inputs + i] + at, r[0][p.inputs + i]);
      store(array[p.inputs + i] + at + V, r[1][p.inputs + i]);
    });
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
