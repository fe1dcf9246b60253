/* tensor.h - matrices in memory, and the types weights have on disk.
 *
 * Everything computed is float32, row-major, two-dimensional: [rows, cols]. A
 * vector is [1, cols]. What lies on disk in a narrower type is widened when it
 * is loaded.
 */
#ifndef FT_TENSOR_H
#define FT_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, bytes an element): types of stored tensors, spelled as safetensors
 * spells them. Those that can be widened to float32 come first. */
#define FT_DTYPES(X)                                                           \
	X(F32, 4) X(F16, 2) X(BF16, 2) X(F64, 8)                               \
	X(BOOL, 1) X(U8, 1) X(I8, 1) X(I16, 2) X(U16, 2) X(I32, 4) X(U32, 4)   \
	X(I64, 8) X(U64, 8) X(F8_E4M3, 1) X(F8_E5M2, 1)                        \
	X(F8_E8M0, 1) X(F8_E4M3FNUZ, 1) X(F8_E5M2FNUZ, 1) X(C64, 8)
/* X(name, elements of a block, bytes of a block): types in blocks, which can be
 * widened, too: two of ggml's, and NF4 (Dettmers et al., "QLoRA", 2023), which is for weights in memory
 * alone. A row of a matrix is whole blocks. safetensors knows none of them, nor do streams. */
#define FT_BLOCK_DTYPES(X) X(Q8_0, 32, 34) X(Q4_0, 32, 18) X(NF4, 32, 18)
enum ft_dtype {
#define X(name, ...) FT_##name,
	FT_DTYPES(X)
	FT_BLOCK_DTYPES(X)
#undef X
	FT_DTYPE_COUNT
};
#define FT_BLOCK 32 /* elements of a block: of all types that have any */
size_t ft_dtype_size(enum ft_dtype t);  /* bytes an element; 0: a type in blocks, or none */
size_t ft_dtype_block(enum ft_dtype t); /* elements of a block, 1 where there are none; 0: not a type */
/* Bytes of n elements. False: they overflow, or are not whole blocks. */
bool ft_dtype_bytes(enum ft_dtype t, size_t n, size_t *bytes);
const char *ft_dtype_name(enum ft_dtype t);
int ft_dtype_parse(const char *name, size_t n); /* a type of safetensors, or -1 */
/* A type that weights may be widened from, as a user spells it, "bf16" or "nf4"; or -1. */
int ft_dtype_of_weights(const char *name);
bool ft_dtype_widens(enum ft_dtype t);          /* F32, F16, BF16, F64, and those in blocks */
/* Widens n elements of such a type at any alignment to f32; of a type in blocks,
 * whole blocks. FT_EFORMAT otherwise. */
int ft_widen(float *dest, const void *src, enum ft_dtype t, size_t n);
/* Narrows n elements to F32, F16 or BF16, round to nearest even, or to whole
 * blocks exactly as ggml's reference quantisation does; what no block can hold
 * (not finite, or too large for a scale in float16) is FT_EFORMAT. */
int ft_narrow(void *dest, const float *src, enum ft_dtype t, size_t n);

struct ft_place; /* stream.h */
struct ft_tensor {
	float *data;      /* [rows, cols]; NULL when the numbers are only `stored` */
	/* Or NULL. Numbers as they lie in a file that is mapped: [rows, cols] of type `dtype`,
	 * borrowed, at any alignment. Weights of ft_linear() and of ft_linear_cross_entropy(), and
	 * the tables of ft_embed(), may be such; products widen them on the way. Others read
	 * them with ft_tensor_floats(). */
	const void *stored;
	enum ft_dtype dtype;
	float *grad;      /* [rows, cols] or NULL */
	int64_t rows, cols;
	bool needs_grad;  /* something below it trains */
	bool has_grad;    /* grad holds a sum (else its content is undefined) */
	/* An embedding table's gradient is zero but in the rows of the batch: only
	 * rows marked here are valid, the others count as zero. NULL: a dense
	 * gradient; also while `dense` (something else added to the table too). */
	uint8_t *touched; /* [rows] or NULL */
	bool dense;
	/* Of which rows of a whole batch these are, so that dropout is that of the whole; NULL: of all of them. */
	const struct ft_place *place;
};
/* Rows of a tensor as floats, wherever its numbers are: dest [n, cols]. */
void ft_tensor_floats(const struct ft_tensor *t, int64_t row, int64_t n, float *dest);

/* Names the instruction set the kernels use: "avx512", "avx2" or "base". The
 * environment's FT_ISA chooses a lesser one. Part of a result's identity. */
const char *ft_isa(void);

#endif
