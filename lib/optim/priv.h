/* priv.h - what the files of lib/optim share.
 *
 * An optimizer is one file: it says which arrays of state a parameter has, and
 * changes a run of its rows. One that must know something of whole parameters
 * first (a sum over them) finds that out in measure().
 */
#ifndef FT_OPTIM_PRIV_H
#define FT_OPTIM_PRIV_H

#include "ft/optim.h"

#define STATES 4 /* arrays of state that a parameter may have */

/* A parameter that trains. */
struct slot {
	struct ft_param *p;
	void *state[STATES];   /* NULL: it has no such array */
	uint8_t *ever;         /* rows of a table that have had a gradient; NULL: not a table */
	size_t block, nblocks; /* its blocks */
	float *columns;        /* [cols] for measure(), or NULL */
	double whole[3];       /* of the whole parameter, by measure() */
};

/* Rows of one parameter: the unit of work, cut by shape alone. */
struct block {
	struct slot *slot;
	int64_t row, rows;
};

/* What one update of a run of rows needs. */
struct update {
	const struct ft_optim_options *o;
	const void *own; /* of the optimizer */
	double rate, decay, scale;
	int64_t step; /* from 1 */
};

/* A run of rows of one parameter. */
struct run {
	const struct slot *slot;
	size_t at, n;    /* elements: the first, and how many */
	int64_t row, rows;
	float *w;        /* [rows, cols] */
	const float *g;  /* the same; zeros where there is no gradient */
};

struct ft_optim {
	struct ft_optim_options options;
	const struct optimizer *kind;
	struct slot *slots;
	size_t nslots;
	struct block *blocks;
	double *sums; /* [blocks] */
	size_t nblocks, block_cap;
	struct ft_piece *pieces; /* whoever gets memory for state adds it here */
	size_t npieces, piece_cap;
	float *zeros; /* the longest row of a table: a gradient that is none */
	void *own;
	struct update now;
};

struct optimizer {
	const char *name;
	const char *names[STATES]; /* of the arrays of state, in checkpoints */
	/* Elements of array i of state of a parameter, 0: it has none; and their type where it is not F32. */
	size_t (*state)(const struct ft_param *p, int i, enum ft_dtype *type);
	void (*update)(const struct update *u, const struct run *r);
	/* Before the updates of a step, which o->now describes; or NULL. */
	void (*measure)(struct ft_optim *o);
	/* What is the same for all parameters, from one malloc(): NULL on failure; or NULL. */
	void *(*open)(void);
	int64_t align;       /* elements: runs of what is no table begin at multiples of it; 0 is 1 */
	bool decoupled;      /* without a gradient, now or before, a weight only shrinks, by rate * decay */
	bool columns;        /* wants struct slot's */
	double beta1, beta2; /* where the options do not say */
	double rate;         /* the usual rate, as a share of AdamW's */
};

static inline size_t elements(const struct ft_param *p) { return (size_t)p->t.rows * (size_t)p->t.cols; }
static inline int64_t trained_rows(const struct ft_param *p) { return p->t.rows - p->first; }

/* Rows of a table without a gradient: they are not even read. */
static inline bool row_is_zero(const struct ft_tensor *t, int64_t row)
{
	return t->touched && !t->dense && !t->touched[row];
}

/* Of a run, in an array of state that has a float for each element. */
static inline float *state_of(const struct run *r, int i) { return (float *)r->slot->state[i] + r->at; }

#define X(name) extern const struct optimizer optimizer_##name;
#include "optimizers.def"
#undef X

#endif
