/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rate of one large matrix product, the bound of workloads that products dominate.
 *
 *     cc -O2 gemm.c -o gemm -lopenblas && ./gemm f32|f64 THREADS
 *
 * gflops_large is that of 1024 x 1024 x 1024, gflops_batch that of 4096 rows by a 256 x 256 matrix.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void single(int m, int n, int k, const float *a, const float *b, float *c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, c, n);
}

static void precise(int m, int n, int k, const double *a, const double *b, double *c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, c, n);
}

/* n numbers of about 1 in magnitude, as floats or doubles: zeros would not be a fair trial. */
static void *numbers(size_t n, int is_float) {
  void *x = malloc(n * (is_float ? sizeof(float) : sizeof(double)));
  if (!x) abort();
  for (size_t i = 0; i < n; i++) {
    double v = (i * 7919 % 2003) / 1001. - 1;
    if (is_float) ((float *)x)[i] = v;
    else ((double *)x)[i] = v;
  }
  return x;
}

/* The best rate of [m, k] by [k, n] within a second. */
static double gflops(int m, int n, int k, int is_float) {
  void *a = numbers((size_t)m * k, is_float), *b = numbers((size_t)k * n, is_float);
  void *c = numbers((size_t)m * n, is_float);
  double best = 1e9, finish = now() + 1;
  while (now() < finish) {
    double began = now();
    if (is_float) single(m, n, k, a, b, c);
    else precise(m, n, k, a, b, c);
    double seconds = now() - began;
    if (seconds < best) best = seconds;
  }
  free(a), free(b), free(c);
  return 2e-9 * m * n * k / best;
}

int main(int argc, char **argv) {
  if (argc != 3) return fputs("usage: gemm f32|f64 THREADS\n", stderr), 2;
  int is_float = !strcmp(argv[1], "f32");
  openblas_set_num_threads(atoi(argv[2]));
  printf("{\"dtype\": \"%s\", \"gflops_large\": %.1f, \"gflops_batch\": %.1f}\n", argv[1],
         gflops(1024, 1024, 1024, is_float), gflops(4096, 256, 256, is_float));
}
