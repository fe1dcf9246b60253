/* vectors.c - one vector a text: which pooling makes it, as the folder of a model or
 * a plan says, and how. */
#include "ft/kernels.h"
#include "ft/tok.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what meta.head says: {pooling: [mode, …], normalize, max_length, prompt} ---- */
int vectors_read(struct ft_model *m)
{
	json_t *head = json_object_get(m->meta, "head"), *modes = json_object_get(head, "pooling"), *mode;
	size_t i;
	int err = FT_OK;
	m->pooling = (struct ft_pooling){ .with_prompt = true, .normalize = ft_json_bool(head, "normalize", false, &err),
	                                  .max_length = ft_json_int(head, "max_length", 0, &err) };
	const char *prompt = ft_json_str(head, "prompt", NULL, &err);
	if (err < 0)
		return err;
	m->pooling.prompt = (char *)(uintptr_t)prompt; /* in meta: never freed */
	if (m->pooling.max_length < 0)
		return ft_fail(FT_EFORMAT, "max_length: %lld", (long long)m->pooling.max_length);
	if (modes && (!json_is_array(modes) || !json_array_size(modes) || json_array_size(modes) > FT_POOLING_MODES))
		return ft_fail(FT_EFORMAT, "pooling: not a list of at most %d modes", FT_POOLING_MODES);
	json_array_foreach(modes, i, mode) {
		int v = ft_pooling_parse(json_is_string(mode) ? json_string_value(mode) : "");
		if (v < 0)
			return ft_fail(FT_EFORMAT, "pooling: mode %zu is not known", i);
		m->pooling.mode[m->pooling.modes++] = (enum ft_pooling_mode)v;
	}
	return FT_OK;
}

/* Texts in lower case need nothing of us when the tokenizer does it. */
static int check_case(const char *dir)
{
	struct ft_tok *t = ft_tok_open(dir);
	struct ft_tok_text upper = { 0 }, lower = { 0 };
	int rc = t ? FT_OK : ft_last_error();
	rc = rc ? rc : ft_tok_encode(t, "AÉ", strlen("AÉ"), 0, &upper);
	rc = rc ? rc : ft_tok_encode(t, "aé", strlen("aé"), 0, &lower);
	if (rc == FT_OK && (upper.n != lower.n || memcmp(upper.ids, lower.ids, upper.n * sizeof *upper.ids)))
		rc = ft_fail(FT_EFORMAT, "%s: do_lower_case is supported where the tokenizer does it; this one does not", dir);
	ft_tok_text_free(&upper);
	ft_tok_text_free(&lower);
	ft_tok_free(t);
	return rc;
}

static json_t *head_of_pooling(const struct ft_pooling *p)
{
	json_t *modes = json_array();
	int rc = 0;
	for (size_t i = 0; i < p->modes; i++)
		rc |= json_array_append_new(modes, json_string(ft_pooling_name(p->mode[i])));
	json_t *head = json_pack("{s:s, s:o, s:b}", "type", head_embed.name, "pooling", modes, "normalize",
	                         (int)p->normalize);
	if (p->max_length)
		rc |= json_object_set_new(head, "max_length", json_integer(p->max_length));
	if (p->prompt)
		rc |= json_object_set_new(head, "prompt", json_string(p->prompt));
	if (!rc && head)
		return head;
	json_decref(head);
	ft_fail(FT_EFAIL, "out of memory for a head");
	return NULL;
}

int vectors_of_folder(const char *dir, json_t **head)
{
	struct ft_pooling p;
	*head = NULL;
	int rc = ft_pooling_read(&p, dir);
	if (rc <= 0)
		return rc;
	rc = p.lower_case ? check_case(dir) : FT_OK;
	if (rc == FT_OK && p.prompt && !p.with_prompt)
		rc = ft_fail(FT_EFORMAT, "%s: include_prompt: a pooling without the tokens of the prompt is not supported",
		             dir);
	if (rc == FT_OK)
		rc = (*head = head_of_pooling(&p)) ? 1 : FT_EFAIL;
	ft_pooling_free(&p);
	return rc;
}

const struct ft_pooling *ft_model_pooling(const struct ft_model *m) { return &m->pooling; }

/* ---- making them ---- */

/* Weights of tokens, of the pass: 1 / sqrt(n), or i / (1 + 2 + … + n). */
static float *token_weights(struct ft_graph *g, const struct ft_batch *b, enum ft_pooling_mode mode)
{
	float *w = ft_graph_alloc(g, b->tokens * sizeof *w);
	for (size_t r = 0; w && r < b->rows; r++) {
		double n = b->offsets[r + 1] - b->offsets[r], i = 1;
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++, i++)
			w[t] = (float)(mode == FT_POOL_MEAN_SQRT ? 1 / sqrt(n) : 2 * i / (n * (n + 1)));
	}
	return w;
}

struct ft_tensor *last_tokens(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	(void)m;
	int32_t *index = ft_graph_alloc(g, b->rows * sizeof *index);
	for (size_t r = 0; index && r < b->rows; r++)
		index[r] = b->offsets[r + 1] - 1;
	return index ? at_place(ft_gather(g, x, index, (int64_t)b->rows), b->part ? &b->part->rows : NULL) : NULL;
}

static struct ft_tensor *pool_one(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x,
                                  enum ft_pooling_mode mode)
{
	switch (mode) {
	case FT_POOL_CLS: return ft_first(g, b, x);
	case FT_POOL_MAX: return ft_max(g, b, x);
	case FT_POOL_MEAN: return ft_mean(g, b, x);
	case FT_POOL_MEAN_SQRT:
	case FT_POOL_WEIGHTED_MEAN: {
		const float *w = token_weights(g, b, mode);
		return w ? ft_weighted_sum(g, b, x, w) : NULL;
	}
	default: break;
	}
	return last_tokens(NULL, g, b, x);
}

struct ft_tensor *vectors_make(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
                               const struct ft_pooling *p)
{
	struct ft_tensor *x = pool_one(g, b, hidden, p->mode[0]);
	for (size_t i = 1; i < p->modes; i++)
		x = ft_join(g, x, pool_one(g, b, hidden, p->mode[i]));
	return p->normalize ? ft_normalize(g, x, 1) : x;
}

/* The pooling that a name asks for; NULL: the model's own. */
static int find_pooling(const struct ft_model *m, const char *name, struct ft_pooling *p)
{
	int mode = name ? ft_pooling_parse(name) : -1;
	if (mode >= 0) {
		*p = (struct ft_pooling){ .mode = { (enum ft_pooling_mode)mode }, .modes = 1 };
		return FT_OK;
	}
	if (name && strcmp(name, "auto") != 0)
		return ft_fail(FT_EUSAGE,
		               "'%s' is not a pooling; cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, "
		               "pooler and auto are",
		               name);
	*p = m->pooling;
	return m->pooling.modes ? FT_OK
	                        : ft_fail(FT_EUSAGE, "%s does not say how vectors are made; name a pooling, such as mean",
	                                  m->name);
}

void ft_vectors_normalize(float *v, size_t rows, size_t cols)
{
	for (size_t r = 0; r < rows; r++) {
		float *row = v + r * cols;
		double norm = sqrt(ft_kernels()->sum_squares(row, cols));
		for (size_t c = 0; norm > 0 && c < cols; c++)
			row[c] = (float)(row[c] / norm);
	}
}

int ft_model_vectors(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const char *pooling,
                     bool normalize, const float **out, size_t *width)
{
	struct ft_pooling p;
	bool pooler = pooling && strcmp(pooling, "pooler") == 0;
	int rc = pooler ? FT_OK : find_pooling(m, pooling, &p);
	if (rc < 0)
		return rc;
	ft_graph_begin(g, FT_INFER, 0, 0);
	b = adapt_batch(m, g, b);
	struct ft_tensor *x = b ? m->family->encode(m, g, b) : NULL;
	if (x)
		x = pooler ? m->family->pool(m, g, b, x) : vectors_make(g, b, x, &p);
	if (x && normalize && (pooler || !p.normalize))
		x = ft_normalize(g, x, 1);
	if (!x)
		return ft_graph_error(g);
	*out = x->data;
	*width = (size_t)x->cols;
	return FT_OK;
}
