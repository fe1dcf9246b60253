/* priv.h - what a technique is, and what techniques share.
 *
 * A technique changes what happens at sites of a network, with parameters of its own. It is
 * one file and one line of techniques.def: what can be said of it (its keys), what it does when
 * it comes to a site (attach), and what it does there on every pass (the hooks). Families
 * call the sites (../model/priv.h) and know of no technique; a technique knows sites, and of no family.
 *
 * In a model stream meta.adapt lists what is attached, in order:
 *   {"type": "lora", "name": "lora", "sites": [GLOB, …], its keys…, "patterns": [[KEY, GLOB, NUMBER], …]}
 * `name` is unique in the list, and the parameters are SITE.NAME.PART: layer.3.attn.q.lora.a.
 */
#ifndef FT_ADAPT_PRIV_H
#define FT_ADAPT_PRIV_H

#include "../model/priv.h"
#include "ft/adapter.h"

/* ---- sites ---- */
enum site_kind {
	SITE_LINEAR = 1, /* y = x w^T + b, in the body: "layer.3.attn.q" */
	SITE_TABLE = 2,  /* the vectors of words: "embed.word" */
	SITE_BLOCK = 4,  /* what a block gives to the sum behind it: "layer.3.attn", "layer.3.ffn" */
	SITE_ATTENTION = 8, /* keys and values of a block: "layer.3.attn" */
};
struct site {
	enum site_kind kind;
	int layer;
	char *name; /* ours */
	char *file; /* the module in checkpoints: "bert.encoder.layer.3.attention.self.query"; of a block AdapterHub's */
	struct ft_param *weight, *bias; /* of a block and of attention NULL; the bias may be NULL */
};

/* ---- what is attached ---- */
struct technique;
/* One of meta.adapt. */
#define ADAPT_SHARED 3
struct adapter {
	const struct technique *kind;
	json_t *config;
	const char *name; /* in config */
	bool planned;     /* by the plan that is being made: it is not in a stream yet */
	struct ft_param *shared[ADAPT_SHARED]; /* parameters that are at none of its sites */
	void *state;      /* what else the technique keeps for all of them; forget() frees it */
};
/* It, at one site. */
#define ADAPT_PARTS 9
struct attached {
	const struct technique *kind;
	struct adapter *adapter;
	char *site;                 /* its name */
	struct ft_param *weight, *bias; /* of the base, at the site; the bias may be NULL */
	const struct ft_embed_options *embed; /* the model's: of a table */
	struct ft_param *part[ADAPT_PARTS]; /* its own, as the technique counts them */
	float scale, dropout;       /* as the technique uses them; so are: */
	unsigned options;
	ft_activation *activation;
	int64_t tokens;             /* that it puts before each row, and ... */
	int64_t first;              /* ... how many the others put there before them: set by adapt.c */
	int64_t keys;               /* that it puts before those of each row */
	void *state;                /* what else the technique keeps; release() frees it */
	struct attached *next;      /* what was at this site before it, the newest first */
};

#define ADAPT_MOST 64 /* techniques of one model */

/* ---- what can be said of a technique: "r=8,rslora,r:*.ffn.*=16" ---- */
enum adapt_key_kind {
	KEY_END = 0, KEY_INT, KEY_REAL, KEY_FLAG,
	KEY_NAME, /* one of struct adapt_names */
	KEY_TEXT, /* the last of what is said: commas are of it. It has no usual value */
};
struct adapt_key {
	const char *name;
	enum adapt_key_kind kind;
	double absent, least, most;
	bool by_site; /* KEY:GLOB=VALUE is for the sites of a glob */
};
/* The names that a key may be, which has KEY_NAME, the usual one first; or which a number may be, too. Up to NULL. */
struct adapt_names {
	const char *key;
	const char *const *names;
};

/* The end of a block, on one pass. */
struct block {
	struct ft_model *m;
	const char *site;
	struct ft_tensor *x; /* what the block was given */
	bool norm;           /* a norm is behind the sum */
	bool whole;          /* a hook's: what it gives is the sum, and normed, already */
};
/* y + x, which both stay as they are, and its norm where there is one. */
struct ft_tensor *block_sum(struct ft_graph *g, const struct block *b, struct ft_tensor *y);
struct ft_tensor *block_norm(struct ft_graph *g, const struct block *b, struct ft_tensor *sum);

struct technique {
	const char *name;
	const struct adapt_key *keys;
	const struct adapt_names *names; /* of some of these, up to a key of NULL; or NULL */
	const char *const *sites; /* globs of those it is for when none are given */
	unsigned kinds;           /* of sites that it can be at */
	bool everywhere;          /* at all sites of its kinds or at none */
	double rate;              /* what its learning rate is multiplied by when nothing is said, ... */
	double (*usual_rate)(const json_t *config); /* ... or NULL, where that depends on what else is said */
	/* Adds to what was said those keys that follow from it. NULL: none do. */
	int (*complete)(json_t *o);
	/* Declares what its sites share, of whose linear layers the largest sizes are [out, in]. NULL: nothing. */
	int (*share)(struct ft_model *m, struct adapter *r, int64_t out, int64_t in);
	void (*forget)(struct adapter *r); /* frees r->state; or NULL */
	/* Declares its parameters at a site, and sets a->scale and so on. */
	int (*attach)(struct ft_model *m, struct attached *a, const struct site *s);
	/* Gives its new parameters the values that they begin with when these are more than random: the base's
	 * are in memory or mapped. NULL: they are not. */
	int (*start)(const struct ft_model *m, const struct attached *a);
	void (*release)(struct attached *a); /* frees a->state; or NULL */
	/* At a linear site: what it and what is attached there already are given instead of x. NULL: x. */
	struct ft_tensor *(*input)(struct ft_graph *g, const struct attached *a, struct ft_tensor *x);
	/* At a linear site: y is the result so far, of x. At a table: y, of the batch's ids. NULL: nothing. */
	struct ft_tensor *(*linear)(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y);
	struct ft_tensor *(*table)(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
	                           struct ft_tensor *y);
	/* At a block: y is its result so far, behind dropout, and what comes back goes to the sum in its place. */
	struct ft_tensor *(*block)(struct ft_graph *g, const struct attached *a, struct block *b, struct ft_tensor *y);
	/* At attention: keys and values [a->keys, 2 * width of keys] for ft_prefix(). */
	struct ft_tensor *(*prefix)(struct ft_graph *g, const struct attached *a);
	/* Does to the weight and the bias, whose numbers are floats in memory, what it does on every pass. NULL: it cannot
	 * be. */
	int (*merge)(const struct attached *a);
	/* What PEFT holds of it at a site, beside that of others: its rows, with ld floats between them. NULL: it is
	 * something else. */
	int (*embeddings)(const struct attached *a, float *to, int64_t ld);
	/* What it is as a matrix of low rank: all members of *d but weight and module. NULL: it is something else. */
	int (*delta)(const struct attached *a, struct ft_delta *d);
	const char *beside; /* the format that it is exported in without the weights; NULL: peft */
};

/* A key's number at a site. */
double adapt_number(const struct attached *a, const char *key, const struct site *s);
bool adapt_flag(const struct attached *a, const char *key);
const char *adapt_name(const struct attached *a, const char *key); /* NULL: it is a number */
/* The batch with every technique's tokens before each row that has none behind it (a cache): their ids are negative,
 * -1 the first. b itself when there are none; NULL: the pass has failed. */
const struct ft_batch *extend_batch(struct ft_graph *g, const struct ft_batch *b, int64_t tokens);
/* Declares SITE.NAME.PART, [rows, cols], as a's part number i. `file` is its name in PEFT's
 * checkpoints, of a block's in AdapterHub's, behind the module's. */
int adapt_param(struct ft_model *m, struct attached *a, int i, const struct site *s, enum param_kind kind,
                const char *part, const char *file, int64_t rows, int64_t cols);
/* The same of one of its adapter's, at no site: embed.NAME.PART. */
int adapt_share(struct ft_model *m, struct adapter *r, int i, enum param_kind kind, const char *part, const char *file,
                int64_t rows, int64_t cols);
bool adapt_matches(const char *glob, const struct site *s);
/* What is attached at a site, the first of it; NULL: nothing. */
const struct attached *adapt_at(const struct ft_model *m, const char *site);
/* A parameter of a technique that no plan has added and no file has given; NULL: there is none. */
const struct ft_param *adapt_missing(const struct ft_model *m);
/* Whether something is attached at a site so far. */
bool adapt_taken(const struct ft_model *m, const char *site);

/* ---- config.c ---- */
/* The object of meta.adapt that a command line's "KEY=VALUE,…" means; new reference. */
json_t *adapt_parse(const struct technique *t, const char *text);
/* That an object that was read is such a one: FT_EFORMAT. */
int adapt_check(const struct technique *t, const json_t *config);
const struct technique *adapt_find(const char *name, size_t n); /* or NULL */
double adapt_rate(const struct adapter *a);

/* ---- sites.c ---- */
struct sites {
	struct site *at;
	size_t count, cap;
};
int sites_collect(struct ft_model *m, struct sites *s);
void sites_free(struct sites *s);

#define X(name, ...) extern const struct technique technique_##name;
#include "techniques.def"
#undef X

#endif
