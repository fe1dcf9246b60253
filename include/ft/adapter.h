/* adapter.h - adapters at rest: folders of PEFT and of mlx-lm, which hold what was added to a base
 * without the base.
 *
 * Such a folder is a MODEL like any other (model.h): its adapter_config.json becomes meta.adapt, its
 * tensors become parameters, and the base is looked for where the folder says, or where --base says.
 */
#ifndef FT_ADAPTER_H
#define FT_ADAPTER_H

#include "ft/model.h"

/* A folder with adapter_config.json. */
bool ft_adapter_is(const char *path);

/* Beside the files that PEFT knows a folder of ours has one more, for what these cannot say:
 * {base: {digest}, head: {…}}. */
#define FT_ADAPTER_NOTE "ft.json"

/* What techniques add to one module: a matrix of low rank, W + scale B A. Of several techniques at
 * the module it is the sum. DoRA scales the rows of that sum, too. */
struct ft_delta {
	const struct ft_param *weight; /* of the base */
	char *module;   /* its name in checkpoints, with the family's prefix where the model has a head */
	bool table;     /* of vectors of words: a is [r, vocabulary], b [width, r] */
	int64_t r;
	double alpha;   /* the scale is alpha / r, or with `root` alpha / sqrt(r) */
	bool root;
	double dropout; /* while it trains */
	float *a, *b;   /* [r, in], [out, r] */
	float *lengths; /* [out], that the rows of W + scale B A (a table's columns) are brought to; NULL: they stay so */
};
/* All of them, in the order of the network. FT_EUSAGE when a technique does something else. */
int ft_model_deltas(const struct ft_model *m, struct ft_delta **deltas, size_t *n);
/* The same with a scale of 1, which b takes. */
void ft_delta_fold(struct ft_delta *d);
void ft_deltas_free(struct ft_delta *deltas, size_t n);

/* A prompt or a prefix as PEFT holds it, one matrix: a row for each virtual token. */
struct ft_virtual {
	bool keys;          /* a prefix: keys and values of every layer, side by side, layer by layer; else vectors */
	int64_t rows, cols; /* cols: width, or 2 * layers * width */
	int64_t width, heads, layers; /* of vectors or keys; heads of keys where these are */
	float *data;        /* [rows, cols], from malloc */
};
/* 1: the one technique of m is such a one; 0: it is not. */
int ft_model_virtual(const struct ft_model *m, struct ft_virtual *v);

#endif
