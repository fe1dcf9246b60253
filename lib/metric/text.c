/* text.c - metrics of generated texts beside reference texts.
 *
 * Of a row numbers are kept whose sums over rows make every metric: means of what
 * rouge_score and SQuAD's scorer say of one text; counts of n-grams and lengths for BLEU
 * and chrF, as sacrebleu keeps them. So a resample is a weighted sum.
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "priv.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLEU_ORDERS 4
#define CHRF_ORDERS 6
#define CHRF_BETA 2.0
_Static_assert(BLEU_ORDERS <= ORDERS && CHRF_ORDERS <= ORDERS, "room for the longest n-grams");

enum { ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_LSUM, ROUGES };
struct score { double precision, recall, f1; };

/* What is kept of a row; all doubles, so that rows can be summed. */
struct text_row {
	double exact, token_f1;
	struct score rouge[ROUGES];
	double bleu_length, bleu_reference; /* words */
	double bleu_match[BLEU_ORDERS], bleu_total[BLEU_ORDERS];
	double chrf_match[CHRF_ORDERS], chrf_total[CHRF_ORDERS], chrf_reference[CHRF_ORDERS];
};
#define NUMBERS (sizeof(struct text_row) / sizeof(double))

struct text_rows {
	struct text_row *row;
	uint64_t *digest;      /* of the references of each row */
	size_t row_cap, digest_cap;
	size_t least, most;    /* references of a row */
	/* scratch for a row */
	struct cutter cutter;
	struct sequences cut;  /* the prediction and its references */
	struct sequence *reference;
	size_t *line_end;      /* lines of the cutter up to the end of each text */
	size_t reference_cap, line_end_cap;
	struct ngrams ngrams;
	struct lcs lcs;
};

/* One row's texts. */
struct texts {
	struct ft_span prediction;
	const struct ft_span *reference;
	size_t references;
};

/* ---- one row ---- */

static int cut_one(struct text_rows *k, cut_text *cut, struct ft_span text)
{
	int rc = cut(&k->cutter, text);
	if (rc == FT_OK)
		rc = sequences_end(&k->cut);
	if (rc == FT_OK)
		k->line_end[k->cut.count - 1] = k->cutter.lines;
	return rc;
}

/* k->cut and k->reference: the texts as symbols. */
static int cut_all(struct text_rows *k, cut_text *cut, const struct texts *x)
{
	if (ft_grow(&k->line_end, &k->line_end_cap, x->references + 1, sizeof *k->line_end) < 0 ||
	    ft_grow(&k->reference, &k->reference_cap, x->references, sizeof *k->reference) < 0)
		return FT_EFAIL;
	cutter_clear(&k->cutter);
	k->cutter.out = &k->cut;
	k->cut.n = k->cut.count = 0;
	int rc = cut_one(k, cut, x->prediction);
	for (size_t i = 0; i < x->references && rc == FT_OK; i++)
		rc = cut_one(k, cut, x->reference[i]);
	for (size_t i = 0; i < x->references && rc == FT_OK; i++)
		k->reference[i] = sequences_get(&k->cut, i + 1);
	return rc;
}

static double f_measure(double precision, double recall)
{
	return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static struct score score_of(double match, size_t predicted, size_t actual)
{
	double p = match / (double)(predicted ? predicted : 1), r = match / (double)(actual ? actual : 1);
	return (struct score){ p, r, f_measure(p, r) };
}

/* With several references the best counts, separately for both. */
static int score_answer(struct text_rows *k, const struct texts *x, struct text_row *row)
{
	int rc = cut_all(k, cut_answer, x);
	for (size_t i = 0; i < x->references && rc == FT_OK; i++) {
		struct sequence a = sequences_get(&k->cut, 0), b = k->reference[i];
		double match;
		rc = ngrams_match(&k->ngrams, a, &b, 1, 1, &match);
		bool same = a.n == b.n && (a.n == 0 || memcmp(a.symbol, b.symbol, a.n * sizeof *a.symbol) == 0);
		double f1 = a.n && b.n ? score_of(match, a.n, b.n).f1 : same;
		row->exact = fmax(row->exact, same);
		row->token_f1 = fmax(row->token_f1, f1);
	}
	return rc;
}

static size_t grams(size_t n, size_t order)
{
	return n >= order ? n - order + 1 : 0;
}

/* Text i of the row in sentences. */
static struct sentences lines_of(const struct text_rows *k, size_t i, size_t *cut)
{
	size_t from = i ? k->line_end[i - 1] : 0, base = i ? k->cut.end[i - 1] : 0;
	struct sentences s = { sequences_get(&k->cut, i), cut, k->line_end[i] - from };
	for (size_t n = 0; n < s.cuts; n++)
		cut[n] = k->cutter.line[from + n] - base;
	return s;
}

static int score_lines(struct text_rows *k, size_t reference, struct score *out)
{
	size_t *cut = ft_alloc(k->cutter.lines + 1, 2 * sizeof *cut);
	if (!cut)
		return FT_EFAIL;
	struct sentences a = lines_of(k, 0, cut), b = lines_of(k, reference + 1, cut + k->cutter.lines);
	int64_t hits = lcs_union(&k->lcs, &b, &a, k->cutter.words.nodes);
	*out = score_of((double)hits, a.all.n, b.all.n);
	free(cut);
	return hits < 0 ? (int)hits : FT_OK;
}

/* With several references that of the highest F counts, for each kind. */
static int score_rouge(struct text_rows *k, const struct texts *x, struct text_row *row)
{
	int rc = cut_all(k, cut_rouge, x);
	for (size_t i = 0; i < x->references && rc == FT_OK; i++) {
		struct sequence a = sequences_get(&k->cut, 0), b = k->reference[i];
		struct score s[ROUGES];
		double match[2];
		rc = ngrams_match(&k->ngrams, a, &b, 1, 2, match);
		int64_t common = rc == FT_OK ? lcs_length(&k->lcs, b, a, k->cutter.words.nodes) : rc;
		rc = common < 0 ? (int)common : score_lines(k, i, &s[ROUGE_LSUM]);
		if (rc < 0)
			return rc;
		s[ROUGE_1] = score_of(match[0], a.n, b.n);
		s[ROUGE_2] = score_of(match[1], grams(a.n, 2), grams(b.n, 2));
		s[ROUGE_L] = score_of((double)common, a.n, b.n);
		for (size_t r = 0; r < ROUGES; r++)
			if (i == 0 || s[r].f1 > row->rouge[r].f1)
				row->rouge[r] = s[r];
	}
	return rc;
}

/* The length of the reference that is nearest, of two as near the shorter. */
static size_t nearest_length(const struct sequence *reference, size_t n, size_t length)
{
	size_t best = 0, least = SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		size_t at = reference[i].n, apart = at > length ? at - length : length - at;
		if (apart < least || (apart == least && at < best)) {
			least = apart;
			best = at;
		}
	}
	return best;
}

static int score_bleu(struct text_rows *k, const struct texts *x, struct text_row *row)
{
	int rc = cut_all(k, cut_13a, x);
	if (rc < 0)
		return rc;
	struct sequence a = sequences_get(&k->cut, 0);
	row->bleu_length = (double)a.n;
	row->bleu_reference = (double)nearest_length(k->reference, x->references, a.n);
	for (size_t n = 0; n < BLEU_ORDERS; n++)
		row->bleu_total[n] = (double)grams(a.n, n + 1);
	return ngrams_match(&k->ngrams, a, k->reference, x->references, BLEU_ORDERS, row->bleu_match);
}

static double chrf(const struct text_row *r);

/* With several references that of the highest F counts. */
static int score_chrf(struct text_rows *k, const struct texts *x, struct text_row *row)
{
	int rc = cut_all(k, cut_characters, x);
	double best = -1;
	for (size_t i = 0; i < x->references && rc == FT_OK; i++) {
		struct sequence a = sequences_get(&k->cut, 0), b = k->reference[i];
		struct text_row one = { 0 };
		rc = ngrams_match(&k->ngrams, a, &b, 1, CHRF_ORDERS, one.chrf_match);
		for (size_t n = 0; n < CHRF_ORDERS; n++) {
			one.chrf_reference[n] = (double)grams(b.n, n + 1);
			one.chrf_total[n] = one.chrf_reference[n] > 0 ? (double)grams(a.n, n + 1) : 0;
		}
		double f = chrf(&one);
		if (f <= best)
			continue;
		best = f;
		memcpy(row->chrf_match, one.chrf_match, sizeof row->chrf_match);
		memcpy(row->chrf_total, one.chrf_total, sizeof row->chrf_total);
		memcpy(row->chrf_reference, one.chrf_reference, sizeof row->chrf_reference);
	}
	return rc;
}

int ft_metric_add_text(struct ft_metric *t, struct ft_span prediction, const struct ft_span *reference,
                       size_t references)
{
	struct text_rows *k = t->text;
	struct texts x = { prediction, reference, references };
	struct text_row row = { 0 };
	uint64_t digest = references;
	for (size_t i = 0; i < references; i++)
		digest = ft_hash(reference[i].n ? reference[i].p : "", reference[i].n, digest);
	int rc = ft_grow(&k->row, &k->row_cap, t->rows + 1, sizeof *k->row);
	rc = rc ? rc : ft_grow(&k->digest, &k->digest_cap, t->rows + 1, sizeof *k->digest);
	rc = rc ? rc : score_answer(k, &x, &row);
	rc = rc ? rc : score_rouge(k, &x, &row);
	rc = rc ? rc : score_bleu(k, &x, &row);
	rc = rc ? rc : score_chrf(k, &x, &row);
	if (rc < 0)
		return rc;
	k->least = t->rows && k->least < references ? k->least : references;
	k->most = k->most > references ? k->most : references;
	k->digest[t->rows] = digest;
	k->row[t->rows++] = row;
	return FT_OK;
}

/* ---- values ---- */

static double brevity_penalty(const struct text_row *r)
{
	if (r->bleu_length >= r->bleu_reference)
		return 1;
	return r->bleu_length > 0 ? exp(1 - r->bleu_reference / r->bleu_length) : 0;
}

/* Precisions of n-grams. Of the orders that have no match the first counts as half a match,
 * the second as a quarter, and so on (smoothing "exp"). Returns how many orders there are
 * n-grams of. */
static size_t bleu_precisions(const struct text_row *r, double precision[BLEU_ORDERS])
{
	double smooth = 1;
	size_t n = 0;
	for (; n < BLEU_ORDERS && r->bleu_total[n] > 0; n++) {
		double match = r->bleu_match[n];
		if (match == 0) {
			smooth *= 2;
			match = 1 / smooth;
		}
		precision[n] = 100 * match / r->bleu_total[n];
	}
	return n;
}

/* Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002. */
static double bleu(const struct text_row *r)
{
	double precision[BLEU_ORDERS], logs = 0, any = 0;
	for (size_t n = 0; n < BLEU_ORDERS; n++)
		any += r->bleu_match[n];
	if (any == 0)
		return 0;
	size_t orders = bleu_precisions(r, precision);
	for (size_t n = 0; n < orders; n++)
		logs += log(precision[n]);
	return brevity_penalty(r) * exp(logs / (double)orders);
}

/* Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015. */
static double chrf(const struct text_row *r)
{
	double precision = 0, recall = 0, factor = CHRF_BETA * CHRF_BETA;
	size_t orders = 0;
	for (size_t n = 0; n < CHRF_ORDERS; n++) {
		if (!(r->chrf_total[n] > 0 && r->chrf_reference[n] > 0))
			continue;
		precision += r->chrf_match[n] / r->chrf_total[n];
		recall += r->chrf_match[n] / r->chrf_reference[n];
		orders++;
	}
	if (!(precision + recall > 0))
		return 0;
	precision /= (double)orders;
	recall /= (double)orders;
	return 100 * (1 + factor) * precision * recall / (factor * precision + recall);
}

static struct text_row sum_rows(const struct ft_metric *t, const uint32_t *weight, double *all)
{
	struct text_row sum = { 0 };
	double *to = (double *)&sum;
	*all = 0;
	for (size_t i = 0; i < t->rows; i++) {
		const double *from = (const double *)&t->text->row[i];
		double w = weight ? weight[i] : 1;
		if (w == 0)
			continue;
		*all += w;
		for (size_t n = 0; n < NUMBERS; n++)
			to[n] += w * from[n];
	}
	return sum;
}

/* The metrics of `all` rows from the sum of what is kept of them. */
static void derive(const struct text_row *sum, double all, double *v)
{
	static const int ids[ROUGES] = { METRIC_ROUGE1_PRECISION, METRIC_ROUGE2_PRECISION, METRIC_ROUGEL_PRECISION,
	                                 METRIC_ROUGELSUM_PRECISION };
	v[METRIC_EXACT_MATCH] = sum->exact / all;
	v[METRIC_TOKEN_F1] = sum->token_f1 / all;
	for (size_t r = 0; r < ROUGES; r++) { /* precision, recall and F1 are neighbours in metrics.def */
		v[ids[r]] = sum->rouge[r].precision / all;
		v[ids[r] + 1] = sum->rouge[r].recall / all;
		v[ids[r] + 2] = sum->rouge[r].f1 / all;
	}
	v[METRIC_BLEU] = bleu(sum);
	v[METRIC_CHRF] = chrf(sum);
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	double all;
	struct text_row sum = sum_rows(t, weight, &all);
	(void)memory;
	derive(&sum, all, v);
}

json_t *ft_metric_text_scores(const struct ft_metric *t)
{
	double v[METRIC_COUNT];
	json_t *scores = json_object();
	derive(&t->text->row[t->rows - 1], 1, v);
	if (!scores || metric_put(t, scores, v, false) < 0) {
		json_decref(scores);
		ft_fail(FT_EFAIL, "out of memory for the scores of a text");
		return NULL;
	}
	return scores;
}

/* How BLEU and chrF were computed, as sacrebleu signs them, and the parts of BLEU. */
static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	const struct text_rows *k = t->text;
	double all, precision[BLEU_ORDERS] = { 0 };
	struct text_row sum = sum_rows(t, NULL, &all);
	char references[24] = "var", signature[2][80];
	(void)labels;
	if (k->least == k->most)
		snprintf(references, sizeof references, "%zu", k->most);
	snprintf(signature[0], sizeof signature[0], "nrefs:%s|case:mixed|eff:yes|tok:13a|smooth:exp", references);
	snprintf(signature[1], sizeof signature[1], "nrefs:%s|case:mixed|eff:yes|nc:%d|nw:0|space:no", references,
	         CHRF_ORDERS);
	bleu_precisions(&sum, precision);
	json_t *parts = json_pack("{s:[f,f,f,f], s:f, s:I, s:I}", "precisions", precision[0], precision[1], precision[2],
	                          precision[3], "brevity_penalty", brevity_penalty(&sum), "words",
	                          (json_int_t)sum.bleu_length, "reference_words", (json_int_t)sum.bleu_reference);
	int rc = ft_json_set(result, "bleu_parts", parts);
	if (rc == FT_OK)
		rc = ft_json_set(result, "signatures", json_pack("{s:s, s:s}", "bleu", signature[0], "chrf", signature[1]));
	return rc < 0 ? rc : ft_json_set(result, "stem", json_boolean(k->cutter.stem));
}

bool text_same_rows(const struct ft_metric *a, const struct ft_metric *b)
{
	return memcmp(a->text->digest, b->text->digest, a->rows * sizeof *a->text->digest) == 0;
}

static size_t scratch(const struct ft_metric *t)
{
	(void)t;
	return 0;
}

static void release(struct ft_metric *t)
{
	struct text_rows *k = t->text;
	if (!k)
		return;
	cutter_free(&k->cutter);
	sequences_free(&k->cut);
	ngrams_free(&k->ngrams);
	lcs_free(&k->lcs);
	free(k->reference);
	free(k->line_end);
	free(k->row);
	free(k->digest);
	free(k);
}

static const struct metric_kind metric_text = {
	.scratch = scratch,
	.values = values,
	.detail = detail,
	.free = release,
};

struct ft_metric *ft_metric_new_texts(bool stem, int bootstrap, uint64_t seed)
{
	struct ft_metric *t = ft_alloc(1, sizeof *t);
	struct text_rows *k = ft_alloc(1, sizeof *k);
	if (!t || !k) {
		free(t);
		free(k);
		return NULL;
	}
	k->cutter.stem = stem;
	*t = (struct ft_metric){ .kind = &metric_text, .task = FT_TASK_NONE, .resamples = bootstrap, .seed = seed, .text = k };
	return t;
}
