/* rouge.c - longest common subsequences of words (Lin, "ROUGE: a package for automatic
 * evaluation of summaries", 2004), 64 columns of the table at a time.
 *
 * Along a row of the table of lengths a value is that of its left neighbour or one more,
 * so a bit a column is enough: 0 where it is one more (Crochemore et al., "A fast and
 * practical bit-vector algorithm for the longest common subsequence problem", IPL 2001).
 */
#include "ft/err.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define MOST_CELLS ((size_t)1 << 30) /* of the table: 128 MiB of bits */

static int check_size(size_t rows, size_t columns)
{
	if (rows == 0 || columns <= MOST_CELLS / rows)
		return FT_OK;
	return ft_fail(FT_EFORMAT, "texts of %zu and %zu words are too long to be compared", rows, columns);
}

static int reserve(struct lcs *l, size_t rows, size_t columns, int32_t words)
{
	size_t wide = (columns + 63) / 64, masks = l->mask_cap, firsts = l->first_cap;
	if (ft_grow(&l->row, &l->row_cap, rows * wide, sizeof *l->row) < 0 ||
	    ft_grow(&l->mask, &l->mask_cap, wide, sizeof *l->mask) < 0 ||
	    ft_grow(&l->first, &l->first_cap, (size_t)words + 1, sizeof *l->first) < 0 ||
	    ft_grow(&l->next, &l->next_cap, columns, sizeof *l->next) < 0)
		return FT_EFAIL;
	/* Whoever turns bits on turns them off again, and so with chains. */
	memset(l->mask + masks, 0, (l->mask_cap - masks) * sizeof *l->mask);
	memset(l->first + firsts, -1, (l->first_cap - firsts) * sizeof *l->first);
	return FT_OK;
}

/* Chains of the places of each word in b. */
static void index_words(struct lcs *l, struct sequence b)
{
	for (size_t j = b.n; j-- > 0;) {
		l->next[j] = l->first[b.symbol[j]];
		l->first[b.symbol[j]] = (int32_t)j;
	}
}

static void forget_words(struct lcs *l, struct sequence b)
{
	for (size_t j = 0; j < b.n; j++)
		l->first[b.symbol[j]] = -1;
}

/* The bits of the places of a word in b are set, or cleared. */
static void turn(struct lcs *l, int32_t word)
{
	for (int32_t j = l->first[word]; j >= 0; j = l->next[j])
		l->mask[j / 64] ^= 1ull << (j % 64);
}

/* to = the row below `from`, whose word stands where the mask says. */
static void next_row(uint64_t *to, const uint64_t *from, const uint64_t *mask, size_t wide)
{
	unsigned char carry = 0;
	for (size_t k = 0; k < wide; k++) {
		uint64_t v = from ? from[k] : ~0ull, hit = v & mask[k], sum;
		bool over = __builtin_add_overflow(v, hit, &sum);
		over |= __builtin_add_overflow(sum, carry, &sum);
		carry = over;
		to[k] = sum | (v & ~mask[k]);
	}
}

/* Zeros among the first `columns` bits: the value in the table. */
static size_t value(const uint64_t *row, size_t columns)
{
	size_t ones = 0;
	for (size_t k = 0; k < columns / 64; k++)
		ones += (size_t)__builtin_popcountll(row[k]);
	if (columns % 64)
		ones += (size_t)__builtin_popcountll(row[columns / 64] & ((1ull << columns % 64) - 1));
	return columns - ones;
}

/* The rows of the table of a and b. With `all` every one is kept, else they replace one
 * another. */
static void fill(struct lcs *l, struct sequence a, struct sequence b, bool all)
{
	size_t wide = (b.n + 63) / 64;
	const uint64_t *above = NULL;
	index_words(l, b);
	for (size_t i = 0; i < a.n; i++) {
		uint64_t *row = l->row + (all ? i * wide : 0);
		turn(l, a.symbol[i]);
		next_row(row, above, l->mask, wide);
		turn(l, a.symbol[i]);
		above = row;
	}
	forget_words(l, b);
}

int64_t lcs_length(struct lcs *l, struct sequence a, struct sequence b, int32_t words)
{
	if (a.n == 0 || b.n == 0)
		return 0;
	int rc = check_size(a.n, b.n);
	if (rc == FT_OK)
		rc = reserve(l, 1, b.n, words);
	if (rc < 0)
		return rc;
	fill(l, a, b, false);
	return (int64_t)value(l->row, b.n);
}

/* Marks in hit[] the words of `a` in the longest common subsequence that rouge_score takes
 * where there are several: from the end, a word of b is passed over only when the table
 * says that passing over one of a would lose. */
static int mark_common(struct lcs *l, struct sequence a, struct sequence b, int32_t words, bool *hit)
{
	size_t i = a.n, j = b.n, wide = (b.n + 63) / 64;
	int rc = a.n && b.n ? reserve(l, a.n, b.n, words) : FT_OK;
	if (rc < 0 || !a.n || !b.n)
		return rc;
	fill(l, a, b, true);
	size_t now = value(l->row + (i - 1) * wide, j);
	while (now > 0) { /* then there is no more to find */
		const uint64_t *row = l->row + (i - 1) * wide;
		bool same_left = row[(j - 1) / 64] >> ((j - 1) % 64) & 1;
		if (a.symbol[i - 1] == b.symbol[j - 1]) {
			hit[--i] = true;
			j--;
			now--;
		} else if (same_left && (i == 1 || value(row - wide, j) < now)) {
			j--;
		} else {
			i--;
		}
	}
	return FT_OK;
}

/* left[k][word]: how often each text has it. */
static int count_words(struct lcs *l, int k, struct sequence s, int32_t words)
{
	if (ft_grow(&l->left[k], &l->left_cap[k], (size_t)words + 1, sizeof *l->left[k]) < 0)
		return FT_EFAIL;
	memset(l->left[k], 0, ((size_t)words + 1) * sizeof *l->left[k]);
	for (size_t i = 0; i < s.n; i++)
		l->left[k][s.symbol[i]]++;
	return FT_OK;
}

static struct sequence sentence(const struct sentences *s, size_t i)
{
	size_t from = i ? s->cut[i - 1] : 0, to = i < s->cuts ? s->cut[i] : s->all.n;
	return (struct sequence){ to > from ? s->all.symbol + from : NULL, to - from };
}

int64_t lcs_union(struct lcs *l, const struct sentences *reference, const struct sentences *prediction, int32_t words)
{
	int64_t hits = 0;
	int rc = check_size(reference->all.n, prediction->all.n);
	if (rc == FT_OK)
		rc = count_words(l, 0, reference->all, words);
	if (rc == FT_OK)
		rc = count_words(l, 1, prediction->all, words);
	for (size_t i = 0; i <= reference->cuts && rc == FT_OK; i++) {
		struct sequence a = sentence(reference, i);
		if (ft_grow(&l->hit, &l->hit_cap, a.n + 1, sizeof *l->hit) < 0)
			return FT_EFAIL;
		memset(l->hit, 0, a.n * sizeof *l->hit);
		for (size_t k = 0; k <= prediction->cuts && rc == FT_OK; k++)
			rc = mark_common(l, a, sentence(prediction, k), words, l->hit);
		for (size_t k = 0; k < a.n && rc == FT_OK; k++) {
			int32_t word = a.symbol[k];
			if (!l->hit[k] || l->left[0][word] <= 0 || l->left[1][word] <= 0)
				continue;
			l->left[0][word]--;
			l->left[1][word]--;
			hits++;
		}
	}
	return rc < 0 ? rc : hits;
}

void lcs_free(struct lcs *l)
{
	free(l->row);
	free(l->mask);
	free(l->first);
	free(l->next);
	free(l->hit);
	free(l->left[0]);
	free(l->left[1]);
	*l = (struct lcs){ 0 };
}
