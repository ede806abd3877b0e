// One vector type and the functions on it. This is the only file that knows the instruction set: it is compiled once
// for each, with SCHUSS_BUILD (the namespace) and SCHUSS_WIDTH (floats in a vector) given by CMake. Everything is
// written with the vector extension of GCC and Clang, so the same text becomes SSE2, AVX2, AVX-512 or NEON.
//
// Functions are accurate to about 2 units in the last place, keep NaN, and overflow to infinity. Results below 1.2e-38
// (denormal) may be flushed to zero: moments of dead units decay into that range, where every operation is slow.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace schuss::SCHUSS_BUILD {

constexpr int V = SCHUSS_WIDTH;  // floats in a vector
constexpr int P = 2 * V;         // floats in a row of a panel: two vectors

#define SCHUSS_INLINE __attribute__((always_inline))
typedef float Vec __attribute__((vector_size(4 * V), may_alias));
typedef int Int __attribute__((vector_size(4 * V), may_alias));
typedef unsigned Uint __attribute__((vector_size(4 * V)));

SCHUSS_INLINE inline Vec load(const float *p) { return *reinterpret_cast<const Vec *>(p); }
SCHUSS_INLINE inline Int load(const int *p) { return *reinterpret_cast<const Int *>(p); }
SCHUSS_INLINE inline void store(float *p, Vec x) { *reinterpret_cast<Vec *>(p) = x; }
SCHUSS_INLINE inline Vec broadcast(float x) { return x - Vec{}; }  // x - 0 is x even for -0, unlike x + 0
SCHUSS_INLINE inline Int bits(Vec x) { return reinterpret_cast<Int>(x); }
SCHUSS_INLINE inline Vec from_bits(Int x) { return reinterpret_cast<Vec>(x); }

// Hides from the compiler where x comes from, at the cost of nothing, or of a copy to another register.
SCHUSS_INLINE inline Vec opaque(Vec x) {
#if defined(__x86_64__)
  asm("" : "+v"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

// f(0), f(1), ..., f(N-1) with constants as arguments. With plain loops GCC keeps accumulator arrays on the stack.
template <class F, int... I> SCHUSS_INLINE inline void unroll([[maybe_unused]] F f, std::integer_sequence<int, I...>) {
  (f(std::integral_constant<int, I>{}), ...);
}
template <int N, class F> SCHUSS_INLINE inline void unroll(F f) { unroll(f, std::make_integer_sequence<int, N>{}); }

// ---------------------------------------------------------------- shuffles
// Element i of the result is element index[i] of the concatenation of a and b.
template <int... Index> SCHUSS_INLINE inline Vec shuffle(Vec a, Vec b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, Index...);
#else
  return __builtin_shuffle(a, b, Int{Index...});
#endif
}

// The three patterns a transposition needs; all of them are single instructions without an index register.
// Half 0 takes the first, half 1 the second part of the interleaved pair.
struct Singles {  // within groups of 4: a0 b0 a1 b1 | a2 b2 a3 b3
  static constexpr int at(int i, int half) { return i / 4 * 4 + 2 * half + i % 4 / 2 + i % 2 * V; }
};
struct Pairs {  // within groups of 4: a0 a1 b0 b1 | a2 a3 b2 b3
  static constexpr int at(int i, int half) { return i / 4 * 4 + 2 * half + i % 2 + i % 4 / 2 * V; }
};
struct Groups {  // of 4 elements: even groups of a, even groups of b | odd groups of a, odd groups of b
  static constexpr int half_of_groups = V > 4 ? V / 8 : 1;
  static constexpr int at(int i, int half) {
    return (i / 4 % half_of_groups * 2 + half) * 4 + i % 4 + i / 4 / half_of_groups * V;
  }
};
template <class Pattern, int... I> SCHUSS_INLINE inline void mix(Vec &a, Vec &b, std::integer_sequence<int, I...>) {
  const Vec first = shuffle<Pattern::at(I, 0)...>(a, b);
  b = shuffle<Pattern::at(I, 1)...>(a, b);
  a = first;
}
template <class Pattern> SCHUSS_INLINE inline void mix(Vec &a, Vec &b) {
  mix<Pattern>(a, b, std::make_integer_sequence<int, V>{});
}

// Transposes the V x V block held in r: first 4 x 4 blocks within groups, then the groups.
SCHUSS_INLINE inline void transpose(Vec *r) {
  unroll<V / 2>([&](auto i) SCHUSS_INLINE { mix<Singles>(r[2 * i], r[2 * i + 1]); });
  unroll<V / 4>([&](auto i) SCHUSS_INLINE {
    mix<Pairs>(r[4 * i], r[4 * i + 2]);
    mix<Pairs>(r[4 * i + 1], r[4 * i + 3]);
    std::swap(r[4 * i + 1], r[4 * i + 2]);
  });
  if constexpr (V >= 8)
    unroll<V / 2>([&](auto i) SCHUSS_INLINE { mix<Groups>(r[i + i / 4 * 4], r[i + i / 4 * 4 + 4]); });
  if constexpr (V == 16) unroll<8>([&](auto i) SCHUSS_INLINE { mix<Groups>(r[i], r[i + 8]); });
}

// ---------------------------------------------------------------- simple functions
SCHUSS_INLINE inline Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }
SCHUSS_INLINE inline Vec with_sign_of(Vec magnitude, Vec x) {
  return from_bits(bits(magnitude) | (bits(x) & std::numeric_limits<int>::min()));
}
SCHUSS_INLINE inline Vec sign(Vec x) { return x > 0 ? broadcast(1) : x < 0 ? broadcast(-1) : x; }  // keeps 0 and NaN
SCHUSS_INLINE inline Vec less(Vec a, Vec b) { return a < b ? broadcast(1) : Vec{}; }
SCHUSS_INLINE inline Vec less_equal(Vec a, Vec b) { return a <= b ? broadcast(1) : Vec{}; }
SCHUSS_INLINE inline Vec where(Vec c, Vec a, Vec b) { return c != 0 ? a : b; }
// A bare a > b ? a : b would drop a NaN in a.
SCHUSS_INLINE inline Vec maximum(Vec a, Vec b) { return ((a > b) | (a != a)) ? a : b; }
SCHUSS_INLINE inline Vec minimum(Vec a, Vec b) { return ((a < b) | (a != a)) ? a : b; }

SCHUSS_INLINE inline Vec sqrt(Vec x) {
  for (int i = 0; i < V; i++) x[i] = __builtin_sqrtf(x[i]);  // compiles to one instruction
  return x;
}

// sqrt(a^2 + b^2), scaled by the larger one, whose square may overflow.
SCHUSS_INLINE inline Vec hypot(Vec a, Vec b) {
  const Vec direct = sqrt(a * a + b * b);
  const Int inside = (direct > 1e-15f) & (direct < 1e15f);
  int all = -1;
  for (int i = 0; i < V; i++) all &= inside[i];
  if (all) return direct;
  const Vec m = maximum(abs(a), abs(b)), ratio = minimum(abs(a), abs(b)) / m, infinity = broadcast(HUGE_VALF);
  const Vec length = m != 0 ? m * sqrt(1 + ratio * ratio) : m;
  return inside ? direct : ((abs(a) == infinity) | (abs(b) == infinity)) ? infinity : length;
}

SCHUSS_INLINE inline Vec floor(Vec x) {
  const Vec truncated = __builtin_convertvector(__builtin_convertvector(x, Int), Vec);
  const Vec result = truncated > x ? truncated - 1 : truncated;
  return abs(x) < 8388608.f ? with_sign_of(result, x) : x;  // from 2^23 on every float is an integer; NaN also stays
}

template <class F> SCHUSS_INLINE inline Vec by_element(F f, Vec a, Vec b) {
  for (int i = 0; i < V; i++) a[i] = f(a[i], b[i]);
  return a;
}
SCHUSS_INLINE inline Vec pow(Vec a, Vec b) {
  return by_element([](float x, float y) { return std::pow(x, y); }, a, b);
}

// ---------------------------------------------------------------- exponentials
SCHUSS_INLINE inline Vec power_of_two(Int n) { return from_bits((n + 127) << 23); }  // -126 <= n <= 127

// x = n ln 2 + r with |r| <= ln 2 / 2, and q = e^r - 1, so that e^x = 2^n (1 + q) and e^x - 1 = 2^n q + (2^n - 1).
struct Exponential {
  Int n;
  Vec q;
};
SCHUSS_INLINE inline Exponential exponential(Vec x) {
  const Vec magic = broadcast(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const Vec shifted = x * 1.44269504f + magic, n = shifted - magic;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, the first exact in the product
  Vec p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {bits(shifted) - 0x4b400000, p * (r * r) + r};
}

// Comparisons written so that NaN passes the clamp.
SCHUSS_INLINE inline Vec clamp(Vec x, float low, float high) {
  x = x < low ? broadcast(low) : x;
  return x > high ? broadcast(high) : x;
}

SCHUSS_INLINE inline Vec exp(Vec x) {
  const Exponential e = exponential(clamp(x, -104, 89));
  const Int half = e.n >> 1;  // scaled in two steps: 2^128 is no float, but e^88.7 is
  return (e.q + 1) * power_of_two(half) * power_of_two(e.n - half);
}

SCHUSS_INLINE inline Vec expm1(Vec x) {
  const Exponential e = exponential(clamp(x, -20, 89));
  const Vec half = power_of_two(e.n - 1);  // half of 2^n for the same reason
  return (half * e.q + (half - 0.5f)) * 2;
}

// By e^-|x|, which never overflows, and which the slope of a sigmoid shares.
SCHUSS_INLINE inline Vec sigmoid(Vec x) {
  const Vec e = exp(-abs(x)), upper = 1 / (1 + e);
  return x >= 0 ? upper : e * upper;
}
SCHUSS_INLINE inline Vec logistic_pdf(Vec x) {
  const Vec e = exp(-abs(x)), upper = 1 / (1 + e);
  return e * upper * upper;
}

// What tanh and its slope share: e = e^-2|x|, t = e - 1, which keeps the relative accuracy near 0, and 1 / (e + 1).
struct Hyperbolic {
  Vec e, t, inverse;
};
SCHUSS_INLINE inline Hyperbolic hyperbolic(Vec x) {
  const Exponential y = exponential(clamp(-2 * abs(x), -86, 0));  // e^-86 is near the smallest normal number
  const Vec half = power_of_two(y.n - 1), t = (half * y.q + (half - 0.5f)) * 2;
  return {(y.q + 1) * half * 2, t, 1 / (t + 2)};
}
SCHUSS_INLINE inline Vec tanh(Vec x) {
  const Hyperbolic h = hyperbolic(x);
  return with_sign_of(abs(h.t) * h.inverse, x);  // of 0, too: tanh(0) is 0, not -0, whose reciprocal is -infinity
}
SCHUSS_INLINE inline Vec sech2(Vec x) {
  const Hyperbolic h = hyperbolic(x);
  const Vec slope = 4 * h.e * h.inverse * h.inverse;
  return abs(x) > 43 ? Vec{} : slope;
}

// Two polynomials after N. Juffa: an odd one near 0, and 1 - e^polynomial.
SCHUSS_INLINE inline Vec erf(Vec x) {
  const Vec t = abs(x), s = x * x;
  Vec far = -1.72853470e-5f * t + 3.83197126e-4f;
  far = far * s + (-3.88396438e-3f * t + 2.42546219e-2f);
  far = far * t - 1.06777877e-1f;
  far = far * t - 6.34846687e-1f;
  far = far * t - 1.28717512e-1f;
  far = far * t - t;
  far = with_sign_of(1 - exp(t > 4 ? broadcast(-104) : far), x);
  Vec near = s * -5.96761703e-4f + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  return t > 0.927734375f ? far : near;  // NaN takes the second and stays
}

// ---------------------------------------------------------------- normal distribution
// e^(-x^2 / 2) with x^2 = h^2 + (x - h)(x + h) for an h of half the digits, so that h^2 is exact: rounded, x^2 is off by
// half an ulp, and its exponential by x^2 / 4 ulps.
SCHUSS_INLINE inline Vec bell(Vec x) {
  const Vec t = clamp(abs(x), 0, 20), h = from_bits(bits(t) & ~0xfff);
  return exp(-0.5f * (h * h)) * exp(-0.5f * ((t - h) * (t + h)));
}

SCHUSS_INLINE inline Vec normal_pdf(Vec x) { return 0.398942280f * bell(x); }

// bell(t) times sqrt(pi/2) erfcx(t / sqrt 2) / sqrt(2 pi) in both tails: a polynomial of (t - 2) / (t + 2), over t + 2.
SCHUSS_INLINE inline Vec normal_cdf(Vec x) {
  const Vec t = clamp(abs(x), 0, 20), r = 1 / (t + 2), q = (t - 2) * r;
  Vec p = broadcast(-7.91723587e-05f);
  p = p * q + 2.66766496e-05f;
  p = p * q + 0.00072679115f;
  p = p * q + 0.000889245584f;
  p = p * q - 0.00189119401f;
  p = p * q - 0.00675365027f;
  p = p * q - 0.000483240188f;
  p = p * q + 0.036721915f;
  p = p * q + 0.0287984074f;
  p = p * q - 0.331404578f;
  p = p * q + 0.672407998f;
  const Vec tail = bell(x) * (p * r);
  return x > 0 ? 1 - tail : tail;
}

// ---------------------------------------------------------------- logarithms
// u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for u > 0.
struct Logarithm {
  Int e;
  Vec f;
};
SCHUSS_INLINE inline Logarithm logarithm(Vec u) {
  const Int magnitude = bits(u) & 0x7fffffff;  // the bits of -0 less anything are no int
  const Int e = (magnitude - 0x3f3504f3) >> 23;
  return {e, from_bits(magnitude - (e << 23)) - 1};
}
SCHUSS_INLINE inline Vec finish(Logarithm l) {  // e ln 2 + log(1 + f)
  const Vec e = __builtin_convertvector(l.e, Vec), f = l.f, f2 = f * f;
  Vec p = broadcast(7.0376836292e-2f);
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const Vec tail = p * f * f2 - e * 2.12194440e-4f - 0.5f * f2;
  return (f + tail) + e * 0.693359375f;
}
SCHUSS_INLINE inline Vec edges(Vec u, Vec result) {  // log at 0, below 0, at infinity and NaN
  const Vec infinity = broadcast(std::numeric_limits<float>::infinity());
  result = u < infinity ? result : u;
  result = u == 0 ? -infinity : result;
  return u < 0 ? broadcast(std::numeric_limits<float>::quiet_NaN()) : result;
}

SCHUSS_INLINE inline Vec log(Vec x) { return edges(x, finish(logarithm(x))); }

SCHUSS_INLINE inline Vec log1p(Vec x) {
  const Vec u = 1 + x, lost = x - (u - 1);  // what rounding took from u, exactly
  Logarithm l = logarithm(u);
  l.f += l.e < 64 ? lost * power_of_two(-l.e) : Vec{};
  return edges(u, finish(l));
}

// ---------------------------------------------------------------- sine and cosine
// sin(x + quarters * pi/2) for |x| <= 1e4, with pi/2 in three parts; larger arguments go to the C library.
SCHUSS_INLINE inline Vec sine(Vec x, int quarters) {
  const Vec magic = broadcast(12582912.f);
  const Vec shifted = x * 0.636619772f + magic, n = shifted - magic;
  const Vec r = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.549790126404332e-8f, r2 = r * r;
  const Vec odd = r + r * r2 * (-1.6666654611e-1f + r2 * (8.3321608736e-3f + r2 * -1.9515295891e-4f));
  const Vec even =
      1 - 0.5f * r2 + r2 * r2 * (4.166664568298827e-2f + r2 * (-1.388731625493765e-3f + r2 * 2.443315711809948e-5f));
  const Int quadrant = bits(shifted) + quarters;  // the low bits of `shifted` are n
  const Vec y = (quadrant & 1) != 0 ? even : odd;
  return (quadrant & 2) != 0 ? -y : y;
}
template <class F> SCHUSS_INLINE inline Vec with_range(Vec x, Vec y, F exact) {
  const Int inside = abs(x) <= 1e4f;
  int all = -1;
  for (int i = 0; i < V; i++) all &= inside[i];
  if (all) return y;
  return by_element([&](float a, float b) { return std::fabs(a) <= 1e4f ? b : exact(a); }, x, y);
}
SCHUSS_INLINE inline Vec sin(Vec x) {
  return with_range(x, sine(x, 0), [](float a) { return std::sin(a); });
}
SCHUSS_INLINE inline Vec cos(Vec x) {
  return with_range(x, sine(x, 1), [](float a) { return std::cos(a); });
}

// ---------------------------------------------------------------- denormals
// Flushes denormal numbers to zero in this thread while it lives.
class FlushDenormals {
 public:
  FlushDenormals() : before_(read()) { write(before_ | kFlush); }
  ~FlushDenormals() { write(before_); }
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals &operator=(const FlushDenormals &) = delete;

 private:
#if defined(__x86_64__)
  static constexpr std::uint64_t kFlush = 0x8040;  // flush to zero, denormals are zero
  static std::uint64_t read() { return _mm_getcsr(); }
  static void write(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kFlush = 1u << 24;
  static std::uint64_t read() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t kFlush = 0;
  static std::uint64_t read() { return 0; }
  static void write(std::uint64_t) {}
#endif
  const std::uint64_t before_;
};

}  // namespace schuss::SCHUSS_BUILD
