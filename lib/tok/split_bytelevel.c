/* split_bytelevel.c - ByteLevel: a space before the text, words by GPT-2's pattern,
 * and bytes as letters, unless the kind takes bytes as they are. */
#include "bytelevel.h"
#include "ft/err.h"
#include "scan.h"

struct bytelevel { bool prefix, words; };

bool tok_bytelevel_is_plain(const struct tok_stage *s)
{
	const struct bytelevel *p = s->state;
	return !p->prefix && !p->words;
}

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct bytelevel *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	p->prefix = ft_json_bool(v, "add_prefix_space", true, &err);
	p->words = ft_json_bool(v, "use_regex", true, &err);
	tok_classes_fill();
	return err;
}

/* A word to the next stage, spelled. */
static int spell(const struct tok_walk *w, size_t stage, const struct tok_run *word)
{
	struct tok_form *form = &w->x->scratch->split[stage][1];
	form->n = 0;
	int rc = tok_bytes_spell(word, form);
	struct tok_run spelled = tok_form_run(form);
	return rc == FT_OK ? tok_walk_on(w, stage + 1, &spelled) : rc;
}

static int split(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	const struct bytelevel *p = state;
	struct tok_run text = *in;
	int rc = FT_OK;
	if (p->prefix && *in->s != ' ') {
		struct tok_form *form = &w->x->scratch->split[stage][0];
		form->n = 0;
		rc = tok_form_prefix(form, in, " ", 1);
		if (rc == FT_OK)
			rc = tok_form_copy(form, in, 0, in->n);
		text = tok_form_run(form);
	}
	bool bytes = w->t->bytes && stage + 1 == w->t->splitters.n;
	if (rc == FT_OK && bytes)
		return p->words ? tok_scan_words(w, stage, tok_scan_gpt2, &text) : tok_walk_on(w, stage + 1, &text);
	for (size_t at = 0, end; at < text.n && rc == FT_OK; at = end) {
		end = p->words ? tok_scan_gpt2(text.s, text.n, at) : text.n;
		struct tok_run word = tok_run_part(&text, at, end);
		rc = spell(w, stage, &word);
	}
	return rc;
}

const struct tok_stage_kind tok_split_bytelevel = { "ByteLevel", load, NULL, .split = split };
