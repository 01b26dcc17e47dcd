// Vectors of sixteen floats, and the functions that loops over such vectors need. Loads and stores convert from and to
// bf16.
#pragma once

#include "kernels/tensor.hpp"

#include <cstdint>
#include <cstring>
#include <limits>

namespace gpas::cpu {

inline constexpr std::int64_t lanes = 16;
using Vec = float __attribute__((vector_size(lanes * sizeof(float))));
using VecInt = std::int32_t __attribute__((vector_size(lanes * sizeof(float))));
using HalfInt = std::uint16_t __attribute__((vector_size(lanes * sizeof(std::uint16_t))));
using VecUint = std::uint32_t __attribute__((vector_size(lanes * sizeof(float))));

inline Vec splat(float x) { return x - Vec{}; }  // keeps the sign of -0

inline Vec load(const float* p) {
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline Vec load(const bf16* p) {
    HalfInt half;
    std::memcpy(&half, p, sizeof half);
    const VecUint wide = __builtin_convertvector(half, VecUint) << 16;
    Vec v;
    std::memcpy(&v, &wide, sizeof v);
    return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
// Rounds to nearest, ties to even; NaN stays NaN (as bf16's constructor does).
inline void store(bf16* p, Vec v) {
    VecUint u;
    std::memcpy(&u, &v, sizeof u);
    const VecUint rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const VecUint quiet_nan = (u >> 16) | 0x40u;
    const VecInt is_nan = v != v;
    const VecUint bits = is_nan ? quiet_nan : rounded;
    const HalfInt half = __builtin_convertvector(bits, HalfInt);
    std::memcpy(static_cast<void*>(p), &half, sizeof half);
}

// Load and store of n <= 16 elements, for the end of a row. The other lanes become `fill`, and are not stored.
template <class T>
Vec load_part(const T* p, std::int64_t n, float fill = 0.0F) {
    T buffer[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = i < n ? p[i] : T(fill);
    return load(buffer);
}
template <class T>
void store_part(T* p, Vec v, std::int64_t n) {
    T buffer[lanes];
    store(buffer, v);
    for (std::int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}

// Sum and maximum over lanes, in a fixed order: lane i with lane i+8, then i+4, i+2, i+1.
inline float horizontal_sum(Vec v) {
    float x[lanes];
    store(x, v);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] += x[i + width];
    return x[0];
}
inline float horizontal_max(Vec v) {
    float x[lanes];
    store(x, v);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
    return x[0];
}
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }

// e^x with an error of about 2 units in the last place. x < -87.3 gives 0 (no subnormals), x > 88.72 gives inf, NaN
// stays NaN.
// Method: x = n ln2 + r with |r| <= ln2/2; e^r by a polynomial of degree 6 (Cephes' coefficients); 2^n through the
// exponent bits.
inline Vec exp(Vec x) {
    const Vec low = splat(-87.33654F);
    const Vec high = splat(88.72283F);
    const VecInt too_low = x < low;
    const VecInt too_high = x > high;
    const VecInt is_nan = x != x;
    const Vec clamped = (too_low | too_high | is_nan) ? Vec{} : x;
    const Vec shifter = splat(12582912.0F);  // 1.5 · 2^23: adding it rounds to an integer
    const Vec n = (clamped * 1.44269504F + shifter) - shifter;
    Vec r = clamped - n * 0.693359375F;
    r = r - n * -2.12194440e-4F;
    Vec p = splat(1.9875691500e-4F);
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    // 2^n as two factors: for n = 128 a single factor would overflow, although p < 1 makes the result representable.
    const VecInt whole = __builtin_convertvector(n, VecInt);
    const VecInt half = whole >> 1;
    const VecInt bits_a = (half + 127) << 23;
    const VecInt bits_b = (whole - half + 127) << 23;
    Vec a, b;
    std::memcpy(&a, &bits_a, sizeof a);
    std::memcpy(&b, &bits_b, sizeof b);
    const Vec y = p * a * b;
    const Vec bounded = too_low ? Vec{} : (too_high ? splat(std::numeric_limits<float>::infinity()) : y);
    return is_nan ? x : bounded;
}

inline Vec sigmoid(Vec x) { return 1.0F / (1.0F + exp(-x)); }

// Calls body(offset, n) for the pieces of a row of `count` elements; n = 16, or less for the last piece.
template <class Body>
inline void for_lanes(std::int64_t count, Body&& body) {
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) body(i, lanes);
    if (i < count) body(i, count - i);
}
template <class T>
inline Vec load_n(const T* p, std::int64_t n, float fill = 0.0F) {
    return n == lanes ? load(p) : load_part(p, n, fill);
}
template <class T>
inline void store_n(T* p, Vec v, std::int64_t n) {
    if (n == lanes)
        store(p, v);
    else
        store_part(p, v, n);
}

}  // namespace gpas::cpu
