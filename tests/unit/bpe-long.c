/* Words of many blocks against byte-pair encoding as it is told: rank by rank, the pairs
 * of the whole word from left to right. Run from the repository's root. */
#include "ft/rng.h"
#include "ft/tok.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

#define FOLDER "tests/ref/tokenizers"

struct merge { int32_t left, right, both; };
static struct merge merges[500];
static size_t nmerges;

/* "a b", as the two tokenizers have their merges. */
static bool read_merges(const struct ft_tok *t, const char *path)
{
	json_t *root = json_load_file(path, 0, NULL), *value;
	size_t i;
	nmerges = 0;
	json_array_foreach(json_object_get(json_object_get(root, "model"), "merges"), i, value) {
		char left[200], both[500];
		const char *pair = json_string_value(value), *space = strchr(pair, ' ');
		if (nmerges == 500 || !space || strlen(pair) > 400)
			break;
		snprintf(left, sizeof left, "%.*s", (int)(space - pair), pair);
		snprintf(both, sizeof both, "%s%s", left, space + 1);
		merges[nmerges++] = (struct merge){ ft_tok_id(t, left), ft_tok_id(t, space + 1), ft_tok_id(t, both) };
	}
	json_decref(root);
	return nmerges > 10;
}

static size_t as_told(int32_t *id, size_t n)
{
	for (size_t r = 0; r < nmerges; r++) {
		size_t to = 0;
		for (size_t i = 0; i < n; i++) {
			bool pair = i + 1 < n && id[i] == merges[r].left && id[i + 1] == merges[r].right;
			id[to++] = pair ? merges[r].both : id[i];
			i += pair;
		}
		n = to;
	}
	return n;
}

static size_t repeat(char *out, const char *part, size_t bytes)
{
	for (size_t i = 0, len = strlen(part); i < bytes; i++)
		out[i] = part[i % len];
	return bytes;
}

/* By turns a part that repeats for two blocks or so, with another text behind it, and the
 * same part for longer: blocks are the same then, but for what is behind them. Where the
 * second block ends is a matter of the tokenizer: `length` goes over all such places. */
static size_t make_text(struct ft_rng *r, int turn, size_t length, char *out)
{
	static const char *const parts[] = { "aab", "ab", "aaaab", "a" };
	const char *part = parts[turn / 2 % 4];
	if (turn % 2)
		return repeat(out, part, 10300);
	size_t n = repeat(out, part, length);
	for (size_t end = n + 1100; n < end; n++)
		out[n] = "etaosrh"[ft_rng_below(r, 7)];
	return n;
}

static void compare(const char *folder, const char *first)
{
	static char text[11000];
	static int32_t id[11001];
	char path[100];
	struct ft_rng r;
	struct ft_tok_text x = { 0 };
	ft_rng_init(&r, 1, 1);
	struct ft_tok *t = ft_tok_open(folder);
	snprintf(path, sizeof path, "%s/tokenizer.json", folder);
	int wrong = !t || !read_merges(t, path);
	size_t step = nmerges > 50 ? 16 : 1;
	for (int i = 0; i / 8 * step < 140 && !wrong; i++) {
		size_t length = make_text(&r, i, 8060 + (size_t)(i / 8) * step, text), n = 0;
		if (first)
			id[n++] = ft_tok_id(t, first);
		for (size_t k = 0; k < length; k++)
			id[n++] = ft_tok_id(t, (char[]){ text[k], '\0' });
		n = as_told(id, n);
		x.n = 0;
		wrong = ft_tok_encode(t, text, length, 0, &x) < 0 || x.n != n || memcmp(x.ids, id, n * sizeof *id) != 0;
		if (wrong)
			printf("# text %d of %zu bytes: %zu tokens, wanted %zu\n", i, length, x.n, n);
	}
	ok(!wrong, "long words: %zu merges", nmerges);
	ft_tok_text_free(&x);
	ft_tok_free(t);
}

/* A tokenizer whose pieces repeat a part up to 64 times, twice as often each: what a block
 * ends with depends on how far the part goes on. */
static void powers(void)
{
	static const char *const parts[] = { "a", "ab", "aab" };
	char folder[] = "/tmp/ft-unit.XXXXXX", path[64], piece[400] = "";
	json_t *vocab = json_object(), *list = json_array();
	for (const char *letter = "abehorst"; *letter; letter++)
		json_object_set_new(vocab, (char[]){ *letter, '\0' }, json_integer((json_int_t)json_object_size(vocab)));
	const char *first[][2] = { { "a", "b" }, { "a", "ab" } };
	for (size_t i = 0; i < 2; i++) {
		snprintf(piece, sizeof piece, "%s%s", first[i][0], first[i][1]);
		json_object_set_new(vocab, piece, json_integer((json_int_t)json_object_size(vocab)));
		json_array_append_new(list, json_sprintf("%s %s", first[i][0], first[i][1]));
	}
	for (size_t i = 0; i < 3; i++) {
		char half[200];
		snprintf(half, sizeof half, "%s", parts[i]);
		for (int k = 0; k < 6; k++) {
			snprintf(piece, sizeof piece, "%s%s", half, half);
			json_object_set_new(vocab, piece, json_integer((json_int_t)json_object_size(vocab)));
			json_array_append_new(list, json_sprintf("%s %s", half, half));
			snprintf(half, sizeof half, "%.199s", piece);
		}
	}
	json_t *root = json_pack("{s:{s:s, s:o, s:o}}", "model", "type", "BPE", "vocab", vocab, "merges", list);
	bool made = mkdtemp(folder) != NULL;
	snprintf(path, sizeof path, "%s/tokenizer.json", folder);
	if (ok(made && json_dump_file(root, path, 0) == 0, "a tokenizer of powers"))
		compare(folder, NULL);
	json_decref(root);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	compare(FOLDER "/gpt2", NULL);
	compare(FOLDER "/llama2", "▁");
	powers();
	return tap_done();
}
