/* keep.c - splits and cross-validation folds by content.
 *
 * A data set often holds the same text twice. Were examples dealt out by their
 * position, one copy would be trained on and the other tested on; dealt out by
 * a hash of their ids they stay together, and adding examples to the file
 * moves none of the others. Of examples of several texts the first decides: all
 * pairs of one anchor stay together. Windows of one document are dealt out by the
 * document, so that a text is not trained on in part and tested on in part.
 */
#include "ft/digest.h"
#include "ft/batch.h"
#include "ft/err.h"
#include "ft/rng.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Splits and folds are independent of each other, so that they can be combined. */
enum { SPLIT = 0x5350, FOLD = 0x464f };

static uint64_t place(const struct ft_keep *k, uint64_t use, const struct ft_example *e)
{
	uint64_t seed = ft_mix(k->seed, use);
	size_t n = e->offsets ? (size_t)e->offsets[1] : e->n;

	return e->window ? ft_hash(&e->window->doc, sizeof e->window->doc, seed)
	                 : ft_hash(e->ids, n * sizeof *e->ids, seed);
}

int ft_keep_split(struct ft_keep *k, const char *text)
{
	const char *colon = strchr(text, ':');
	char *end;

	if (colon && colon - text == 5 && !memcmp(text, "train", 5))
		k->part = FT_KEEP_TRAIN;
	else if (colon && colon - text == 4 && !memcmp(text, "rest", 4))
		k->part = FT_KEEP_REST;
	else
		return ft_fail(FT_EUSAGE, "--split %s: expected train:FRACTION or rest:FRACTION", text);
	k->fraction = strtod(colon + 1, &end);
	if (end == colon + 1 || *end || !(k->fraction > 0 && k->fraction < 1))
		return ft_fail(FT_EUSAGE, "--split %s: the fraction must lie between 0 and 1", text);
	return 0;
}

int ft_keep_fold(struct ft_keep *k, const char *text, bool except)
{
	const char *name = except ? "--except-fold" : "--fold";
	char *end;

	errno = 0;
	k->except = except;
	k->fold = strtoll(text, &end, 10);
	if (end == text || *end != '/')
		return ft_fail(FT_EUSAGE, "%s %s: expected I/K, as in 1/5", name, text);
	text = end + 1;
	k->folds = strtoll(text, &end, 10);
	if (end == text || *end || errno || k->folds < 2 || k->folds > 1000000)
		return ft_fail(FT_EUSAGE, "%s: expected I/K with K from 2 to 1000000", name);
	if (k->fold < 1 || k->fold > k->folds)
		return ft_fail(FT_EUSAGE, "%s: there is no fold %lld of %lld; they count from 1", name,
		               (long long)k->fold, (long long)k->folds);
	return 0;
}

bool ft_keep_test(const struct ft_keep *k, const struct ft_example *e)
{
	if (k->part != FT_KEEP_ALL) {
		double at = (double)(place(k, SPLIT, e) >> 11) * 0x1p-53;

		if ((at < k->fraction) != (k->part == FT_KEEP_TRAIN))
			return false;
	}
	if (k->folds) {
		unsigned __int128 wide = (unsigned __int128)place(k, FOLD, e) * (uint64_t)k->folds;

		if (((int64_t)(wide >> 64) + 1 == k->fold) == k->except)
			return false;
	}
	return true;
}
