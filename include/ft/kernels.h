/* kernels.h - the table of numeric kernels, one per instruction set.
 *
 * A kernel is single-threaded and works on contiguous float32; operations cut
 * their work into items by shape and call kernels from ft_parallel(). Sums run
 * over 16 fixed lanes, so an instruction set changes nothing but the rounding of
 * fused multiply-adds. A backend for another device is another such table.
 */
#ifndef FT_KERNELS_H
#define FT_KERNELS_H

#include "ft/tensor.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Random bits for dropout: a pure function of these and the element's index. */
struct ft_dropout {
	uint64_t key;   /* of (seed, step, site) */
	float p;        /* share set to 0; the rest is scaled by 1/(1-p) */
};

/* ---- what optimizers do to n weights ---- */
struct ft_adamw {
	float rate, beta1, beta2, eps, decay; /* decay is already times the rate */
	float new1, new2;                     /* 1 - beta: more exact than of a rounded beta */
	float correct1, correct2;             /* 1 - beta^t */
	float scale;                          /* of the gradient: 1/units, clipping */
};
struct ft_lion {
	float rate, beta1, beta2, new1, new2, decay, scale; /* as above */
};
/* Numbers in a byte: value[code] times a scale that FT_BYTES_BLOCK of them share. A number is stored as
 * the code that is nearest: the number of bounds below it. Those that lie below all of its cell (numbers of one sign
 * that agree in the exponent and 7 bits of the fraction) are in `below`; in a cell there may be one bound more. */
#define FT_BYTES_BLOCK 256
#define FT_BYTES_TINY 0x3400 /* the first half of the bits of 2^-23: all that is smaller is in one cell */
#define FT_BYTES_CELLS (0x3f80 - FT_BYTES_TINY + 1) /* up to 1 */
struct ft_byte_map {
	float value[256], bound[256]; /* rising; bound[i]: the middle of value[i] and value[i + 1], the last infinite */
	uint8_t below[2 * FT_BYTES_CELLS]; /* first of numbers from 0 on, then of those below 0 */
};
struct ft_updates {
	/* One step of AdamW (Loshchilov and Hutter, 2019). */
	void (*adamw)(float *w, const float *g, float *m, float *v, const struct ft_adamw *o, size_t n);
	/* w -= rate * m, m = momentum * m + scale g + decay w (as torch.optim.SGD). */
	void (*sgd)(float *w, const float *g, float *m, float rate, float momentum, float decay, float scale, size_t n);
	/* One step of Lion (Chen et al., 2023). */
	void (*lion)(float *w, const float *g, float *m, const struct ft_lion *o, size_t n);
	/* w = keep w - step g column: a row of Adafactor's step. */
	void (*adafactor)(float *w, const float *g, const float *column, float step, float keep, size_t n);
	void (*add_squares)(double *sum, const float *x, size_t n);                /* sum[i] += x[i]^2 */
	double (*sum_product_squares)(const float *x, const float *y, size_t n);   /* of (x[i] y[i])^2 */
	void (*average)(float *y, const float *x, float share, size_t n); /* y += share (x - y) */
	/* At most a block of numbers out of bytes, and into those that are nearest; returns the scale. */
	void (*from_bytes)(float *y, const uint8_t *code, float scale, const struct ft_byte_map *map, size_t n);
	float (*to_bytes)(uint8_t *code, const float *x, const struct ft_byte_map *map, size_t n);
};

struct ft_product; /* tiles of matrix products; private to lib/tensor */

struct ft_kernels {
	const char *name;
	const struct ft_product *product;
	const struct ft_updates *update;

	/* y [n] = f(x); dx = dy f'(x), in place of dy or added to it by the caller. */
	void (*gelu)(float *y, const float *x, size_t n);
	void (*gelu_back)(float *dx, const float *dy, const float *x, size_t n);
	void (*gelu_tanh)(float *y, const float *x, size_t n);
	void (*gelu_tanh_back)(float *dx, const float *dy, const float *x, size_t n);
	void (*silu)(float *y, const float *x, size_t n);
	void (*silu_back)(float *dx, const float *dy, const float *x, size_t n);
	void (*tanh)(float *y, const float *x, size_t n);

	void (*add)(float *y, const float *x, size_t n);            /* y += x */
	void (*mul)(float *y, const float *x, size_t n);            /* y *= x */
	void (*axpy)(float *y, float a, const float *x, size_t n);  /* y += a x */
	double (*sum_squares)(const float *x, size_t n);
	/* out[c] (+)= sum over rows of x [rows, ld], columns 0..cols-1 */
	void (*column_sums)(float *out, const float *x, size_t ld, size_t rows, size_t cols, bool add);

	/* x [n] -> softmax(scale x), in place; returns log sum exp(scale x). */
	float (*softmax)(float *x, float scale, size_t n);
	/* p[i] = exp(scale x[i] - lse), in place: a softmax whose sum is known. */
	void (*softmax_again)(float *x, float scale, float lse, size_t n);
	/* log sum exp(x) without changing x. */
	float (*log_sum_exp)(const float *x, size_t n);
	/* ds[i] = p[i] (dp[i] - d) scale, in place of dp */
	void (*softmax_back)(float *dp, const float *p, float d, float scale, size_t n);
	float (*dot)(const float *a, const float *b, size_t n);

	/* One row: y = (x - mean) rstd w + b; b may be NULL. */
	void (*layer_norm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps, float *mean,
	                   float *rstd);
	/* dx (+)= …; dw += dy xhat, db += dy (either may be NULL). */
	void (*layer_norm_back)(float *dx, bool add, float *dw, float *db, const float *dy, const float *x,
	                        const float *w, size_t n, float mean, float rstd);
	/* One row: y = x rstd (w + plus), rstd = 1/sqrt(mean of x^2 + eps). */
	void (*rms_norm)(float *y, const float *x, const float *w, float plus, size_t n, float eps, float *rstd);
	/* dx (+)= …; dw += dy x rstd (may be NULL). */
	void (*rms_norm_back)(float *dx, bool add, float *dw, const float *dy, const float *x, const float *w, float plus,
	                      size_t n, float rstd);

	/* Turns each pair (x[i], x[pairs + i]) by an angle of this cosine and sine,
	 * in place; sign -1 turns it back. */
	void (*rotate)(float *x, const float *cosine, const float *sine, float sign, size_t pairs);

	/* y[i] = keep(first + i) ? x[i] / (1-p) : 0 */
	void (*dropout)(float *y, const float *x, const struct ft_dropout *d, uint64_t first, size_t n);
	/* y[i] = residual[i] + dropout(x[i]) */
	void (*dropout_add)(float *y, const float *x, const float *residual, const struct ft_dropout *d, uint64_t first,
	                    size_t n);
};

/* The table in use. Chosen once, by the processor and the environment's FT_ISA. */
const struct ft_kernels *ft_kernels(void);

/* ---- matrix products: C [m,n] = A B (+ C when add) + bias ----
 * A is [m,k] (or [k,m] when ta), B is [k,n] (or [n,k] when tb), rows ld apart. B may be
 * stored in another type than float32 (its rows are whole blocks of a type in blocks), and at
 * any alignment; it is widened on the way. */
struct ft_gemm {
	bool ta, tb, add;
	int64_t m, n, k;
	const float *a;
	const void *b;
	enum ft_dtype b_type; /* F32 (as when not said), F16, BF16 or one in blocks */
	float *c;
	int64_t lda, ldb, ldc;
	const float *bias; /* [n] or NULL; not together with add */
	bool by_blocks; /* few rows with weights in blocks may be summed in the way that is as fast as these are read. It is as
	                   precise, but other bits than those of many rows */
};
/* On all threads. A row of C depends on that row of A and on B alone, to the bit: not on the number
 * of threads, nor, without by_blocks, on m or on whether B was widened before. */
void ft_gemm(const struct ft_gemm *g);
/* On the calling thread; from inside ft_parallel(). */
void ft_gemm_one(const struct ft_gemm *g);
/* Bytes that ft_gemm() keeps for operands in the order it reads them, shared and of each thread: those of g, where it
 * needs more than `room` says. Nothing is computed. */
struct ft_gemm_room {
	size_t shared, own;
};
void ft_gemm_plan(const struct ft_gemm *g, struct ft_gemm_room *room);
/* Whether a matrix of this type can be multiplied as it lies, without widening it. */
bool ft_gemm_takes(enum ft_dtype type);

/* The r greatest singular values of w [rows, cols], in descending order, and their vectors: of the rows `left` [r,
 * rows], of the columns `right` [r, cols]. On the calling thread, so that the result does not depend on how many there
 * are. FT_EFORMAT: w has a value that is not finite. FT_EFAIL: it does not converge; or there is no LAPACK. */
int ft_svd(const struct ft_tensor *w, int64_t r, float *left, float *values, float *right);

#endif
