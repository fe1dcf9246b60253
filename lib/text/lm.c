/* lm.c - what a causal language model reads and learns of a row.
 *
 * The row's tokens, with special tokens around them, are one line of n tokens, of which
 * all but the first can be predicted. Windows of that line are laid so that each
 * prediction is made once:
 *
 *	window 0   places 0 .. max - 1             labels are tokens 1 .. max
 *	window k   places k step .. k step + max - 1, of which the first `stride` only are
 *	           context; step is max - stride
 *
 * A line of max + 1 tokens is not too long: its last token is only predicted.
 *
 * A prompt and its completion are tokenised together, as the model has seen text, when
 * that leaves the prompt's own tokens as they are, and else apart. So the tokens of
 * a prompt are always those that ft-predict starts from, and where the two can stand
 * together a tokenizer that puts a space before each text puts none between them. A question and its
 * choice are always tokenised together, as lm-evaluation-harness does it, and the choice has all tokens
 * behind as many as the question has alone.
 */
#include "encode.h"
#include "ft/err.h"

#include <string.h>

int ft_learn_parse(const char *name)
{
	static const char *const names[] = { "replies", "last", "all" };
	for (int i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

/* ---- encoding ---- */

int lm_stretch(struct chunk *c, struct item *it, struct stretch s)
{
	int rc = ft_grow(&c->stretch, &c->stretch_cap, c->nstretch + 1, sizeof *c->stretch);
	if (rc < 0)
		return rc;
	c->stretch[c->nstretch++] = s;
	it->stretches++;
	return FT_OK;
}

static bool begins_with(const struct ft_tok_text *x, size_t from, const struct ft_tok_text *with)
{
	return x->n - from >= with->n && (!with->n || memcmp(x->ids + from, with->ids, with->n * sizeof *with->ids) == 0);
}

/* Sets *prompt to how many tokens the prompt has. */
static int encode_completion(const struct ft_tok *t, const struct item *it, struct chunk *c, size_t *prompt)
{
	const char *p = it->text.p;
	c->pair.n = 0;
	int rc = ft_tok_encode(t, p, it->prompt, 0, &c->pair);
	*prompt = c->pair.n;
	if (rc == FT_OK)
		rc = ft_tok_encode(t, p, it->text.n, 0, &c->text);
	if (rc < 0 || it->choice.count || begins_with(&c->text, it->from, &c->pair))
		return rc;
	c->text.n = it->from;
	rc = ft_tok_encode(t, p, it->prompt, 0, &c->text);
	size_t completion = c->text.n;
	if (rc == FT_OK)
		rc = ft_tok_encode(t, p + it->prompt, it->text.n - it->prompt, 0, &c->text);
	for (size_t i = completion; i < c->text.n; i++)
		c->text.begin[i] += (uint32_t)it->prompt;
	return rc;
}

static int check_choice(const struct ft_encode_options *o, const struct item *it, size_t prompt)
{
	if (prompt >= it->n)
		return ft_fail(FT_EFORMAT, "choice %lld has no token of its own", (long long)it->choice.index);
	if (!prompt && !o->edges.nbefore)
		return ft_fail(FT_EFORMAT,
		               "nothing stands before the choices, so their first tokens have no probability; --wrap bos "
		               "says what does");
	return FT_OK;
}

static int encode_text(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	size_t prompt = 0;
	if (it->completes && !it->choice.count && o->edges.endless)
		return ft_fail(FT_EUSAGE,
		               "a completion should end with the end of text, and the tokenizer names none; --wrap says "
		               "what stands around texts");
	int rc = it->completes ? encode_completion(o->tok, it, c, &prompt)
	                       : ft_tok_encode(o->tok, it->text.p, it->text.n, 0, &c->text);
	if (rc < 0)
		return rc;
	size_t written = ft_edges_written(&o->edges, c->text.ids + it->from, c->text.n - it->from);
	it->from += written;
	it->n = c->text.n - it->from;
	prompt -= prompt < written ? prompt : written;
	if (it->choice.count && (rc = check_choice(o, it, prompt)) < 0)
		return rc;
	bool part = it->completes && (o->learn != FT_LEARN_ALL || it->side || it->judged);
	struct stretch s = { .from = part ? prompt : 0, .to = it->n, .end = it->text.n };
	it->pair_from = prompt;
	if (part)
		s.base = s.begin = it->said_from;
	else if (!o->edges.nbefore && it->n) /* nothing predicts the first token */
		s.begin = it->n > 1 ? c->text.begin[it->from + 1] : it->text.n;
	else if (written)
		s.base = s.begin = it->n ? c->text.begin[it->from] : it->text.n;
	return lm_stretch(c, it, s);
}

int lm_encode(const struct ft_encode_options *o, struct item *it, struct chunk *c)
{
	it->from = c->text.n;
	it->stretch = c->nstretch;
	return it->messages ? dialogue_encode(o, it, c) : encode_text(o, it, c);
}

/* ---- examples of two rows, and rows of several examples ---- */

/* A row counts once, however many of its texts something is true of. */
static void count_once(struct ft_encoder *x)
{
	int64_t *now[] = { &x->n.truncated, &x->n.dropped, &x->n.empty,
	                   &x->n.invalid_utf8, &x->n.unsupervised, &x->n.shortened };
	const int64_t before[] = { x->before.truncated, x->before.dropped, x->before.empty, x->before.invalid_utf8,
	                           x->before.unsupervised, x->before.shortened };
	for (size_t i = 0; i < sizeof now / sizeof *now; i++)
		if (*now[i] > before[i] + 1)
			*now[i] = before[i] + 1;
}

/* The text of a side: the example is written with the second, when there was a first. */
static int pair_put(struct ft_encoder *x, const struct item *it, const struct ft_example *e)
{
	struct ft_batch b;
	struct ft_example text = *e;
	text.size = NULL;
	if (it->side == REJECTED && !ft_pack_examples(x->texts))
		return FT_OK;
	int rc = ft_pack_add(x->texts, &text);
	if (rc < 0 || it->side == CHOSEN || (rc = ft_pack_batch(x->texts, &b)) < 0)
		return rc;
	struct ft_example both = { .ids = b.ids, .n = b.tokens, .offsets = b.offsets, .texts = b.rows, .labels = b.labels,
	                           .nlabels = b.nlabels };
	return example_put(x, it, &both);
}

/* ---- windows ---- */

struct line {              /* a row with what stands around it */
	const int32_t *ids;    /* [n] */
	size_t n, before;      /* tokens; special ones before the text */
	const uint32_t *begin; /* [tokens]: of its text */
	size_t tokens;
	struct ft_span text;
	const struct stretch *stretch; /* [stretches] */
	size_t stretches;
	size_t at;             /* the first that later windows may learn of */
};

/* Where a stretch is in the line. Nothing predicts the first token; those behind the text go with its last. */
static size_t stretch_from(const struct line *l, const struct stretch *s)
{
	size_t from = l->before + s->from;
	return from ? from : 1;
}

static size_t stretch_to(const struct line *l, const struct stretch *s)
{
	return s->to == l->tokens ? l->n : l->before + s->to;
}

/* Where in the text the token at i of the line begins, within the stretch; none before that is asked for. */
static size_t begin_of(const struct line *l, const struct stretch *s, size_t i)
{
	size_t at = i - l->before < l->tokens ? l->begin[i - l->before] : l->text.n;
	return at < s->begin ? s->begin : at > s->end ? s->end : at;
}

static void add_size(struct ft_size *sum, const struct line *l, const struct stretch *s, size_t from, size_t to)
{
	struct ft_span text = { l->text.p + s->base, s->end - s->base };
	size_t begin = from == stretch_from(l, s) ? s->begin : begin_of(l, s, from);
	size_t end = to == stretch_to(l, s) ? s->end : begin_of(l, s, to);
	if (end <= begin) /* tokens that are a part of a character, or no text */
		return;
	struct ft_size more = ft_text_size(text, begin - s->base, end - s->base);
	sum->bytes += more.bytes;
	sum->characters += more.characters;
	sum->words += more.words;
}

/* Labels of the places before the tokens first .. last - 1 of the line; the first place is `from`. */
static size_t make_labels(struct line *l, size_t from, size_t first, size_t last, int32_t *label, struct ft_size *size)
{
	size_t learnt = 0;
	for (size_t i = l->at; i < l->stretches && stretch_from(l, &l->stretch[i]) < last; i++) {
		const struct stretch *s = &l->stretch[i];
		size_t a = stretch_from(l, s) > first ? stretch_from(l, s) : first;
		size_t b = stretch_to(l, s) < last ? stretch_to(l, s) : last;
		for (size_t j = a; j < b; j++)
			label[j - 1 - from] = l->ids[j];
		if (a < b) {
			add_size(size, l, s, a, b);
			learnt += b - a;
		}
		l->at += stretch_to(l, s) <= last;
	}
	return learnt;
}

/* Writes the window that begins at `from` when something is learnt there; returns how much, or <0. */
static int64_t write_window(struct ft_encoder *x, const struct item *it, struct line *l, size_t from,
                            const struct ft_window *w)
{
	size_t n = l->n - from < x->o.limit.max ? l->n - from : x->o.limit.max;
	size_t first = from + (w->index ? x->o.limit.stride : 0) + 1, last = from + n + 1 < l->n ? from + n + 1 : l->n;
	struct ft_size size = { 0 };
	int rc = ft_grow(&x->label, &x->label_cap, n, sizeof *x->label);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		x->label[i] = FT_IGNORE;
	size_t learnt = make_labels(l, from, first, last, x->label, &size);
	if (!learnt)
		return 0;
	struct ft_example e = { .ids = l->ids + from, .n = n, .labels = x->label, .nlabels = n,
	                        .window = it->choice.count ? &it->choice : w->count > 1 ? w : NULL, .size = &size,
	                        .targets = it->judged ? &it->good : NULL, .ntargets = it->judged };
	rc = it->side ? pair_put(x, it, &e) : example_put(x, it, &e);
	return rc < 0 ? rc : (int64_t)learnt;
}

/* How many windows, and what is counted of rows that are too long; <0. */
static int64_t count_windows(struct ft_encoder *x, const struct line *l)
{
	const struct ft_tok_limit *o = &x->o.limit;
	if (l->n <= o->max + 1)
		return 1;
	if (o->policy == FT_TOK_ERROR)
		return ft_fail(FT_EFORMAT, "has %zu tokens, and %zu are allowed", l->n, o->max);
	x->n.truncated += o->policy == FT_TOK_TRUNCATE;
	x->n.dropped += o->policy == FT_TOK_DROP || o->policy == FT_TOK_TURNS;
	x->n.split += o->policy == FT_TOK_SPLIT;
	if (o->policy != FT_TOK_SPLIT)
		return o->policy == FT_TOK_TRUNCATE;
	size_t step = o->max - o->stride;
	return 1 + (int64_t)((l->n - 1 - o->max + step - 1) / step);
}

static int write_windows(struct ft_encoder *x, const struct item *it, struct line *l)
{
	struct ft_window w = { .count = count_windows(x, l) };
	int64_t learnt = 0, more = 0;
	if (w.count <= 0)
		return (int)w.count;
	if (w.count > 1)
		w.doc = ft_window_doc(l->ids, l->n, NULL, 0);
	for (; w.index < w.count && more >= 0; w.index++, learnt += more)
		more = write_window(x, it, l, (size_t)w.index * (x->o.limit.max - x->o.limit.stride), &w);
	if (more < 0)
		return (int)more;
	x->n.supervised += learnt;
	x->n.unsupervised += learnt == 0;
	return FT_OK;
}

/* ---- rows ---- */

/* How many tokens the beginning of a prompt loses, so that the completion has room. */
static size_t choose_skip(const struct ft_encoder *x, const struct item *it, size_t around)
{
	size_t n = it->n + around, max = x->o.limit.max + 1;
	if (!it->completes || x->o.limit.policy != FT_TOK_TRUNCATE || n <= max)
		return 0;
	return n - max < it->pair_from ? n - max : it->pair_from;
}

/* What is learnt of a text without its first tokens. */
static struct stretch skip_tokens(struct stretch s, size_t skip, const struct line *l)
{
	s.to -= skip;
	if (s.from >= skip) {
		s.from -= skip;
	} else {
		s.from = 0;
		s.begin = begin_of(l, &s, stretch_from(l, &s));
	}
	return s;
}

/* What stands around a row, but not around a conversation, whose template says it. A choice has no end: it is compared
 * with others, which go on as little. */
static struct ft_edges edges_of(const struct ft_encoder *x, const struct item *it)
{
	struct ft_edges e = x->o.edges;
	if (it->messages)
		e.nbefore = e.nafter = 0;
	else if (it->choice.count)
		e.nafter = 0;
	else if (it->completes && !e.nafter && e.end >= 0)
		e.after[e.nafter++] = e.end;
	return e;
}

int lm_write(struct ft_encoder *x, const struct item *it, const struct chunk *c)
{
	bool first = it->side == CHOSEN || (it->choice.count && it->choice.index == 0);
	if (first) {
		ft_pack_clear(x->texts);
		x->before = x->n;
	}
	const struct ft_edges e = edges_of(x, it);
	size_t skip = choose_skip(x, it, e.nbefore + e.nafter), n = it->n - skip;
	int rc = ft_grow(&x->ids, &x->ids_cap, e.nbefore + n + e.nafter + 1, sizeof *x->ids);
	if (rc < 0)
		return rc;
	memcpy(x->ids, e.before, e.nbefore * sizeof *x->ids);
	if (n)
		memcpy(x->ids + e.nbefore, c->text.ids + it->from + skip, n * sizeof *x->ids);
	memcpy(x->ids + e.nbefore + n, e.after, e.nafter * sizeof *x->ids);
	struct line l = { .ids = x->ids, .n = e.nbefore + n + e.nafter, .before = e.nbefore, .tokens = n, .text = it->text,
	                  .begin = n ? c->text.begin + it->from + skip : NULL,
	                  .stretch = it->stretches ? c->stretch + it->stretch : NULL, .stretches = it->stretches };
	struct stretch rest;
	if (it->choice.count && x->o.limit.policy == FT_TOK_TRUNCATE && l.n > x->o.limit.max + 1)
		return ft_fail(FT_EFORMAT, "choice %lld alone has more than %zu tokens", (long long)it->choice.index,
		               x->o.limit.max);
	if (it->messages)
		l.text = (struct ft_span){ (const char *)c->said.data + it->said, it->said_n };
	if (skip) { /* of a completion, which has its stretch */
		rest = skip_tokens(*l.stretch, skip, &l);
		l.stretch = &rest;
	}
	x->n.invalid_utf8 += it->invalid > 0;
	x->n.empty += it->n == 0;
	x->n.shortened += it->shortened;
	x->n.truncated += skip > 0 && l.n <= x->o.limit.max + 1;
	rc = write_windows(x, it, &l);
	if (it->side == REJECTED || it->choice.count)
		count_once(x);
	return rc;
}
