/* put_tag.c - tags and entities of sentences as JSON. */
#include "ft/entity.h"
#include "ft/err.h"
#include "ft/metric.h"

#include <math.h>
#include <string.h>

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

/* ---- what a model says ---- */

struct said {           /* of the words of a sentence */
	int32_t *tag;   /* [n]: -1 without a token */
	float *score;   /* [n] */
	size_t *word;   /* [known]: the words that have a tag */
	int32_t *known_tag; /* [known] */
	struct ft_entity *entity;
	size_t known;
};

static int reserve(struct said *s, size_t n, struct ft_arena *a)
{
	s->tag = ft_arena_get(a, n * sizeof *s->tag);
	s->score = ft_arena_get(a, n * sizeof *s->score);
	s->word = ft_arena_get(a, n * sizeof *s->word);
	s->known_tag = ft_arena_get(a, n * sizeof *s->known_tag);
	s->entity = ft_arena_get(a, n * sizeof *s->entity);
	return s->tag && s->score && s->word && s->known_tag && s->entity ? FT_OK : FT_EFAIL;
}

/* The probability of the top label. */
static float score_of(const float *logits, size_t n, size_t top)
{
	double sum = 0.0;
	for (size_t k = 0; k < n; k++)
		sum += exp((double)logits[k] - (double)logits[top]);
	return (float)(1.0 / sum);
}

static void decide(struct said *s, const struct ft_tagged *in, size_t labels)
{
	size_t n = in->words->n;
	s->known = 0;
	for (size_t i = 0; i < n; i++)
		s->tag[i] = -1;
	for (size_t i = 0; i < in->tokens; i++) {
		int32_t word = in->number[i];
		if (word < 0 || (size_t)word >= n || s->tag[word] >= 0)
			continue;
		const float *logits = in->logits + i * labels;
		size_t top = ft_argmax(logits, labels);
		s->tag[word] = (int32_t)top;
		s->score[word] = score_of(logits, labels, top);
		s->word[s->known] = (size_t)word;
		s->known_tag[s->known++] = (int32_t)top;
	}
}

static int put_words(struct ft_buf *b, const struct ft_words *w)
{
	int rc = put(b, "\"words\":[");
	for (size_t i = 0; i < w->n && rc == FT_OK; i++) {
		rc = put(b, i ? "," : "");
		if (rc == FT_OK)
			rc = ft_put_string(b, w->word[i].p, w->word[i].n);
	}
	return rc == FT_OK ? put(b, "]") : rc;
}

static int put_tags(struct ft_buf *b, const struct said *s, size_t n, const json_t *names)
{
	int rc = put(b, ",\"tags\":[");
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		rc = put(b, i ? "," : "");
		if (rc == FT_OK)
			rc = s->tag[i] < 0 ? put(b, "null") : ft_put_label(b, names, (size_t)s->tag[i]);
	}
	if (rc == FT_OK)
		rc = put(b, "],\"scores\":[");
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		rc = put(b, i ? "," : "");
		if (rc == FT_OK)
			rc = s->tag[i] < 0 ? put(b, "null") : ft_put_float(b, s->score[i]);
	}
	return rc == FT_OK ? put(b, "]") : rc;
}

/* Words first..last with spaces between them, as one string. */
static int put_text(struct ft_buf *b, const struct ft_words *w, size_t first, size_t last)
{
	struct ft_buf text = { 0 };
	int rc = FT_OK;
	for (size_t i = first; i <= last && rc == FT_OK; i++) {
		rc = i > first ? put(&text, " ") : FT_OK;
		if (rc == FT_OK)
			rc = ft_buf_append(&text, w->word[i].p, w->word[i].n);
	}
	if (rc == FT_OK)
		rc = ft_put_string(b, (const char *)text.data, text.len);
	ft_buf_free(&text);
	return rc;
}

/* An entity whose words are numbered among those that have a tag. */
static int put_entity(struct ft_buf *b, const struct said *s, const struct ft_words *w, const struct ft_entity *e,
                      const json_t *types)
{
	size_t first = s->word[e->first], last = s->word[e->last];
	double sum = 0.0;
	for (size_t i = e->first; i <= e->last; i++)
		sum += (double)s->score[s->word[i]];
	int rc = put(b, "{\"type\":");
	if (rc == FT_OK)
		rc = ft_put_label(b, types, (size_t)e->type);
	if (rc == FT_OK)
		rc = ft_buf_printf(b, ",\"first\":%zu,\"last\":%zu,\"text\":", first, last);
	if (rc == FT_OK)
		rc = put_text(b, w, first, last);
	if (rc == FT_OK)
		rc = put(b, ",\"score\":");
	if (rc == FT_OK)
		rc = ft_put_float(b, (float)(sum / (double)(e->last - e->first + 1)));
	return rc == FT_OK ? put(b, "}") : rc;
}

int ft_put_tagged(struct ft_buf *b, const struct ft_tags *t, const struct ft_tagged *in, struct ft_arena *scratch)
{
	struct said s;
	int rc = reserve(&s, in->words->n, scratch);
	if (rc < 0)
		return rc;
	decide(&s, in, ft_tags_count(t));
	size_t entities = ft_tags_entities(t, s.known_tag, s.known, false, s.entity);
	rc = put_words(b, in->words);
	if (rc == FT_OK)
		rc = put_tags(b, &s, in->words->n, ft_tags_names(t));
	if (rc == FT_OK)
		rc = put(b, ",\"entities\":[");
	for (size_t i = 0; i < entities && rc == FT_OK; i++) {
		rc = put(b, i ? "," : "");
		if (rc == FT_OK)
			rc = put_entity(b, &s, in->words, &s.entity[i], ft_tags_types(t));
	}
	return rc == FT_OK ? put(b, "]") : rc;
}

/* ---- beside what is so ---- */

int64_t ft_put_tag_row(struct ft_buf *b, const json_t *names, const struct ft_batch *batch, size_t row,
                       const float *logits, size_t outputs)
{
	size_t begin = (size_t)batch->offsets[row], end = (size_t)batch->offsets[row + 1];
	int64_t labels = 0;
	int rc = FT_OK;
	for (int said = 0; said < 2 && rc == FT_OK; said++) {
		const char *comma = "";
		labels = 0;
		rc = put(b, said ? "],\"prediction\":[" : "\"label\":[");
		for (size_t i = begin; i < end && rc == FT_OK; i++) {
			const float *x = logits + (size_t)labels * outputs;
			labels += batch->labels[i] != FT_IGNORE;
			if (!ft_tag_counts(batch, begin, i))
				continue;
			rc = put(b, comma);
			comma = ",";
			if (rc == FT_OK)
				rc = ft_put_label(b, names, said ? ft_argmax(x, outputs) : (size_t)batch->labels[i]);
		}
	}
	if (rc == FT_OK)
		rc = put(b, "]");
	return rc < 0 ? rc : labels;
}
