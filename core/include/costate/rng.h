/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number is a function of (seed, stream, counter): it does not matter who
 * asks, in which order, or on which thread.
 */
#pragma once
#include <math.h>
#include <stdint.h>

typedef struct cst_rng {
  uint64_t seed;    /* of the run */
  uint64_t stream;  /* cst_rng_stream("name") */
  uint64_t counter; /* advances by one a block of four 32-bit words */
} cst_rng;

/* FNV-1a of a name: streams are keyed by what they are for. */
static inline uint64_t cst_rng_stream(const char *name) {
  uint64_t h = 1469598103934665603u;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
  return h;
}

/* One block: out = Philox4x32-10(counter, key). */
static inline void cst_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* The four words at (seed, stream, a, b); the stream is folded into the key. */
static inline void cst_rng_at(uint64_t seed, uint64_t stream, uint64_t a, uint64_t b,
                              uint32_t out[4]) {
  uint64_t k = seed * 0x9E3779B97F4A7C15u ^ stream;
  uint32_t key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
  uint32_t c[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
  cst_philox(c, key, out);
}

static inline double cst_rng_to_unit(uint32_t hi, uint32_t lo) { /* (0, 1): never 0, never 1 */
  return ((double)(((uint64_t)hi << 20) ^ (lo >> 12)) + 0.5) * 0x1p-52;
}

/* Two uniforms on (0, 1) or two standard normals (Box-Muller) at a position of a stream. */
static inline void cst_rng_uniform2(uint64_t seed, uint64_t stream, uint64_t a, uint64_t b,
                                    double out[2]) {
  uint32_t w[4];
  cst_rng_at(seed, stream, a, b, w);
  out[0] = cst_rng_to_unit(w[0], w[1]), out[1] = cst_rng_to_unit(w[2], w[3]);
}
static inline void cst_rng_normal2(uint64_t seed, uint64_t stream, uint64_t a, uint64_t b,
                                   double out[2]) {
  double u[2];
  cst_rng_uniform2(seed, stream, a, b, u);
  double r = sqrt(-2 * log(u[0])), angle = 6.283185307179586476925 * u[1];
  out[0] = r * cos(angle), out[1] = r * sin(angle);
}

/* Sequential use: each call consumes one block. */
static inline double cst_rng_uniform(cst_rng *r) {
  double u[2];
  cst_rng_uniform2(r->seed, r->stream, r->counter++, 0, u);
  return u[0];
}
static inline double cst_rng_normal(cst_rng *r) {
  double z[2];
  cst_rng_normal2(r->seed, r->stream, r->counter++, 0, z);
  return z[0];
}
/* Uniform on 0 .. n-1 (n >= 1), by rejection: exactly uniform. */
static inline uint64_t cst_rng_below(cst_rng *r, uint64_t n) {
  uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
  do {
    uint32_t w[4];
    cst_rng_at(r->seed, r->stream, r->counter++, 1, w);
    x = (uint64_t)w[0] << 32 | w[1];
  } while (x >= limit);
  return x % n;
}
