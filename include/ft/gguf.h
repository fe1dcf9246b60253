/* gguf.h - GGUF files (llama.cpp's), versions 2 and 3: keys with values, and tensors.
 *
 * The file is mapped; texts, arrays and tensors point into the mapping. All of it is
 * checked when it is opened: types, counts and sizes against the bytes there are, that
 * keys and names are unique, and that the tensors lie where they must (FT_EFORMAT, with
 * the file, the key or tensor, and the reason).
 */
#ifndef FT_GGUF_H
#define FT_GGUF_H

#include "ft/stream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_gguf;
struct ft_gguf *ft_gguf_open(const char *path); /* NULL on failure */
void ft_gguf_close(struct ft_gguf *g);          /* NULL is fine */
bool ft_gguf_named(const char *path);           /* ends in .gguf */

/* ---- keys ---- */
/* X(name, number in a file, bytes): types of values. */
#define FT_GGUF_TYPES(X)                                                                  \
	X(U8, 0, 1) X(I8, 1, 1) X(U16, 2, 2) X(I16, 3, 2) X(U32, 4, 4) X(I32, 5, 4)      \
	X(F32, 6, 4) X(BOOL, 7, 1) X(STRING, 8, 0) X(ARRAY, 9, 0) X(U64, 10, 8)          \
	X(I64, 11, 8) X(F64, 12, 8)
enum ft_gguf_type {
#define X(name, number, bytes) FT_GGUF_##name = number,
	FT_GGUF_TYPES(X)
#undef X
};
struct ft_gguf_value {
	const char *key;
	enum ft_gguf_type type; /* of the value, or of an array's elements; never FT_GGUF_ARRAY */
	bool is_array;
	size_t count;           /* elements; 1 unless an array */
	const void *data;       /* the first of them, little endian, at any alignment; strings have a u64 length each */
};
size_t ft_gguf_keys(const struct ft_gguf *g);
const struct ft_gguf_value *ft_gguf_key(const struct ft_gguf *g, size_t i);          /* in the file's order */
const struct ft_gguf_value *ft_gguf_find(const struct ft_gguf *g, const char *key);  /* NULL: not there */

/* The value of a key that need not be there. One of another kind than asked for, or out
 * of range, sets *err to FT_EFORMAT, which stays set. Integers of all widths are alike;
 * a real may be an integer. */
int64_t ft_gguf_int(const struct ft_gguf *g, const char *key, int64_t absent, int *err);
double ft_gguf_real(const struct ft_gguf *g, const char *key, double absent, int *err);
bool ft_gguf_bool(const struct ft_gguf *g, const char *key, bool absent, int *err);
/* p NULL when it is not there. */
struct ft_span ft_gguf_text(const struct ft_gguf *g, const char *key, int *err);
/* An array of integers, reals or strings; NULL when it is not there. */
enum { FT_GGUF_INTS, FT_GGUF_REALS, FT_GGUF_TEXTS };
const struct ft_gguf_value *ft_gguf_array(const struct ft_gguf *g, const char *key, int kind, int *err);
/* Elements of such an array, i < count. U64 beyond INT64_MAX counts as INT64_MAX. */
int64_t ft_gguf_int_at(const struct ft_gguf_value *v, size_t i);
double ft_gguf_real_at(const struct ft_gguf_value *v, size_t i);
/* Strings one after the other: *at is NULL for the first; called count times. */
struct ft_span ft_gguf_text_next(const struct ft_gguf_value *v, const void **at);

/* ---- tensors ---- */
/* X(name, number in a file, elements of a block, bytes of a block) */
#define FT_GGML_TYPES(X)                                                                  \
	X(F32, 0, 1, 4) X(F16, 1, 1, 2) X(Q4_0, 2, 32, 18) X(Q4_1, 3, 32, 20)            \
	X(Q5_0, 6, 32, 22) X(Q5_1, 7, 32, 24) X(Q8_0, 8, 32, 34) X(Q8_1, 9, 32, 36)      \
	X(Q2_K, 10, 256, 84) X(Q3_K, 11, 256, 110) X(Q4_K, 12, 256, 144)                 \
	X(Q5_K, 13, 256, 176) X(Q6_K, 14, 256, 210) X(Q8_K, 15, 256, 292)                \
	X(IQ2_XXS, 16, 256, 66) X(IQ2_XS, 17, 256, 74) X(IQ3_XXS, 18, 256, 98)           \
	X(IQ1_S, 19, 256, 50) X(IQ4_NL, 20, 32, 18) X(IQ3_S, 21, 256, 110)               \
	X(IQ2_S, 22, 256, 82) X(IQ4_XS, 23, 256, 136) X(I8, 24, 1, 1) X(I16, 25, 1, 2)   \
	X(I32, 26, 1, 4) X(I64, 27, 1, 8) X(F64, 28, 1, 8) X(IQ1_M, 29, 256, 56)         \
	X(BF16, 30, 1, 2) X(TQ1_0, 34, 256, 54) X(TQ2_0, 35, 256, 66)                    \
	X(MXFP4, 39, 32, 17) X(NVFP4, 40, 64, 36) X(Q1_0, 41, 128, 18)
enum ft_ggml_type {
#define X(name, number, elements, bytes) FT_GGML_##name = number,
	FT_GGML_TYPES(X)
#undef X
};
const char *ft_ggml_name(enum ft_ggml_type t); /* "Q4_K" */

#define FT_GGUF_RANK 4
struct ft_gguf_tensor {
	const char *name;
	enum ft_ggml_type type;
	int rank;
	int64_t shape[FT_GGUF_RANK]; /* outermost first; a file has them the other way round */
	const void *data;            /* aligned as the file says, 32 bytes as a rule */
	size_t bytes;
};
size_t ft_gguf_tensors(const struct ft_gguf *g);
const struct ft_gguf_tensor *ft_gguf_tensor(const struct ft_gguf *g, size_t i);
const struct ft_gguf_tensor *ft_gguf_tensor_find(const struct ft_gguf *g, const char *name); /* NULL: none */

#endif
