/* core.c - the small parts everything stands on: messages, checked sizes,
 * buffers, arenas, random numbers, JSON, digests, files that appear whole. */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/file.h"
#include "ft/json.h"
#include "ft/mem.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Allocations beyond all memory are tried: under a sanitizer too they return NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

/* ---- err.h ---- */
static void *fail_elsewhere(void *unused)
{
	ft_fail(FT_EUSAGE, "another thread's");
	return unused;
}

static void check_messages(void)
{
	is_int(ft_fail(FT_EFORMAT, "a.tsv:%d: %s", 3, "odd"), FT_EFORMAT, "ft_fail returns its code");
	is_str(ft_message(), "a.tsv:3: odd", "and keeps the message");
	is_int(ft_last_error(), FT_EFORMAT, "and the code");
	is_int(ft_context(FT_EMATCH, "record %d", 7), FT_EMATCH, "ft_context returns what it is given");
	is_str(ft_message(), "record 7: a.tsv:3: odd", "and puts a place before");
	errno = ENOSPC;
	is_int(ft_fail_errno("out %s", "file"), FT_EFAIL, "ft_fail_errno");
	is_str(ft_message(), "out file: No space left on device", "says why");
	pthread_t t;
	pthread_create(&t, NULL, fail_elsewhere, NULL);
	pthread_join(t, NULL);
	is_str(ft_message(), "out file: No space left on device", "each thread has its own");
	ft_fail(FT_EFORMAT, "bad '%s'", "\033[31mred\n\a\x7f\xc3\xa9\r");
	is_str(ft_message(), "bad '\\x1b[31mred\\x0a\\x07\\x7f\xc3\xa9\\x0d'",
	       "control characters are shown, not sent");
	ft_fail(FT_EFORMAT, "%s", "a\xff\xc2\x9b" "31m\xed\xa0\x80\xe2\x82");
	is_str(ft_message(), "a\\xff\\xc2\\x9b31m\\xed\\xa0\\x80\\xe2\\x82", "and what is not UTF-8");
	char *text = malloc(10000);
	memset(text, '\n', 9999);
	text[9999] = '\0';
	ft_fail(FT_EFORMAT, "%s", text);
	ok(strlen(ft_message()) < 1024 && strspn(ft_message(), "\\x0a") == strlen(ft_message()), "long text is cut");
	memset(text, 'x', 9999);
	ft_fail(FT_EFORMAT, "a.json: '%s' is not there", text);
	ok(strlen(ft_message()) < 1024 && !strncmp(ft_message(), "a.json: 'xx", 11) && strstr(ft_message(), "xx' is not there"),
	   "in its middle, so that place and reason stay");
	for (int i = 0; i < 50; i++)
		ft_context(FT_EFORMAT, "%.100s", "a place with a name that is quite long, and then some more of it");
	ok(strlen(ft_message()) < 1024 && strncmp(ft_message(), "a place", 7) == 0, "also when places pile up");
	free(text);
#define X(name, status, meaning) ok(name == -(status), #name " is exit status %d", status);
	FT_ERRORS(X)
#undef X
}

/* ---- mem.h ---- */
static void check_memory(void)
{
	size_t n = 1;
	ok(ft_mul(3, 5, &n) && n == 15 && !ft_mul(SIZE_MAX / 2, 3, &n) && ft_mul(SIZE_MAX, 1, &n), "ft_mul");
	ok(ft_add(3, 5, &n) && n == 8 && !ft_add(SIZE_MAX, 1, &n) && ft_add(SIZE_MAX, 0, &n), "ft_add");
	ok(!ft_alloc(SIZE_MAX / 2, 3) && ft_last_error() == FT_EFAIL, "an allocation whose size does not fit");
	ok(!ft_alloc(SIZE_MAX / 4, 2) && ft_last_error() == FT_EFAIL, "one that nobody has");
	void *nothing = ft_alloc(0, 8);
	ok(nothing != NULL, "none of something is not NULL");
	free(nothing);
	int *list = NULL;
	size_t cap = 0;
	is_int(ft_grow(&list, &cap, 5, sizeof *list), 0, "a list grows");
	for (int i = 0; i < 5; i++)
		list[i] = i;
	is_int(ft_grow(&list, &cap, 5000, sizeof *list), 0, "and again");
	ok(cap >= 5000 && list[4] == 4, "and keeps what it holds");
	int *before = list;
	ok(ft_grow(&list, &cap, SIZE_MAX / 2, sizeof *list) == FT_EFAIL && list == before,
	   "beyond all memory it stays");
	free(list);
	struct ft_buf b = { 0 };
	for (int i = 0; i < 1000; i++)
		if (ft_buf_printf(&b, "%d,", i) < 0 || ft_buf_append(&b, "x", 0) < 0)
			break;
	ok(b.len == 3890 && memcmp(b.data + b.len - 4, "999,", 4) == 0, "a buffer grows");
	ok(ft_buf_reserve(&b, SIZE_MAX) == FT_EFAIL && b.len == 3890, "but not without end");
	ft_buf_free(&b);
	ok(!b.data && !b.len && !b.cap, "freed, it is empty");
	char *s = ft_strndup("abc", 2), *f = ft_format("%s-%d", s, 7);
	is_str(f, "ab-7", "ft_strndup and ft_format");
	free(s);
	free(f);
}

static void check_arena(void)
{
	struct ft_arena a = { 0 };
	int apart = 1, aligned = 1;
	for (int round = 0; round < 3; round++) {
		unsigned char *p[60];
		for (int i = 0; i < 60; i++) {
			size_t n = (size_t)i * (size_t)i * 37 % 9000 + (size_t)round * 100000 * (i == 30);
			p[i] = ft_arena_get(&a, n);
			aligned = aligned && p[i] && (uintptr_t)p[i] % 64 == 0;
			memset(p[i], i, n);
		}
		for (int i = 0; i < 60; i++) {
			size_t n = (size_t)i * (size_t)i * 37 % 9000 + (size_t)round * 100000 * (i == 30);
			for (size_t k = 0; k < n; k++)
				apart = apart && p[i][k] == i;
		}
		ft_arena_reset(&a);
		is_int((long long)a.used, 0, "nothing is in use after a reset");
	}
	ok(aligned, "memory of an arena is aligned");
	ok(apart, "and does not overlap, also after a reset with larger sizes");
	void *one = ft_arena_get(&a, 1000), *again;
	ft_arena_reset(&a);
	again = ft_arena_get(&a, 1000);
	ok(one == again, "a reset brings the same memory again");
	size_t peak = a.peak;
	ok(peak > 200000, "the peak stays (%zu)", peak);
	ok(!ft_arena_get(&a, SIZE_MAX) && !ft_arena_get(&a, SIZE_MAX - 100) && !ft_arena_get(&a, SIZE_MAX / 2),
	   "sizes beyond all memory");
	ok(ft_arena_get(&a, 10) != NULL, "do it no harm");
	ft_arena_free(&a);
	ok(!a.first && !a.used, "freed, it is empty");
}

/* ---- rng.h ---- */

/* The vectors of Random123's kat_vectors for philox4x32, 10 rounds. */
static void check_philox(void)
{
	static const uint32_t vectors[3][10] = {
		{ 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
		{ 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
		  0x6d5451fd },
		{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
		  0x24126ea1 },
	};
	for (int i = 0; i < 3; i++) {
		uint32_t out[4];
		ft_philox(out, vectors[i], vectors[i] + 4);
		ok(memcmp(out, vectors[i] + 6, sizeof out) == 0, "Philox4x32-10, vector %d", i);
	}
}

static void check_draws(void)
{
	enum { N = 40000 };
	struct ft_rng r, other;
	double sum = 0, squares = 0, fourth = 0;
	int counts[7] = { 0 }, equal = 0;
	ft_rng_init(&r, 1, 2);
	for (int i = 0; i < N; i++) {
		double x = ft_rng_normal(&r);
		sum += x;
		squares += x * x;
		fourth += x * x * x * x;
		counts[ft_rng_below(&r, 7)]++;
	}
	ok(fabs(sum / N) < 0.025 && fabs(squares / N - 1) < 0.04 && fabs(fourth / N - 3) < 0.3,
	   "normal: mean 0, deviation 1, kurtosis 3");
	int even = 1;
	for (int i = 0; i < 7; i++)
		even = even && abs(counts[i] - N / 7) < 5 * (int)sqrt(N / 7.0);
	ok(even, "below 7: all equally often");
	int within = 1;
	for (int i = 0; i < 1000; i++) {
		double u = ft_rng_uniform(&r);
		within = within && u >= 0 && u < 1 && ft_rng_below(&r, 1) == 0 && ft_rng_below(&r, UINT64_MAX) < UINT64_MAX;
	}
	ok(within, "uniform in [0, 1)");
	ft_rng_init(&r, 1, 2);
	ft_rng_init(&other, 1, 3);
	for (int i = 0; i < 100; i++)
		equal += ft_rng_u32(&r) == ft_rng_u32(&other);
	is_int(equal, 0, "streams of one seed differ");
	uint32_t a[100], b[100], seen = 0;
	for (uint32_t i = 0; i < 100; i++)
		a[i] = b[i] = i;
	ft_rng_init(&r, 5, 0);
	ft_rng_init(&other, 5, 0);
	ft_rng_shuffle(&r, a, 100);
	ft_rng_shuffle(&other, b, 100);
	for (int i = 0; i < 100; i++)
		seen += a[i];
	ok(memcmp(a, b, sizeof a) == 0 && seen == 4950 && (a[0] != 0 || a[1] != 1),
	   "a shuffle is a function of the seed");
	ft_rng_shuffle(&r, a, 0);
	ok(ft_mix(1, 2) != ft_mix(2, 1) && ft_mix(1, 2) == ft_mix(1, 2) && ft_mix(0, 0) != ft_mix(0, 1), "ft_mix");
}

/* ---- json.h ---- */
static int refuses(const char *text, size_t n)
{
	json_t *v = ft_json_parse("x.json", text, n);
	json_decref(v);
	return !v && ft_last_error() == FT_EFORMAT && strncmp(ft_message(), "x.json: ", 8) == 0;
}

static void check_json(void)
{
	char deep[5000];
	memset(deep, '[', sizeof deep);
	ok(refuses("{\"a\":1,\"a\":2}", 13), "a key twice");
	ok(refuses("\"\xff\"", 3), "not UTF-8");
	ok(refuses("{\"a\":1} x", 9), "something after the value");
	ok(refuses("", 0), "nothing");
	ok(refuses("[1e999]", 7), "a number out of range");
	ok(refuses("[NaN]", 5), "NaN");
	ok(refuses(deep, sizeof deep), "deep nesting");
	static const char good[] = "{\"n\":7,\"r\":0.1,\"b\":true,\"s\":\"t\",\"z\":null}";
	json_t *o = ft_json_parse("x.json", good, sizeof good - 1);
	int err = 0;
	ok(ft_json_int(o, "n", 0, &err) == 7 && ft_json_real(o, "r", 0, &err) == 0.1 && ft_json_real(o, "n", 0, &err) == 7 &&
	   ft_json_bool(o, "b", false, &err) && strcmp(ft_json_str(o, "s", NULL, &err), "t") == 0 && !err, "members");
	ok(ft_json_int(o, "z", 3, &err) == 3 && ft_json_str(o, "none", "d", &err)[0] == 'd' && !err,
	   "absent ones, and null");
	ok(ft_json_int(o, "r", 3, &err) == 3 && err == FT_EFORMAT && strstr(ft_message(), "r: must be a whole number"),
	   "of another type");
	ft_json_int(o, "n", 0, &err);
	is_int(err, FT_EFORMAT, "an error stays");
	ok(ft_json_int(NULL, "n", 4, NULL) == 4, "of nothing");
	json_object_set_new(o, "r", json_real(0.1f));
	char *text = ft_json_text(o);
	is_str(text, "{\"n\":7,\"r\":0.100000001,\"b\":true,\"s\":\"t\",\"z\":null}", "text of one line");
	free(text);
	json_decref(o);
	static const char huge[] = "{\"a\\\"9\":[1000000000000000019884624838656,-99999999999999999999, 9223372036854775807,"
	                           "0.12345678901234567890,1e3,\"x:1000000000000000019884624838656,\"]}";
	o = ft_json_parse("x.json", huge, sizeof huge - 1);
	const json_t *a = json_object_get(o, "a\"9");
	ok(json_real_value(json_array_get(a, 0)) == 1e30 && json_real_value(json_array_get(a, 1)) == -1e20 &&
	   json_integer_value(json_array_get(a, 2)) == INT64_MAX && json_real_value(json_array_get(a, 3)) == 0.1234567890123456789 &&
	   json_real_value(json_array_get(a, 4)) == 1000 &&
	   strcmp(json_string_value(json_array_get(a, 5)), "x:1000000000000000019884624838656,") == 0,
	   "whole numbers beyond 64 bits are reals; nothing else changes");
	json_decref(o);
	ok(refuses("[1000000000000000019884624838656,1e999]", 39), "beside them a real out of range is still an error");
}

/* ---- digest.h, file.h ---- */
static void check_digest(void)
{
	char hex[33];
	struct ft_digest *d = ft_digest_new();
	ft_digest_hex(d, hex);
	is_str(hex, "99aa06d3014798d86001c324468d497f", "XXH3-128 of nothing");
	ft_digest_add(d, "ab", 2);
	ft_digest_add(d, "c", 1);
	ft_digest_hex(d, hex);
	is_str(hex, "06b05ab6733a618578af5f94892f3950", "and of abc, in two pieces");
	ft_digest_free(d);
}

static void put(const char *path, const char *text, int commit)
{
	struct ft_outfile *f = ft_outfile_open(path);
	int rc = f ? ft_write_all(ft_outfile_fd(f), text, strlen(text), path) : ft_last_error();
	if (rc == 0 && commit)
		rc = ft_outfile_commit(f);
	ft_outfile_free(f);
	is_int(rc, 0, commit ? "a file is written" : "a file is begun");
}

static void check_files(void)
{
	char dir[] = "/tmp/ft-test.XXXXXX", path[64], got[16] = "";
	struct stat st;
	if (!mkdtemp(dir))
		return;
	snprintf(path, sizeof path, "%s/x", dir);
	mode_t mask = umask(027);
	put(path, "one", 1);
	umask(mask);
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "with the rights the umask leaves");
	put(path, "two", 0);
	int fd = open(path, O_RDONLY);
	ok(fd >= 0 && read(fd, got, 15) == 3 && strcmp(got, "one") == 0, "not committed, the old one stays");
	close(fd);
	put(path, "three", 1);
	fd = open(path, O_RDONLY);
	ok(fd >= 0 && read(fd, got, 15) == 5 && strcmp(got, "three") == 0, "committed, it is replaced");
	close(fd);
	unlink(path);
	ok(!ft_outfile_open(dir) && ft_last_error() == FT_EFAIL && strstr(ft_message(), "Is a directory"),
	   "a folder is not replaced");
	ok(!ft_outfile_open("/nothing/x") && strstr(ft_message(), "/nothing/x: No such file"),
	   "a folder that is not there");
	ok(!ft_outfile_open("") && ft_last_error() == FT_EUSAGE, "a name without letters");
	struct ft_outfile *f = ft_outfile_open("/dev/full");
	ok(f && ft_write_all(ft_outfile_fd(f), "x", 1, "/dev/full") == FT_EFAIL && strstr(ft_message(), "No space left"),
	   "a full device");
	ft_outfile_free(f);
	ok(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode), "which is still there");
	is_int(rmdir(dir), 0, "nothing is left");
}

int main(void)
{
	check_messages();
	check_memory();
	check_arena();
	check_philox();
	check_draws();
	check_json();
	check_digest();
	check_files();
	return tap_done();
}
