/* added.c - tokens that are looked for in the text itself, before any word is
 * cut: [SEP], [MASK] and what a user has added.
 *
 * Those that are not normalised are searched in the raw text, the others, in
 * normal form, in the normalised text between. The search takes the leftmost
 * match and of those the longest, and goes on behind it, even when the match is
 * then refused because it had to be a word of its own.
 */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- loading ---- */

const struct tok_added *tok_added_find(const struct ft_tok *t, int32_t id)
{
	size_t low = 0, high = t->nadded;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->added[mid].id == id)
			return &t->added[mid];
		if (t->added[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	const struct tok_added *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static int append(struct ft_tok *t, const struct tok_added *a, const char *content)
{
	int rc = ft_grow(&t->added, &t->added_cap, t->nadded + 1, sizeof *t->added);
	if (rc < 0)
		return rc;
	t->added[t->nadded] = *a;
	t->added[t->nadded].content = ft_strdup(content);
	return t->added[t->nadded].content ? (t->nadded++, FT_OK) : FT_EFAIL;
}

/* One element of added_tokens. `next` is the id of the next token that the
 * model's vocabulary does not have. */
static int load_one(struct ft_tok *t, const json_t *v, int64_t *next)
{
	int err = FT_OK;
	struct tok_added a = { 0 };
	const char *content = ft_json_str(v, "content", NULL, &err);
	int64_t id = ft_json_int(v, "id", -1, &err);
	a.special = ft_json_bool(v, "special", false, &err);
	a.single_word = ft_json_bool(v, "single_word", false, &err);
	a.lstrip = ft_json_bool(v, "lstrip", false, &err);
	a.rstrip = ft_json_bool(v, "rstrip", false, &err);
	a.normalized = ft_json_bool(v, "normalized", !a.special, &err);
	if (err < 0)
		return err;
	size_t n = content ? json_string_length(json_object_get(v, "content")) : 0;
	if (!n || strlen(content) != n)
		return ft_fail(FT_EFORMAT, "content must be a string that is not empty and holds no NUL");
	a.id = tok_vocab_id(&t->vocab, content, n);
	if (a.id < 0) /* no file is so large that these go beyond INT32_MAX */
		a.id = (int32_t)(*next)++;
	/* The reference gives the id it expects and only warns. */
	if (a.id != id)
		return ft_fail(FT_EFORMAT, "'%s' has id %lld where %d is expected", content, (long long)id, a.id);
	const char *piece = tok_vocab_piece(&t->vocab, a.id); /* possible where the model's ids have holes */
	if (piece && strcmp(piece, content) != 0)
		return ft_fail(FT_EFORMAT, "'%s' has id %d, which is that of '%s'", content, a.id, piece);
	return append(t, &a, content);
}

int tok_added_load(struct ft_tok *t, const json_t *list, const char *where)
{
	if (!json_is_array(list))
		return list ? ft_fail(FT_EFORMAT, "%s: added_tokens must be an array", where) : FT_OK;
	int64_t next = (int64_t)t->vocab.count;
	for (size_t i = 0; i < json_array_size(list); i++) {
		int rc = load_one(t, json_array_get(list, i), &next);
		if (rc < 0)
			return ft_context(rc, "%s: added_tokens[%zu]", where, i);
	}
	return FT_OK;
}

static int add_content(struct tok_matcher *m, const char *s, size_t n, size_t index)
{
	if (!n) /* a token of which the normal form leaves nothing matches nowhere */
		return FT_OK;
	m->first[(unsigned char)*s] = true;
	return tok_vocab_add(&m->contents, s, n, (int64_t)index);
}

static int finish_matcher(struct tok_matcher *m)
{
	m->only = -1;
	for (int c = 0, many = 0; c < 256; c++)
		if (m->first[c])
			m->only = many++ ? -1 : c;
	return m->contents.count ? tok_vocab_build(&m->contents, true, "added_tokens") : FT_OK;
}

/* Adds token i to the matcher it belongs to. */
static int finish_one(struct ft_tok *t, size_t i, struct ft_tok_scratch *s)
{
	struct tok_added *a = &t->added[i];
	if (i && a[-1].id == a->id)
		return ft_fail(FT_EFORMAT, "added_tokens: '%s' stands twice", a->content);
	if (!a->normalized)
		return add_content(&t->raw, a->content, strlen(a->content), i);
	struct tok_run content = { .s = a->content, .n = strlen(a->content) }, normal;
	int rc = tok_normalize(t, &content, s, &normal);
	if (rc < 0)
		return rc;
	a->normal = ft_strndup(normal.n ? normal.s : "", normal.n);
	return a->normal ? add_content(&t->normalized, a->normal, normal.n, i) : FT_EFAIL;
}

int tok_added_finish(struct ft_tok *t)
{
	struct ft_tok_text x = { .scratch = ft_alloc(1, sizeof *x.scratch) };
	int rc = x.scratch ? FT_OK : FT_EFAIL;
	if (t->nadded)
		qsort(t->added, t->nadded, sizeof *t->added, compare_ids);
	for (size_t i = 0; i < t->nadded && rc == FT_OK; i++)
		rc = finish_one(t, i, x.scratch);
	ft_tok_text_free(&x);
	if (rc == FT_OK)
		rc = finish_matcher(&t->raw);
	return rc == FT_OK ? finish_matcher(&t->normalized) : rc;
}

void tok_added_free(struct ft_tok *t)
{
	for (size_t i = 0; i < t->nadded; i++) {
		free(t->added[i].content);
		free(t->added[i].normal);
	}
	free(t->added);
	tok_vocab_free(&t->raw.contents);
	tok_vocab_free(&t->normalized.contents);
}

/* ---- searching ---- */

static size_t next_candidate(const struct tok_matcher *m, const char *s, size_t n, size_t i)
{
	if (i >= n)
		return n;
	if (m->only >= 0) {
		const char *p = memchr(s + i, m->only, n - i);
		return p ? (size_t)(p - s) : n;
	}
	while (i < n && !m->first[(unsigned char)s[i]])
		i++;
	return i;
}

static bool is_guarded(const struct tok_walk *w, const struct tok_run *in, size_t from, size_t to)
{
	struct tok_span at = w->guard ? tok_run_span(in, from, to) : (struct tok_span){ 0 };
	return tok_guards(w->guard, at.begin, at.end);
}

/* The longest token that begins at i and may stand there: its index, or -1. */
static int32_t match_at(const struct tok_walk *w, const struct tok_run *in, const struct tok_matcher *m, size_t i,
                        size_t *len)
{
	int32_t index;
	for (size_t most = in->n - i;; most = *len - 1) {
		index = tok_vocab_longest(&m->contents, m->contents.seed, "", 0, in->s + i, most, len);
		if (index < 0 || !w->t->added[index].special || !is_guarded(w, in, i, i + *len))
			return index;
	}
}

/* The leftmost-longest match from *start on: the token's index, or -1. */
static int32_t next_match(const struct tok_walk *w, const struct tok_run *in, const struct tok_matcher *m,
                          size_t *start, size_t *end)
{
	const char *s = in->s;
	size_t len, n = in->n;
	for (size_t i = next_candidate(m, s, n, *start); i < n; i = next_candidate(m, s, n, i + 1)) {
		int32_t index = match_at(w, in, m, i, &len);
		if (index >= 0) {
			*start = i;
			*end = i + len;
			return index;
		}
	}
	return -1;
}

/* The character that ends at s + i, i > 0; and where it begins. */
static int32_t char_before(const char *s, size_t i, size_t *begin)
{
	size_t at = i - 1;
	while (at > 0 && i - at < 4 && ((unsigned char)s[at] & 0xc0) == 0x80)
		at--;
	int32_t c;
	if (ft_utf8_get(s + at, i - at, &c, NULL) != i - at) {
		at = i - 1;
		c = 0xFFFD;
	}
	*begin = at;
	return c;
}

static bool stands_alone(const char *s, size_t n, size_t start, size_t end)
{
	int32_t c;
	size_t begin;
	if (start > 0 && tok_is_word(char_before(s, start, &begin)))
		return false;
	return end == n || (ft_utf8_get(s + end, n - end, &c, NULL), !tok_is_word(c));
}

size_t tok_skip_white_back(const struct ft_tok *t, const char *s, size_t i)
{
	size_t begin;
	while (i > 0 && tok_flags(t, char_before(s, i, &begin)) & TOK_WHITE)
		i = begin;
	return i;
}

size_t tok_skip_white(const struct ft_tok *t, const char *s, size_t n, size_t i)
{
	int32_t c;
	for (size_t len; i < n; i += len) {
		len = ft_utf8_get(s + i, n - i, &c, NULL);
		if (!(tok_flags(t, c) & TOK_WHITE))
			break;
	}
	return i;
}

int tok_emit_trimmed(const struct ft_tok *t, struct ft_tok_text *x, int32_t id, int type, const struct tok_run *r,
                     size_t from, size_t to, struct tok_trim trim)
{
	struct tok_span at = tok_run_span(r, from, to);
	/* A space before all else may have been added: the reference leaves it alone. */
	bool first = at.begin == 0 || x->n == x->scratch->first, kept = t->trim_prefix && first && trim.single;
	size_t begin = kept ? from : trim.from;
	if (begin < trim.to) /* what is all space ends before it begins */
		return tok_emit_part(x, id, type, r, begin, trim.to);
	return tok_emit(x, id, type, kept ? at.begin : at.end, kept ? at.begin : at.end);
}

/* What the caller does with the text between matches, and with a match. */
struct sink {
	const struct tok_walk *w;
	const struct tok_run *in;
	int (*gap)(const struct tok_walk *w, const struct tok_run *part);
};

static int hit(const struct sink *k, int32_t id, size_t from, size_t to)
{
	const struct ft_tok *t = k->w->t;
	if (t->trim) {
		struct tok_trim trim = { .from = tok_skip_white(t, k->in->s, to, from) };
		trim.to = tok_skip_white_back(t, k->in->s, to);
		trim.single = trim.from == from + 1;
		return tok_emit_trimmed(t, k->w->x, id, k->w->type, k->in, from, to, trim);
	}
	return tok_emit_part(k->w->x, id, k->w->type, k->in, from, to);
}

static int gap(const struct sink *k, size_t from, size_t to)
{
	struct tok_run part = tok_run_part(k->in, from, to);
	return k->gap(k->w, &part);
}

static int search(const struct sink *k, const struct tok_matcher *m)
{
	const struct ft_tok *t = k->w->t;
	const char *s = k->in->s;
	size_t done = 0, start = 0, end = 0, n = k->in->n;
	int rc = FT_OK;
	int32_t index;
	while (rc == FT_OK && m->contents.count && (index = next_match(k->w, k->in, m, &start, &end)) >= 0) {
		const struct tok_added *a = &t->added[index];
		size_t from = start, to = end;
		start = end;
		if (a->single_word && !stands_alone(s, n, from, to))
			continue;
		if (a->lstrip) {
			from = tok_skip_white_back(t, s, from);
			from = from > done ? from : done;
		}
		if (a->rstrip)
			to = tok_skip_white(t, s, n, to);
		if (done < from)
			rc = gap(k, done, from);
		if (rc == FT_OK)
			rc = hit(k, a->id, from, to);
		done = to;
	}
	return rc == FT_OK && done < n ? gap(k, done, n) : rc;
}

static int split_normal(const struct tok_walk *w, const struct tok_run *part)
{
	size_t first = w->x->n;
	int rc = tok_walk_on(w, 0, part);
	return rc == FT_OK ? tok_guard_check(w, first) : rc;
}

static int split_raw(const struct tok_walk *w, const struct tok_run *part)
{
	size_t first = w->x->n;
	if (w->t->plain && !w->t->normalized.contents.count) {
		int done = tok_split_raw(w, part);
		return done == FT_OK ? tok_guard_check(w, first) : done;
	}
	struct tok_run normal;
	int rc = tok_normalize(w->t, part, w->x->scratch, &normal);
	struct sink inner = { w, &normal, split_normal };
	return rc == FT_OK ? search(&inner, &w->t->normalized) : rc;
}

int tok_added_split(const struct tok_walk *w, const struct tok_run *in)
{
	struct sink k = { w, in, split_raw };
	return search(&k, &w->t->raw);
}
