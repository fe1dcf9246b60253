/* The tables of tokenizers by themselves: vocabularies whose pieces crowd or have equal hashes, tries with many nodes,
 * and what is too large for either. */
#include "ft/err.h"
#include "lib/tok/priv.h"
#include "lib/tok/trie.h"
#include "tests/tap.h"
#include "tests/unit/tokens.h"

/* ---- vocabularies ---- */

static bool refused(int rc, const char *reason)
{
	return rc == FT_EFORMAT && strstr(ft_message(), reason);
}

/* None of these reads what it is told to be so large. */
static void check_limits(void)
{
	struct tok_vocab v = { 0 };
	struct tok_source src = { 0 };
	struct ft_tok_text x = { 0 };
	ok(refused(tok_vocab_add(&v, "ab", 2, -1), "piece 'ab': the id -1 is out of range"), "a negative id");
	ok(refused(tok_vocab_add(&v, "ab", 2, (int64_t)1 << 31), "piece 'ab': the id 2147483648 is out of range"), "an id beyond 31 bits");
	ok(refused(tok_vocab_add(&v, "ab", UINT32_MAX, 0), "the vocabulary is larger than 4 GiB"), "a piece of 4 GiB");
	is_int(tok_vocab_add(&v, "ab", 2, 0), FT_OK, "a piece");
	ok(refused(tok_vocab_add(&v, "ab", UINT32_MAX - 3, 1), "the vocabulary is larger than 4 GiB"), "another of nearly 4 GiB");
	is_int(tok_vocab_id(&v, "ab", 2), -1, "before it is built a vocabulary has no piece");
	is_int(tok_vocab_build(&v, false, "x"), FT_OK, "it is built");
	is_int(tok_vocab_id(&v, "ab", 2), 0, "then it has");
	size_t len = 9;
	is_int(tok_vocab_longest(&v, tok_hash(v.seed, "###", 3), "###", 3, "ab", 2, &len), -1, "no piece is as long as what leads");
	tok_vocab_free(&v);
	ok(refused(tok_source_merge(&src, "a", UINT32_MAX, "b", 1), "the merges are larger than 4 GiB"), "a left part of 4 GiB");
	ok(refused(tok_source_merge(&src, "a", 1, "b", UINT32_MAX), "the merges are larger than 4 GiB"), "a right part");
	ok(refused(tok_source_merge(&src, "a", UINT32_MAX - 5, "b", 5), "the merges are larger than 4 GiB"), "or both");
	tok_source_free(&src);
	struct ft_tok *t = ft_tok_open("tests/ref/wordpiece/uncased");
	ok(t && refused(ft_tok_encode(t, "a", (size_t)1 << 32, 0, &x), "a text of 4294967296 bytes; texts must be smaller than 4 GiB"),
	   "a text of 4 GiB");
	ft_tok_text_free(&x);
	ft_tok_free(t);
}

/* A thousand words that lie in the first part of the table with the first `seeds` of its. */
static int crowded(struct tok_vocab *v, int seeds)
{
	static const uint64_t seed[] = { 0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u, 0x082EFA98EC4E6C89u }; /* of vocab.c */
	char s[16];
	int n = 0;
	for (int i = 0; n < 1024; i++) {
		int len = snprintf(s, sizeof s, "w%d", i), crowds = 0;
		for (int k = 0; k < seeds; k++)
			crowds += tok_hash(seed[k], s, (size_t)len) >> (64 - 11) < 700;
		if (crowds == seeds)
			tok_vocab_add(v, s, (size_t)len, n++);
	}
	return tok_vocab_build(v, false, "x.json");
}

static void check_crowded(void)
{
	for (int seeds = 0; seeds < 4; seeds++) {
		struct tok_vocab v = { 0 };
		int rc = crowded(&v, seeds), good = 0;
		for (int32_t i = 0; i < 1024 && rc == FT_OK; i++)
			good += tok_vocab_id(&v, tok_vocab_piece(&v, i), strlen(tok_vocab_piece(&v, i))) == i;
		is_int(good, 1024, "pieces that crowd are put in another order");
		tok_vocab_free(&v);
	}
	struct tok_vocab v = { 0 };
	ok(refused(crowded(&v, 4), "x.json: the pieces are made to collide"), "or are refused");
	tok_vocab_free(&v);
}

#define SEED 0x243F6A8885A308D3u /* the first of vocab.c */

/* The first n - 1 bytes of piece k, of 65025. */
static uint64_t begin_piece(uint32_t k, size_t n, char *s)
{
	for (size_t j = 0; j + 3 < n; j++)
		s[j] = (char)(1 + (k + 1) * 2654435761u * (uint32_t)(j + 3) % 4294967291u % 255);
	s[n - 3] = (char)(1 + k / 255);
	s[n - 2] = (char)(1 + k % 255);
	return tok_hash(SEED, s, n - 1);
}

/* Two pieces of n bytes of which the lower halves of the hashes are equal, and the slots, in a table of sixteen: their
 * hashes differ in the lowest byte before the last one, which makes up for it. */
static bool find_equal(size_t n, char a[16], char b[16])
{
	enum { MANY = 1 << 18 };
	uint32_t *seen = ft_alloc(MANY, sizeof *seen); /* k + 1 of the piece that has this hash */
	bool found = false;
	for (uint32_t k = 0; seen && !found && k < 65025; k++) {
		uint64_t h = begin_piece(k, n, b);
		size_t at = ((uint32_t)h >> 8) % MANY;
		for (; seen[at] && !found; at = (at + 1) % MANY) {
			uint64_t other = begin_piece(seen[at] - 1, n, a);
			a[n - 1] = 'a';
			b[n - 1] = (char)('a' ^ (other & 0xff) ^ (h & 0xff));
			uint64_t x = tok_hash(SEED, a, n), y = tok_hash(SEED, b, n);
			found = (uint32_t)x == (uint32_t)y && x >> 60 == y >> 60 && b[n - 1];
		}
		seen[at] = k + 1;
	}
	free(seen);
	return found;
}

static void check_equal(void)
{
	static const size_t size[] = { 6, 12 }; /* compared four bytes at a time, and eight */
	for (size_t i = 0; i < 2; i++) {
		char a[16] = "", b[16] = "";
		size_t n = size[i];
		struct tok_vocab v = { 0 };
		bool found = find_equal(n, a, b);
		ok(found, "two pieces of %zu bytes with equal hashes", n);
		tok_vocab_add(&v, a, n, 0);
		tok_vocab_add(&v, b, n, 1);
		ok(tok_vocab_build(&v, false, "x") == FT_OK && tok_vocab_id(&v, a, n) == 0 && tok_vocab_id(&v, b, n) == 1, "are told apart");
		tok_vocab_free(&v);
		tok_vocab_add(&v, a, n, 0);
		tok_vocab_build(&v, false, "x");
		ok(tok_vocab_id(&v, b, n) == -1, "and one is not taken for the other");
		ok(tok_vocab_find(&v, tok_hash(v.seed, a, n), a, 2, a + 2, n - 2) == 0 &&
		   tok_vocab_find(&v, tok_hash(v.seed, b, n), b, 2, b + 2, n - 2) == -1, "nor in two parts");
		tok_vocab_free(&v);
	}
}

/* ---- tries ---- */

static int32_t look_up(const struct tok_trie *t, const char *s, size_t n)
{
	size_t len = 0;
	int32_t id = tok_trie_longest(t, s, n, &len);
	return len == n ? id : -1;
}

/* Many nodes with many children, more than one window of the builder's has room for. */
static void check_many(void)
{
	enum { KEYS = 20000, BYTES = 6 };
	static char text[KEYS][BYTES];
	struct tok_key *key = ft_alloc(KEYS, sizeof *key);
	struct tok_trie t = { 0 };
	uint64_t state = 88172645463325252u;
	for (int i = 0; i < KEYS; i++) {
		size_t n = 2 + (size_t)i % (BYTES - 1);
		for (size_t k = 0; k < n; k++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			text[i][k] = (char)(k < 2 ? 1 + (state >> 33) % 60 : 1 + (state >> 33) % 255);
		}
		key[i] = (struct tok_key){ text[i], (uint32_t)n, i };
	}
	is_int(tok_trie_build(&t, key, KEYS), FT_OK, "twenty thousand keys");
	ok(t.units > 4096 + 256, "more units than a window has: %zu", t.units);
	int wrong = 0;
	for (int i = 0; i < KEYS; i++) {
		int32_t got = look_up(&t, key[i].s, key[i].n); /* of equal keys the last */
		wrong += got < key[i].id || memcmp(text[got], key[i].s, key[i].n) != 0;
	}
	is_int(wrong, 0, "each is found");
	ok(look_up(&t, "\xff\xff", 2) == -1 && look_up(&t, "", 0) == -1, "and no other");
	tok_trie_free(&t);
	free(key);
}

/* A root with a child for each byte but one, and a node that takes the unit that is left. */
static void check_full(void)
{
	char text[255], pair[2] = "\1\1";
	struct tok_key key[256];
	struct tok_trie t = { 0 };
	for (int i = 0; i < 255; i++) {
		text[i] = (char)(i + 1);
		key[i] = (struct tok_key){ &text[i], 1, i };
	}
	key[255] = (struct tok_key){ pair, 2, 255 };
	is_int(tok_trie_build(&t, key, 256), FT_OK, "all bytes");
	int good = look_up(&t, pair, 2) == 255;
	for (int i = 0; i < 255; i++)
		good += look_up(&t, &text[i], 1) == i;
	is_int(good, 256, "each is found");
	is_int(look_up(&t, "\2\1", 2), -1, "and no other");
	tok_trie_free(&t);
}

/* Keys of the greatest length that have nothing in common but their first bytes. */
static void check_too_large(void)
{
	enum { KEYS = 8300 };
	char *text = ft_alloc(KEYS, TOK_KEY_MAX);
	struct tok_key *key = ft_alloc(KEYS, sizeof *key);
	struct tok_trie t = { 0 };
	for (uint32_t i = 0; i < KEYS; i++) {
		char *s = text + (size_t)i * TOK_KEY_MAX;
		memset(s, 'a', TOK_KEY_MAX);
		s[0] = (char)(1 + i % 128);
		s[1] = (char)(1 + i / 128);
		key[i] = (struct tok_key){ s, TOK_KEY_MAX, (int32_t)i };
	}
	ok(refused(tok_trie_build(&t, key, KEYS), "the vocabulary is too large: more than 8388608 nodes"), "more nodes than there can be");
	ok(!t.unit && !t.units, "leave nothing");
	free(text);
	free(key);
}

int main(void)
{
	check_limits();
	check_crowded();
	check_equal();
	check_many();
	check_full();
	check_too_large();
	return tap_done();
}
