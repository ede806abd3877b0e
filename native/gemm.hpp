// The three products of a dense layer, all by one micro-kernel.
//
// Everything a product streams is stored as rows of P floats (P = two vectors):
//     activations, deltas   [slice of P samples ][feature][P samples]
//     weights, gradient     [panel of P outputs ][input  ][P outputs]
//     turned deltas         [panel of P outputs ][sample ][P outputs]      block transposes of the deltas
// With this layout the packed form that matrix products usually copy into is the storage itself, weights are never
// transposed, and each product is C[i][lane] = sum over k of A(i, k) B[k][lane] with rows of P in B and C:
//     forward    Z[slice] = W' H[slice]     A(i, k) = W[panel][k][i]
//     backward   D[slice] = W D'[slice]     A(i, k) = W[panel of k][i][k % P]
//     gradient   G[panel] = H' T[panel]     A(i, k) = H[slice of k][i][k % P]
// The last two walk A in the same way, "turned" against the first. The order of every sum is fixed by the sizes alone.
#pragma once
#include <algorithm>
#include <array>

#include "simd.hpp"
#include "team.hpp"

namespace schuss::SCHUSS_BUILD {

// Rows of C a micro-kernel holds in registers: 2 * rows accumulators, 2 of B, 1 of A (and 1 product without FMA).
constexpr int kKernelRows = V == 16 ? 12 : 6;
// Blocks, in floats: kDepth x P of B stays in L1; kBackwardRows of W and kGradientRows of H stay near while B passes.
constexpr int kDepth = 128, kBackwardRows = 2 * kKernelRows, kGradientRows = 96;
// Samples a network holds at once; larger batches come in chunks, so that memory stays bounded.
constexpr int kChunk = 512;

struct Shape {
  int inputs, outputs;
  int panels() const { return (outputs + P - 1) / P; }
  int lanes(int panel) const { return std::min(P, outputs - panel * P); }
  long weights() const { return static_cast<long>(panels()) * inputs * P; }
};

struct Batch {
  int rows;
  int slices() const { return (rows + P - 1) / P; }
  int lanes(int slice) const { return std::min(P, rows - slice * P); }
  int vectors(int slice) const { return lanes(slice) > V ? 2 : 1; }  // a short last slice costs one vector, not two
};

// What one call of the micro-kernel works on.
struct Block {
  int depth;  // number of products in each sum
  const float *a;
  long a_step;  // turned A: floats from one group of P ks to the next
  const float *b;
  float *c;
  bool accumulate;      // C += instead of C =
  const float *bias;    // one a row of C, added; or null
  const float *factor;  // [row][P], multiplies the result; or null
};

template <bool turned, int rows, int vectors> void kernel(const Block &block, int first_row) {
  const float *a = block.a + first_row * (turned ? P : 1), *b = block.b;
  float *c = block.c + first_row * P;
  Vec sum[rows][vectors];
  const auto each = [&](auto f) SCHUSS_INLINE {
    unroll<rows>([&](auto i) SCHUSS_INLINE { unroll<vectors>([&](auto j) SCHUSS_INLINE { f(i, j); }); });
  };
  each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] = Vec{}; });
  if (block.accumulate)  // C is added at the end, so its way from memory overlaps the loop
    each([&](auto i, auto j) SCHUSS_INLINE { __builtin_prefetch(c + i * P + j * V, 1); });
  for (int left = block.depth; left > 0; left -= P, a += turned ? block.a_step : P * P) {
    const int depth = std::min(left, P);
#pragma GCC unroll 2
    for (int k = 0; k < depth; k++, b += P) {
      Vec lane[vectors], coefficient;
      unroll<vectors>([&](auto j) SCHUSS_INLINE { lane[j] = load(b + j * V); });
      each([&](auto i, auto j) SCHUSS_INLINE {
        if (j == 0) coefficient = broadcast(turned ? a[i * P + k] : a[k * P + i]);
        sum[i][j] += coefficient * lane[j];
      });
    }
  }
  if (block.bias) each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] += broadcast(block.bias[first_row + i]); });
  if (block.accumulate) each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] += load(c + i * P + j * V); });
  if (block.factor)
    each([&](auto i, auto j) SCHUSS_INLINE { sum[i][j] *= load(block.factor + (first_row + i) * P + j * V); });
  each([&](auto i, auto j) SCHUSS_INLINE { store(c + i * P + j * V, sum[i][j]); });
}

using Kernel = void(const Block &block, int first_row);
template <bool turned, int vectors, int... I>
constexpr std::array<Kernel *, sizeof...(I)> kernel_table(std::integer_sequence<int, I...>) {
  return {kernel<turned, I + 1, vectors>...};
}

// All rows of a block, in micro-kernels of nearly equal height: 32 rows are 11 + 11 + 10, not 12 + 12 + 8.
template <bool turned> void multiply(const Block &block, int rows, int vectors) {
  static constexpr auto one = kernel_table<turned, 1>(std::make_integer_sequence<int, kKernelRows>{});
  static constexpr auto two = kernel_table<turned, 2>(std::make_integer_sequence<int, kKernelRows>{});
  const auto &table = vectors == 2 ? two : one;
  const int calls = (rows + kKernelRows - 1) / kKernelRows, height = rows / calls, taller = rows % calls;
  for (int row = 0, call = 0; call < calls; call++) {
    const int now = height + (call < taller);
    table[now - 1](block, row);
    row += now;
  }
}

// Threads that share a product take some slices of it each, or some rows of the gradient: no sum is split, so its bits
// do not depend on how many they are.

// Z = W' H + b. `done(offset, count)` is called for each stretch of Z as soon as it is complete and still in L1.
template <class F> void forward_product(Shape s, Batch batch, Range slices, const float *w, const float *bias,
                                        const float *h, float *z, F done) {
  for (int k = 0; k < s.inputs; k += kDepth)
    for (int panel = 0; panel < s.panels(); panel++)
      for (int slice = slices.first; slice < slices.last; slice++) {
        const int depth = std::min(kDepth, s.inputs - k), rows = s.lanes(panel);
        const long at = (static_cast<long>(slice) * s.outputs + panel * P) * P;
        multiply<false>({depth, w + (static_cast<long>(panel) * s.inputs + k) * P, 0,
                         h + (static_cast<long>(slice) * s.inputs + k) * P, z + at, k > 0,
                         k == 0 ? bias + panel * P : nullptr, nullptr},
                        rows, batch.vectors(slice));
        if (k + depth == s.inputs) done(at, static_cast<long>(rows) * P);
      }
}

// D = (W D') * slope. The slices of both deltas are `stride` features apart; slope may be null (all ones).
inline void backward_product(Shape s, Batch batch, Range slices, const float *w, const float *delta, const float *slope,
                             float *out, long stride) {
  for (int n = 0; n < s.outputs; n += kDepth)
    for (int row = 0; row < s.inputs; row += kBackwardRows)
      for (int slice = slices.first; slice < slices.last; slice++) {
        const int depth = std::min(kDepth, s.outputs - n);
        const bool last = n + depth == s.outputs;
        multiply<true>({depth, w + (static_cast<long>(n) * s.inputs) + row * P, static_cast<long>(s.inputs) * P,
                        delta + (slice * stride + n) * P, out + (slice * stride + row) * P, n > 0, nullptr,
                        last && slope ? slope + (static_cast<long>(slice) * s.inputs + row) * P : nullptr},
                       std::min(kBackwardRows, s.inputs - row), batch.vectors(slice));
      }
}

// G = H' T, or G += H' T for the later chunks of a batch.
inline void gradient_product(Shape s, Batch batch, Range inputs, const float *h, const float *turned, float *g,
                             bool accumulate) {
  const long samples = static_cast<long>(batch.slices()) * P;
  for (int row = inputs.first; row < inputs.last; row += kGradientRows)
    for (int panel = 0; panel < s.panels(); panel++)
      multiply<true>({batch.rows, h + row * P, static_cast<long>(s.inputs) * P, turned + panel * samples * P,
                      g + (static_cast<long>(panel) * s.inputs + row) * P, accumulate, nullptr, nullptr},
                     std::min(kGradientRows, inputs.last - row), s.lanes(panel) > V ? 2 : 1);
}

// The gradient of the biases: turned deltas summed over the samples. Four partial sums hide the latency of addition.
inline void bias_gradient(Shape s, Batch batch, Range panels, const float *turned, float *g, bool accumulate) {
  const long samples = static_cast<long>(batch.slices()) * P;
  for (int lane = panels.first * P; lane < std::min(panels.last * P, s.outputs); lane += V) {
    const float *t = turned + lane / P * samples * P + lane % P;
    Vec sum[4] = {accumulate ? load(g + lane) : Vec{}, Vec{}, Vec{}, Vec{}};
    int k = 0;
    for (; k + 4 <= batch.rows; k += 4) unroll<4>([&](auto i) SCHUSS_INLINE { sum[i] += load(t + (k + i) * P); });
    for (; k < batch.rows; k++) sum[0] += load(t + k * P);
    store(g + lane, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
}

// out[column][row] = in[row][column] for a V x V block with the given strides.
inline void transpose_block(const float *in, long in_stride, float *out, long out_stride) {
  Vec r[V];
  unroll<V>([&](auto i) SCHUSS_INLINE { r[i] = load(in + i * in_stride); });
  transpose(r);
  unroll<V>([&](auto i) SCHUSS_INLINE { store(out + i * out_stride, r[i]); });
}

// Deltas [slice][feature][P samples], slices `stride` features apart -> turned [panel][sample][P outputs].
inline void turn(Shape s, Batch batch, Range slices, const float *delta, long stride, float *turned) {
  const long samples = static_cast<long>(batch.slices()) * P;
  for (int slice = slices.first; slice < slices.last; slice++)
    for (int panel = 0; panel < s.panels(); panel++)
      for (int row = 0; row < s.lanes(panel); row += V)
        for (int lane = 0; lane < batch.lanes(slice); lane += V)
          transpose_block(delta + (slice * stride + panel * P + row) * P + lane, P,
                          turned + (panel * samples + slice * P + lane) * P + row, P);
}

}  // namespace schuss::SCHUSS_BUILD
