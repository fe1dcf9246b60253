/* tokenizer.c - how fast text becomes token ids, on one thread.
 *
 *	tokenizer [-w] [-s SECONDS] MODEL FILE
 *
 * The file is in memory; each of its lines, or with -w all of it at once, is encoded as
 * ft-tokenize does it, with types and offsets. The best pass counts; the time of opening
 * the tokenizer stands beside it. One line of JSON on stdout. */
#include "clock.h"
#include "ft/err.h"
#include "ft/tok.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_file(const char *path, struct ft_buf *b)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return ft_fail_errno("%s", path);
	int rc = FT_OK;
	while (rc == FT_OK && !feof(f) && !ferror(f)) {
		rc = ft_buf_reserve(b, 1 << 20);
		if (rc == FT_OK)
			b->len += fread(b->data + b->len, 1, 1 << 20, f);
	}
	if (rc == FT_OK && ferror(f))
		rc = ft_fail_errno("%s", path);
	fclose(f);
	return rc;
}

/* One pass: the number of tokens of all lines, or an error. */
static int64_t encode_all(const struct ft_tok *t, const struct ft_buf *b, bool whole, struct ft_tok_text *x,
                          int64_t *lines)
{
	const char *p = (const char *)b->data, *end = p + b->len;
	int64_t tokens = 0;
	for (*lines = 0; p < end; (*lines)++) {
		const char *stop = whole ? NULL : memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);
		x->n = 0;
		int rc = ft_tok_encode(t, p, n, 0, x);
		if (rc < 0)
			return rc;
		tokens += (int64_t)x->n;
		p += n + 1;
	}
	return tokens;
}

static int run(const struct ft_tok *t, const struct ft_buf *b, bool whole, double seconds, double opening)
{
	struct ft_tok_text x = { 0 };
	double best = INFINITY, end = now() + seconds;
	int64_t tokens = 0, lines = 0;
	for (int i = 0; (i < 2 || now() < end) && tokens >= 0; i++) {
		double at = now();
		tokens = encode_all(t, b, whole, &x, &lines);
		best = fmin(best, now() - at);
	}
	ft_tok_text_free(&x);
	if (tokens < 0)
		return (int)tokens;
	printf("{\"what\":\"tokenizer\",\"by\":\"ft\",\"bytes\":%zu,\"lines\":%lld,\"tokens\":%lld,\"seconds\":%.5f,"
	       "\"mb_per_second\":%.3f,\"open\":%.5f}\n", b->len, (long long)lines, (long long)tokens, best,
	       1e-6 * (double)b->len / best, opening);
	return FT_OK;
}

int main(int argc, char **argv)
{
	double seconds = 2;
	bool whole = false;
	int c;
	while ((c = getopt(argc, argv, "ws:")) != -1) {
		if (c == '?')
			return 2;
		whole |= c == 'w';
		seconds = c == 's' ? atof(optarg) : seconds;
	}
	if (optind + 2 != argc) {
		fprintf(stderr, "usage: tokenizer [-w] [-s SECONDS] MODEL FILE\n");
		return 2;
	}
	struct ft_buf b = { 0 };
	double at = now();
	struct ft_tok *t = ft_tok_open(argv[optind]);
	double opening = now() - at;
	int rc = t ? read_file(argv[optind + 1], &b) : ft_last_error();
	rc = rc ? rc : run(t, &b, whole, seconds, opening);
	if (rc < 0)
		fprintf(stderr, "tokenizer: %s\n", ft_message());
	ft_buf_free(&b);
	ft_tok_free(t);
	return -rc;
}
