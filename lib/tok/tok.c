/* tok.c - a tokenizer as its callers see it: open, encode, look up, describe. */
#include "ft/err.h"
#include "priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const char *const tok_role_names[TOK_ROLES] = { "pad", "unk", "cls", "sep", "mask", "bos", "eos" };

/* ---- what kinds work with, while no thread does ---- */

struct tok_pool {
	pthread_mutex_t lock;
	void **idle; /* [n] */
	size_t n, cap;
};

static struct tok_pool *pool_new(void)
{
	struct tok_pool *p = ft_alloc(1, sizeof *p);
	if (p)
		pthread_mutex_init(&p->lock, NULL);
	return p;
}

static void pool_free(struct tok_pool *p, const struct tok_kind *kind)
{
	if (!p)
		return;
	while (p->n)
		kind->work_free(p->idle[--p->n]);
	pthread_mutex_destroy(&p->lock);
	free(p->idle);
	free(p);
}

static void *take_work(const struct ft_tok *t)
{
	struct tok_pool *p = t->pool;
	pthread_mutex_lock(&p->lock);
	void *work = p->n ? p->idle[--p->n] : NULL;
	pthread_mutex_unlock(&p->lock);
	return work ? work : t->kind->work_new(t);
}

static void give_work(const struct ft_tok *t, void *work)
{
	struct tok_pool *p = t->pool;
	pthread_mutex_lock(&p->lock);
	bool kept = ft_grow(&p->idle, &p->cap, p->n + 1, sizeof *p->idle) == FT_OK;
	if (kept)
		p->idle[p->n++] = work;
	pthread_mutex_unlock(&p->lock);
	if (!kept)
		t->kind->work_free(work);
}

/* ---- opening ---- */

struct ft_tok *tok_open(const char *dir, const struct ft_buf *text, struct tok_kept *kept)
{
	struct ft_tok *t = ft_alloc(1, sizeof *t);
	if (t)
		t->kept = kept;
	if (t && ((t->pool = pool_new()) == NULL || tok_load(t, dir, text) < 0)) {
		ft_tok_free(t);
		t = NULL;
	}
	return t;
}

struct ft_tok *ft_tok_open(const char *dir)
{
	return tok_open(dir, NULL, NULL);
}

void ft_tok_free(struct ft_tok *t)
{
	if (!t)
		return;
	pool_free(t->pool, t->kind);
	if (t->kind)
		t->kind->unload(t);
	tok_vocab_free(&t->vocab);
	tok_added_free(t);
	free(t->single.steps);
	free(t->pair.steps);
	free(t->undecodable);
	tok_chain_free(&t->normalizers);
	tok_chain_free(&t->splitters);
	tok_chain_free(&t->decoders);
	free(t);
}

/* ---- encoding ---- */

int tok_text_reserve(struct ft_tok_text *x, size_t more)
{
	size_t need = x->n + more, cap = x->cap; /* tokens that are there, and some of a text below 4 GiB */
	if (need <= x->cap)
		return FT_OK;
	/* Four arrays grow together; `cap` counts only what all have. */
	int rc = ft_grow(&x->ids, &cap, need, sizeof *x->ids);
	if (rc == FT_OK)
		rc = ft_grow(&x->types, &(size_t){ x->cap }, need, sizeof *x->types);
	if (rc == FT_OK)
		rc = ft_grow(&x->begin, &(size_t){ x->cap }, need, sizeof *x->begin);
	if (rc == FT_OK)
		rc = ft_grow(&x->end, &(size_t){ x->cap }, need, sizeof *x->end);
	if (rc == FT_OK)
		x->cap = cap;
	return rc;
}

void ft_tok_text_free(struct ft_tok_text *x)
{
	free(x->ids);
	free(x->types);
	free(x->begin);
	free(x->end);
	tok_scratch_free(x->scratch);
	*x = (struct ft_tok_text){ 0 };
}

static int encode(const struct ft_tok *t, const char *text, size_t n, int type, const struct tok_guard *guard,
                  struct ft_tok_text *x)
{
	if (n > UINT32_MAX)
		return ft_fail(FT_EFORMAT, "a text of %zu bytes; texts must be smaller than 4 GiB", n);
	if (!x->scratch && !(x->scratch = ft_alloc(1, sizeof *x->scratch)))
		return FT_EFAIL;
	if (!n)
		return FT_OK;
	struct ft_tok_scratch *s = x->scratch;
	if (t->kind->work_new && !(s->work = take_work(t)))
		return FT_EFAIL;
	s->first = x->n;
	struct tok_walk w = { t, x, type, guard };
	struct tok_run whole = { .s = text, .n = n, .room = n };
	int rc = tok_added_split(&w, &whole);
	if (t->kind->work_new)
		give_work(t, s->work);
	return rc;
}

int ft_tok_encode(const struct ft_tok *t, const char *text, size_t n, int type, struct ft_tok_text *x)
{
	return encode(t, text, n, type, NULL, x);
}

int ft_tok_encode_guarded(const struct ft_tok *t, const char *text, size_t n, const struct ft_tok_range *strange,
                          size_t ranges, struct ft_tok_text *x)
{
	const struct tok_guard guard = { strange, ranges };
	return encode(t, text, n, 0, &guard, x);
}

/* ---- looking up ---- */

size_t ft_tok_size(const struct ft_tok *t)
{
	size_t above = t->nadded ? (size_t)t->added[t->nadded - 1].id + 1 : 0;
	return above > t->vocab.ids ? above : t->vocab.ids;
}

const char *ft_tok_piece(const struct ft_tok *t, int32_t id)
{
	const char *piece = tok_vocab_piece(&t->vocab, id);
	const struct tok_added *a = piece ? NULL : tok_added_find(t, id);
	return a ? a->content : piece;
}

int32_t ft_tok_id(const struct ft_tok *t, const char *piece)
{
	int32_t id = tok_vocab_id(&t->vocab, piece, strlen(piece));
	for (size_t i = 0; id < 0 && i < t->nadded; i++)
		if (strcmp(t->added[i].content, piece) == 0)
			id = t->added[i].id;
	return id;
}

bool ft_tok_is_special(const struct ft_tok *t, int32_t id)
{
	const struct tok_added *a = tok_added_find(t, id);
	return a && a->special;
}

json_t *ft_tok_describe(const struct ft_tok *t)
{
	json_t *d = json_pack("{s:s, s:s, s:I}", "digest", t->digest, "type", t->kind->name, "vocab",
	                      (json_int_t)ft_tok_size(t));
	json_t *special = json_array();
	bool ok = d && special;
	for (int i = 0; i < TOK_ROLES && ok; i++)
		ok = json_object_set_new(d, tok_role_names[i], t->role[i] < 0 ? json_null() : json_integer(t->role[i])) == 0;
	for (size_t i = 0; i < t->nadded && ok; i++)
		ok = !t->added[i].special || json_array_append_new(special, json_integer(t->added[i].id)) == 0;
	if (ok)
		ok = json_object_set(d, "special", special) == 0;
	json_decref(special);
	if (!ok) {
		json_decref(d);
		ft_fail(FT_EFAIL, "out of memory for a tokenizer's description");
		return NULL;
	}
	return d;
}
