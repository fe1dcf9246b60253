/* prompt.c - prompt tuning: before every row stand tokens that are no words, and whose vectors are learned (Lester et
 * al., "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021).
 *
 * They begin as the vectors of a text's tokens, or of words drawn from the vocabulary, which the paper found better
 * than random numbers. 20 tokens: beyond these the paper gained little. The rate is PEFT's of its examples, 3e-2
 * at width 768. */
#include "ft/mem.h"
#include "ft/rng.h"
#include "ft/tok.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

enum { VECTORS }; /* parts: [n, width] */

static const struct adapt_key keys[] = {
	{ "n", KEY_INT, 20, 1, 1 << 20, false },
	{ "text", KEY_TEXT, 0, 0, 0, false },
	{ 0 },
};
static const char *const sites[] = { "embed.word", NULL };

/* ---- which words it begins with: meta's "tokens" ---- */
static int add_token(json_t *tokens, int32_t id)
{
	return json_array_append_new(tokens, json_integer(id)) < 0 ? ft_fail(FT_EFAIL, "out of memory for a prompt")
	                                                           : FT_OK;
}

static int draw_tokens(const struct ft_model *m, const struct site *s, int64_t n, json_t *tokens)
{
	struct ft_rng r;
	ft_rng_init(&r, ft_mix((uint64_t)ft_json_int(m->meta, "seed", 0, NULL), name_hash("prompt")), 0);
	int rc = FT_OK;
	for (int64_t i = 0; rc == FT_OK && i < n; i++)
		rc = add_token(tokens, (int32_t)ft_rng_below(&r, (uint64_t)s->weight->t.rows));
	return rc;
}

/* The text's, with the special ones around it, as often as they fit in, as in PEFT. */
static int text_tokens(const struct ft_model *m, const char *text, int64_t n, json_t *tokens)
{
	struct ft_tok_text words = { 0 }, whole = { 0 };
	struct ft_tok *t = ft_model_tokenizer(m);
	int rc = t ? ft_tok_encode(t, text, strlen(text), 0, &words) : ft_last_error();
	rc = rc ? rc : ft_tok_wrap(t, &(struct ft_tok_slice){ &words, 0, words.n }, NULL, &whole);
	if (rc == FT_OK && !whole.n)
		rc = ft_fail(FT_EUSAGE, "prompt: text: has no token");
	for (int64_t i = 0; rc == FT_OK && i < n; i++)
		rc = add_token(tokens, whole.ids[(size_t)i % whole.n]);
	ft_tok_text_free(&words);
	ft_tok_text_free(&whole);
	ft_tok_free(t);
	return rc;
}

static int plan_tokens(const struct ft_model *m, const struct attached *a, const struct site *s)
{
	json_t *tokens = json_array();
	const char *text = json_string_value(json_object_get(a->adapter->config, "text"));
	int rc = ft_json_set(a->adapter->config, "tokens", tokens);
	if (rc < 0)
		return rc;
	return text ? text_tokens(m, text, a->tokens, tokens) : draw_tokens(m, s, a->tokens, tokens);
}

static int check_tokens(const struct attached *a, const struct site *s)
{
	const json_t *tokens = json_object_get(a->adapter->config, "tokens");
	size_t i;
	json_t *id;
	if (tokens && json_array_size(tokens) != (size_t)a->tokens)
		return ft_fail(FT_EFORMAT, "prompt: tokens: is no list of n, %lld", (long long)a->tokens);
	json_array_foreach(tokens, i, id)
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= s->weight->t.rows)
			return ft_fail(FT_EFORMAT, "prompt: tokens: number %zu is no id of the vocabulary", i);
	return FT_OK;
}

/* ---- the technique ---- */
static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	a->tokens = (int64_t)adapt_number(a, "n", s);
	int rc = a->adapter->planned ? plan_tokens(m, a, s) : check_tokens(a, s);
	return rc ? rc
	          : adapt_param(m, a, VECTORS, s, PARAM_TABLE, "vectors", "prompt_embeddings", a->tokens,
	                        s->weight->t.cols);
}

/* The vectors of the words, as the network sees them. */
static int start(const struct ft_model *m, const struct attached *a)
{
	const json_t *tokens = json_object_get(a->adapter->config, "tokens");
	struct ft_tensor *v = &a->part[VECTORS]->t;
	size_t i;
	json_t *id;
	json_array_foreach(tokens, i, id) {
		float *x = v->data + (int64_t)i * v->cols;
		ft_tensor_floats(&a->weight->t, json_integer_value(id), 1, x);
		for (int64_t c = 0; m->shape.embed.scale > 0 && c < v->cols; c++)
			x[c] *= m->shape.embed.scale;
	}
	return FT_OK;
}

/* y of its tokens, which are no words, is what their places and types say. */
static struct ft_tensor *table(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
                               struct ft_tensor *y)
{
	int32_t *index = ft_graph_alloc(g, b->tokens * sizeof *index);
	if (!index)
		return NULL;
	for (size_t t = 0; t < b->tokens; t++) {
		int64_t i = -1 - (int64_t)b->ids[t] - a->first;
		index[t] = b->ids[t] < 0 && i >= 0 && i < a->tokens ? (int32_t)i : -1;
	}
	return ft_add_rows(g, y, &a->part[VECTORS]->t, index);
}

static int embeddings(const struct attached *a, float *to, int64_t ld)
{
	const struct ft_tensor *v = &a->part[VECTORS]->t;
	for (int64_t i = 0; i < v->rows; i++)
		ft_tensor_floats(v, i, 1, to + i * ld);
	return FT_OK;
}

const struct technique technique_prompt = {
	.name = "prompt",
	.keys = keys,
	.sites = sites,
	.kinds = SITE_TABLE,
	.rate = 600,
	.attach = attach,
	.start = start,
	.table = table,
	.embeddings = embeddings,
};
