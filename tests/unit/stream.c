/* stream.c - streams: there and back, cut at every byte, every bit turned,
 * ends that are wrong, aborted ones, and reads of one byte. */
#include "ft/digest.h"
#include "ft/stream.h"
#include "tests/tap.h"
#include "tests/unit/bytes.h"

#include <math.h>
#include <sys/wait.h>

#define SPAN(s) ((struct ft_span){ s, sizeof s - 1 })

/* ---- streams of the three kinds ---- */
static const int32_t ids[] = { 101, 7, 30000, 102, 101, 9, 102 }, labels[] = { 1, FT_IGNORE, 3, 4 }, offsets[] = { 0, 4, 7 };
static const uint8_t types[] = { 0, 0, 1, 1, 0, 0, 0 };
static const float targets[] = { 0.1f, -0.0f, 1.17549435e-38f, 3.4028235e+38f };
static const struct ft_span sources[] = { { "a.tsv:1", 7 }, { "\xc3\xbc.zip/\"b\".tsv:2", 16 } };
static const struct ft_window windows[] = { { (1ll << 53) - 1, 2, 3 }, { 0, 0, 1 } };
static const struct ft_size sizes[] = { { (1ll << 53) - 1, 9, 10 }, { -1, -1, -1 } };
static float tensor[300000]; /* more than one chunk */

static const struct ft_example examples[] = {
	{ .ids = ids, .types = types, .n = 4, .labels = labels, .nlabels = 1, .src = { "a.tsv:1", 7 } },
	{ .ids = ids, .n = 4, .labels = labels, .nlabels = 4, .window = windows, .size = sizes },
	{ .ids = ids + 4, .n = 3, .targets = targets, .ntargets = 4, .src = { "", 0 } },
	{ .ids = ids, .n = 7, .offsets = offsets, .texts = 2, .targets = targets, .ntargets = 1, .src = { "b:2", 3 } },
};
#define EXAMPLES (sizeof examples / sizeof *examples)
static const struct ft_batch batches[] = {
	{ .ids = ids, .types = types, .offsets = offsets, .labels = labels, .src = sources, .tokens = 7, .rows = 2,
	  .nlabels = 2, .epoch = 3 },
	{ .ids = ids, .offsets = offsets, .targets = targets, .windows = windows, .sizes = sizes, .tokens = 7, .rows = 2, .ntargets = 4,
	  .epoch = -1 },
	{ .ids = ids, .offsets = offsets, .targets = targets, .src = sources, .tokens = 7, .rows = 2, .texts = 2,
	  .ntargets = 1, .epoch = 0 },
};
#define BATCHES (sizeof batches / sizeof *batches)

static struct ft_tensor_desc describe(const char *name, const char *dtype, int rank, int64_t rows, int64_t cols, size_t size)
{
	struct ft_tensor_desc d = { .name = { name, strlen(name) }, .rank = rank, .shape = { rows, cols } };
	strcpy(d.dtype, dtype);
	d.bytes = (size_t)((rank > 0 ? rows : 1) * (rank > 1 ? cols : 1)) * size;
	return d;
}

static int write_records(struct ft_writer *w, const char *kind, bool large)
{
	int rc = FT_OK;
	if (strcmp(kind, "tokens") == 0)
		for (size_t i = 0; i < EXAMPLES && rc == FT_OK; i++)
			rc = ft_example_write(w, &examples[i]);
	else if (strcmp(kind, "batches") == 0)
		for (size_t i = 0; i < BATCHES && rc == FT_OK; i++)
			rc = ft_batch_write(w, &batches[i]);
	if (strcmp(kind, "model") != 0)
		return rc;
	struct ft_tensor_desc d[] = { describe("head.weight", "F32", 2, 2, 3, 4), describe("scalar", "F16", 0, 0, 0, 2),
		                      describe("empty", "BF16", 2, 0, 4, 2), describe("large", "F32", 1, 300000, 0, 4) };
	for (size_t i = 0; i < 3U + large && rc == FT_OK; i++)
		rc = ft_tensor_write(w, &d[i], tensor);
	return rc;
}

static json_t *example_meta(void)
{
	return json_pack("{s:s, s:[s,s], s:i, s:f, s:n, s:b, s:{s:s}}", "task", "classify", "labels", "neg", "p\xc3\xb6s",
	                 "max_length", -7, "rate", 2e-5, "none", "yes", 1, "tokenizer", "digest", "d1");
}

/* A whole stream; what the writer leaves out of it. */
static void make(struct bytes *b, const char *kind)
{
	json_t *meta = example_meta();
	catch_stdout();
	struct ft_writer *w = ft_writer_open("-", kind, meta, NULL, 0);
	int rc = w ? write_records(w, kind, false) : ft_last_error();
	rc = rc ? rc : ft_writer_note(w, "read", json_integer(17));
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	caught_stdout(b);
	json_decref(meta);
	if (rc < 0)
		b->n = 0;
}

/* ---- reading one whole, with a digest of all that was handed out ---- */
static int read_records(struct ft_reader *r, struct ft_digest *d)
{
	bool tokens = strcmp(ft_reader_kind(r), "tokens") == 0, model = strcmp(ft_reader_kind(r), "model") == 0;
	static char data[2000000];
	struct ft_example e;
	struct ft_batch b;
	struct ft_tensor_desc t;
	int rc;
	while ((rc = tokens ? ft_example_read(r, &e) : model ? ft_tensor_read(r, &t) : ft_batch_read(r, &b)) > 0) {
		if (tokens) {
			ft_digest_add(d, e.ids, e.n * 4);
			ft_digest_add(d, e.types ? e.types : (const uint8_t *)"-", e.types ? e.n : 1);
			ft_digest_add(d, e.labels, e.nlabels * 4);
			ft_digest_add(d, e.targets, e.ntargets * 4);
			ft_digest_add(d, e.offsets, e.offsets ? (e.texts + 1) * 4 : 0);
			ft_digest_add(d, e.src.p, e.src.n);
		} else if (model) {
			ft_digest_add(d, t.name.p, t.name.n);
			ft_digest_add(d, t.dtype, sizeof t.dtype);
			ft_digest_add(d, t.shape, sizeof t.shape);
			if (t.bytes > sizeof data)
				return FT_EFORMAT;
			rc = ft_tensor_data(r, &t, data);
			if (rc < 0)
				return rc;
			ft_digest_add(d, data, t.bytes);
		} else {
			ft_digest_add(d, b.ids, b.tokens * 4);
			ft_digest_add(d, b.offsets, b.rows * 4 + 4);
			ft_digest_add(d, b.labels, b.nlabels * 4);
			ft_digest_add(d, b.targets, b.ntargets * 4);
			for (size_t i = 0; b.src && i < ft_batch_examples(&b); i++)
				ft_digest_add(d, b.src[i].p, b.src[i].n);
			ft_digest_add(d, &b.texts, sizeof b.texts);
			ft_digest_add(d, &b.epoch, sizeof b.epoch);
		}
	}
	return rc;
}

/* 0 and a digest of header and records, or an error. */
static int consume(const char *path, char hex[33])
{
	struct ft_reader *r = ft_reader_open(path, NULL);
	if (!r)
		return ft_last_error();
	struct ft_digest *d = ft_digest_new();
	ft_digest_add(d, ft_reader_kind(r), strlen(ft_reader_kind(r)));
	ft_digest_add(d, ft_reader_id(r), 32);
	int rc = read_records(r, d);
	ft_digest_hex(d, hex);
	ft_digest_free(d);
	ft_reader_close(r);
	return rc;
}

static int consume_bytes(const struct bytes *b, size_t n, char hex[33])
{
	return consume(path_of(b->p, n), hex);
}

/* ---- there and back ---- */
static bool same(const void *a, const void *b, size_t n) { return a && b ? memcmp(a, b, n) == 0 : a == b; }

static void check_tokens(void)
{
	struct bytes b;
	make(&b, "tokens");
	struct ft_reader *r = ft_reader_open(path_of(b.p, b.n), "tokens");
	struct ft_example e;
	json_t *meta = example_meta();
	ok(r && json_equal(ft_reader_meta(r), meta), "meta comes back");
	for (size_t i = 0; r && i < EXAMPLES; i++) {
		const struct ft_example *w = &examples[i];
		int rc = ft_example_read(r, &e);
		ok(rc == 1 && e.n == w->n && same(e.ids, w->ids, e.n * 4) && same(e.types, w->types, e.n) &&
		   e.nlabels == w->nlabels && same(e.labels, w->labels, e.nlabels * 4) && e.ntargets == w->ntargets &&
		   same(e.targets, w->targets, e.ntargets * 4) && e.src.n == w->src.n && same(e.src.p, w->src.p, e.src.n) &&
		   e.texts == ft_example_texts(w) && same(e.offsets, w->offsets, w->offsets ? (e.texts + 1) * 4 : 0) &&
		   same(e.window, w->window, sizeof *windows) && same(e.size, w->size, sizeof *sizes) &&
		   (uintptr_t)e.ids % 8 == 0, "example %zu comes back", i);
	}
	is_int(ft_example_read(r, &e), 0, "then the end");
	is_int(ft_example_read(r, &e), 0, "asked again, the end again");
	is_int(json_integer_value(json_object_get(ft_reader_end(r), "read")), 17, "with its notes");
	is_int(ft_reader_count(r), EXAMPLES, "counted");
	ft_reader_close(r);
	ok(ft_is_stream(path_of(b.p, b.n)), "it begins as a stream does");
	ok(!ft_reader_open(path_of(b.p, b.n), "batches") && ft_last_error() == FT_EFORMAT &&
	   strstr(ft_message(), "a tokens stream, where a batches stream is wanted"),
	   "another kind is refused by name");
	json_decref(meta);
}

static void check_batches(void)
{
	struct bytes b;
	make(&b, "batches");
	struct ft_reader *r = ft_reader_open(path_of(b.p, b.n), "batches");
	struct ft_batch g;
	for (size_t i = 0; r && i < BATCHES; i++) {
		const struct ft_batch *w = &batches[i];
		int rc = ft_batch_read(r, &g);
		ok(rc == 1 && g.tokens == w->tokens && g.rows == w->rows && same(g.ids, w->ids, g.tokens * 4) &&
		   same(g.types, w->types, g.tokens) && same(g.offsets, w->offsets, g.rows * 4 + 4) && g.nlabels == w->nlabels &&
		   same(g.labels, w->labels, g.nlabels * 4) && g.ntargets == w->ntargets &&
		   same(g.targets, w->targets, g.ntargets * 4) && same(g.windows, w->windows, sizeof windows) &&
		   same(g.sizes, w->sizes, sizeof sizes) &&
		   g.epoch == w->epoch && g.texts == ft_batch_texts(w), "batch %zu comes back", i);
		ok(!g.src == !w->src && (!g.src || (g.src[0].n == 7 && (g.texts > 1 || (g.src[1].n == 16 && same(g.src[1].p, sources[1].p, 16))))),
		   "with its sources");
	}
	is_int(ft_reader_drain(r), 0, "drained");
	ft_reader_close(r);
}

static void check_model(void)
{
	char path[] = "/tmp/ft-test.XXXXXX/m", hex[2][33];
	path[strlen(path) - 2] = '\0';
	if (!mkdtemp(path)) {
		ok(0, "a folder for a file");
		return;
	}
	path[strlen(path)] = '/';
	for (size_t i = 0; i < 300000; i++)
		tensor[i] = (float)sin((double)i);
	json_t *meta = example_meta();
	struct ft_writer *w = ft_writer_open(path, "model", meta, NULL, 0);
	int rc = w ? write_records(w, "model", true) : -1;
	ok(rc == 0 && access(path, F_OK) < 0, "a file is not there before it is closed");
	is_int(ft_writer_close(w), 0, "closed");
	ft_writer_free(w);
	ok(access(path, F_OK) == 0, "and then it is");
	struct ft_reader *r = ft_reader_open(path, "model");
	struct ft_tensor_desc d;
	static float back[300000];
	for (int i = 0; i < 4; i++) {
		rc = ft_tensor_read(r, &d);
		rc = rc == 1 ? ft_tensor_data(r, &d, back) : -1;
	}
	ok(rc == 0 && d.rank == 1 && d.shape[0] == 300000 && memcmp(back, tensor, sizeof back) == 0,
	   "a tensor of two chunks");
	is_int(ft_tensor_read(r, &d), 0, "the end");
	ft_reader_close(r);
	r = ft_reader_open(path, "model");
	for (int i = 0; i < 4 && (rc = ft_tensor_read(r, &d)) == 1; i++)
		rc = ft_tensor_data(r, &d, NULL);
	ok(rc == 0 && ft_tensor_read(r, &d) == 0, "tensors can be passed over");
	ft_reader_close(r);
	/* A writer that is given up leaves what was there, and no other file. */
	consume(path, hex[0]);
	w = ft_writer_open(path, "model", meta, NULL, 0);
	write_records(w, "model", false);
	ft_writer_free(w);
	ok(consume(path, hex[1]) == 0 && strcmp(hex[0], hex[1]) == 0, "a writer that is given up changes nothing");
	unlink(path);
	*strrchr(path, '/') = '\0';
	ok(rmdir(path) == 0, "and leaves nothing");
	json_decref(meta);
}

/* ---- cuts and turned bits ---- */
static void check_cuts(const char *kind, const char *form, const struct bytes *b)
{
	size_t wrong = 0;
	char hex[33];
	for (size_t n = 0; n < b->n; n++)
		wrong += consume_bytes(b, n, hex) != FT_ECUT;
	ok(!wrong && b->n > 200, "%s, %s: cut at each of %zu places it is known to be cut", kind, form, b->n);
}

/* Either an error, or what is handed out is what was written (notes of the end
 * are not under the digest). */
static void check_bits(const char *kind, const char *form, const struct bytes *b)
{
	char want[33], hex[33];
	size_t wrong = 0, accepted = 0, other = 0;
	struct bytes c = *b;
	consume_bytes(b, b->n, want);
	for (size_t bit = 0; bit < 8 * b->n; bit++) {
		c.p[bit / 8] ^= (unsigned char)(1u << bit % 8);
		int rc = consume_bytes(&c, c.n, hex);
		c.p[bit / 8] ^= (unsigned char)(1u << bit % 8);
		accepted += rc == 0;
		wrong += rc == 0 && strcmp(hex, want) != 0;
		other += rc != 0 && rc != FT_EFORMAT && rc != FT_ECUT;
	}
	/* Those of the notes, and zstd's unused bit. */
	ok(!wrong && !other && accepted < 8 * 20, "%s, %s: each of %zu bits turned is seen or does no harm (%zu)", kind, form,
	   8 * b->n, accepted);
}

static void check_damage(const char *kind)
{
	struct bytes a, b;
	char hex[2][33];
	make(&a, kind);
	bool model = strcmp(kind, "model") == 0;
	if (model)
		compress_bytes(&b, &a);
	else
		plain_bytes(&b, &a);
	const struct bytes *zstd = model ? &b : &a, *plain = model ? &a : &b;
	ok(consume_bytes(&a, a.n, hex[0]) == 0 && consume_bytes(&b, b.n, hex[1]) == 0 && strcmp(hex[0], hex[1]) == 0,
	   "%s: the same, compressed or not", kind);
	check_cuts(kind, "zstd", zstd);
	check_cuts(kind, "plain", plain);
	check_bits(kind, "zstd", zstd);
	check_bits(kind, "plain", plain);
}

/* ---- ends ---- */
static void replace_end(struct bytes *b, const char *end, size_t n)
{
	for (size_t i = b->n - 5; i > 0; i--)
		if (memcmp(b->p + i, "\xa3" "end", 4) == 0) {
			memcpy(b->p + i - 1, end, n);
			b->n = i - 1 + n;
			return;
		}
}

#define END(text, code, what)                                                            \
	do {                                                                             \
		b = plain;                                                               \
		replace_end(&b, text, sizeof text - 1);                                  \
		is_int(consume_bytes(&b, b.n, hex), code, what);                         \
	} while (0)

static void check_ends(void)
{
	struct bytes z, plain, b;
	char hex[33];
	int renamed = 0;
	make(&z, "tokens");
	plain_bytes(&plain, &z);
	END("\x81\xa3" "end\x04", 0, "an end without a digest");
	END("\x82\xa3" "end\x04\xa6" "digest\xc0", 0, "a digest that is nil");
	END("\x81\xa3" "end\xcf\0\0\0\0\0\0\0\x04", 0, "a count of 64 bits");
	END("\x82\xa3" "end\x04\xa6" "digest\xa3" "0af", FT_EFORMAT, "another digest");
	END("\x82\xa3" "end\x04\xa6" "digest\x05", FT_EFORMAT, "a digest that is a number");
	for (int bit = 0; bit < 8 * 8; bit++) {
		b = plain;
		size_t at = b.n - 34 - 7; /* the key "digest", before a string of 32 */
		b.p[at + (size_t)bit / 8] ^= (unsigned char)(1u << bit % 8);
		renamed += consume_bytes(&b, b.n, hex) != 0;
	}
	is_int(renamed, 8 * 8, "a digest whose key is damaged");
	END("\x81\xa3" "end\x05", FT_EFORMAT, "a record fewer than counted");
	END("\x81\xa3" "end\x03", FT_EFORMAT, "a record more than counted");
	END("\x81\xa3" "end\xff", FT_EFORMAT, "a negative count");
	END("\x81\xa3" "end\xa1" "4", FT_EFORMAT, "a count that is text");
	END("\x81\xa3" "end\xcb\x40\x10\0\0\0\0\0\0", FT_EFORMAT, "a count that is no whole number");
	END("\x82\xa3" "end\x04\xa7" "aborted\xa4" "disk", FT_ECUT, "aborted");
	ok(strstr(ft_message(), "the stage before gave up: disk") != NULL, "the reason is told");
	END("\x82\xa3" "end\x04\xa7" "aborted\xc3", FT_ECUT, "aborted: true");
	END("\x82\xa3" "end\x04\xa7" "aborted\xc0", 0, "aborted: nil is not");
	END("\x81\xa3" "end\x04\x81\xa3" "end\x04", FT_EFORMAT, "two ends");
	END("\x81\xa3" "end\x04\xc0", FT_EFORMAT, "data after the end");
	END("\x82\xa3" "end\x04\xa1" "x\xd4\x01\x02", FT_EFORMAT, "an extension type in the end");
	END("\x82\xa3" "end\x04\xa3" "end\x04", FT_EFORMAT, "a key twice in the end");
	memcpy(z.p + z.n, z.p, z.n);
	is_int(consume_bytes(&z, 2 * z.n, hex), FT_EFORMAT, "two streams one after the other");
	memcpy(plain.p + plain.n, plain.p, plain.n);
	is_int(consume_bytes(&plain, 2 * plain.n, hex), FT_EFORMAT, "also plain ones");
	memcpy(z.p + z.n, plain.p, plain.n);
	is_int(consume_bytes(&z, z.n + plain.n, hex), FT_EFORMAT, "and mixed");
	/* The parts of a stream may lie in any number of frames. */
	b.n = 0;
	for (size_t at = 0; at < plain.n; at += 50) {
		size_t n = plain.n - at < 50 ? plain.n - at : 50;
		b.n += ZSTD_compress(b.p + b.n, sizeof b.p - b.n, plain.p + at, n, 1);
		b.n += ZSTD_compress(b.p + b.n, sizeof b.p - b.n, "", 0, 1);
	}
	memcpy(b.p + b.n, "\x50\x2a\x4d\x18\x02\0\0\0xy", 10);
	is_int(consume_bytes(&b, b.n + 10, hex), 0, "many frames, empty ones, one to be skipped");
}

/* ---- a stage that fails; bytes that come one by one ---- */
static void check_aborted(const char *kind)
{
	struct bytes b;
	char hex[33], message[300];
	int taken = 0;
	json_t *meta = example_meta();
	catch_stdout();
	struct ft_writer *w = ft_writer_open("-", kind, meta, NULL, 0);
	write_records(w, kind, false);
	ft_fail(FT_EMATCH, "a.tsv:7: no such label \"x\" \xc3\xbc");
	snprintf(message, sizeof message, "%s", ft_message());
	ft_writer_free(w);
	caught_stdout(&b);
	ok(strcmp(ft_message(), message) == 0 && ft_last_error() == FT_EMATCH, "%s: giving up keeps the message", kind);
	int rc = consume_bytes(&b, b.n, hex);
	ok(rc == FT_ECUT && strstr(ft_message(), message), "and the next stage tells it");
	for (size_t bit = 0; bit < 8 * b.n; bit++) {
		b.p[bit / 8] ^= (unsigned char)(1u << bit % 8);
		taken += consume_bytes(&b, b.n, hex) == 0;
		b.p[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	is_int(taken, 0, "whatever bit of it is turned, it is not taken for a whole one");
	catch_stdout();
	w = ft_writer_open("-", kind, meta, NULL, 0);
	ft_fail(FT_EFAIL, "not UTF-8: \xff");
	ft_writer_free(w);
	caught_stdout(&b);
	is_int(consume_bytes(&b, b.n, hex), FT_ECUT, "a reason that is not UTF-8");
	json_decref(meta);
}

static void check_single_bytes(const char *kind)
{
	struct bytes b;
	char want[33], hex[33] = "", path[64];
	int fds[2];
	make(&b, kind);
	consume_bytes(&b, b.n, want);
	if (pipe(fds) < 0)
		return;
	pid_t child = fork();
	if (child == 0) {
		close(fds[0]);
		for (size_t i = 0; i < b.n; i++)
			if (write(fds[1], b.p + i, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	int status, rc = consume(path, hex);
	close(fds[0]);
	waitpid(child, &status, 0);
	ok(rc == 0 && strcmp(hex, want) == 0, "%s: byte by byte through a pipe", kind);
}

/* ---- the log ---- */
static void check_log(void)
{
	struct bytes a, b;
	make(&a, "tokens");
	struct ft_reader *parents[2] = { ft_reader_open(path_of(a.p, a.n), NULL), NULL };
	json_t *meta = example_meta();
	catch_stdout();
	struct ft_writer *w = ft_writer_open("-", "batches", meta, parents, 2);
	ft_writer_close(w);
	ft_writer_free(w);
	caught_stdout(&b);
	struct ft_reader *r = ft_reader_open(path_of(b.p, b.n), NULL);
	const json_t *log = ft_reader_log(r), *last = json_array_get(log, json_array_size(log) - 1);
	is_int((long long)json_array_size(log), 2, "two stages in the log");
	is_str(json_string_value(json_object_get(json_array_get(log, 0), "id")), ft_reader_id(parents[0]),
	       "the first has its id");
	is_str(json_string_value(json_object_get(json_array_get(json_object_get(last, "parents"), 0), "id")),
	       ft_reader_id(parents[0]), "by which the second names it");
	ft_reader_close(r);
	ft_reader_close(parents[0]);
	json_decref(meta);
}

/* A log that is a list of these; what came of writing a stream with it, and of reading that. */
static int with_log(json_t *log_taken, struct bytes *b)
{
	json_t *meta = example_meta();
	catch_stdout();
	struct ft_writer *w = ft_writer_open_log("-", "batches", meta, log_taken);
	int rc = w ? ft_writer_close(w) : ft_last_error();
	ft_writer_free(w);
	caught_stdout(b);
	json_decref(meta);
	json_decref(log_taken);
	return rc;
}

static void check_logs(void)
{
	struct bytes b;
	json_t *log = json_array();
	for (int i = 0; i < 999; i++)
		json_array_append_new(log, json_integer(i % 2 ? i : i / 2 * 2000)); /* whatever they are */
	is_int(with_log(json_deep_copy(log), &b), FT_OK, "a thousand stages");
	struct ft_reader *r = ft_reader_open(path_of(b.p, b.n), NULL);
	is_int(r ? (long long)json_array_size(ft_reader_log(r)) : 0, 1000, "are read back");
	ft_reader_close(r);
	json_array_append_new(log, json_string("one more"));
	ok(with_log(log, &b) == FT_EFAIL && strstr(ft_message(), "stdout: a history of more than 1000 stages"), "and no more");
	ok(with_log(json_pack("[s,s]", "x", "x"), &b) == FT_OK && (r = ft_reader_open(path_of(b.p, b.n), NULL)) &&
	   json_array_size(ft_reader_log(r)) == 2, "what is there twice is written once");
	ft_reader_close(r);
}

/* Who asks again after a failure gets it again. */
static void check_again(void)
{
	struct bytes z, b;
	struct ft_rec rec;
	make(&z, "tokens");
	plain_bytes(&b, &z);
	struct ft_reader *r = ft_reader_open(path_of(b.p, b.n - 3), NULL);
	int rc = 1;
	while (r && rc > 0)
		rc = ft_reader_next(r, &rec);
	ok(rc == FT_ECUT && ft_reader_next(r, &rec) == FT_ECUT && rec.count == 0, "a stream that was cut stays so");
	ft_reader_close(r);
	r = ft_reader_open(path_of(b.p, b.n), NULL);
	while (r && (rc = ft_reader_next(r, &rec)) > 0)
		;
	ok(rc == 0 && ft_reader_next(r, &rec) == 0, "and one that has ended, too");
	ft_reader_close(r);
	/* A map whose length takes two or four bytes is a header like any other. */
	for (int wide = 0; wide < 2; wide++) {
		struct bytes c;
		size_t head = wide ? 5 : 3;
		memcpy(c.p, wide ? "\xdf\0\0\0" : "\xde\0", head - 1);
		c.p[head - 1] = b.p[0] & 0xf;
		memcpy(c.p + head, b.p + 1, b.n - 1);
		c.n = b.n + head - 1;
		r = ft_reader_open(path_of(c.p, c.n), "tokens");
		ok(r != NULL, "a header whose length takes %d bytes", wide ? 4 : 2);
		ft_reader_close(r);
	}
}

int main(void)
{
	static const char *const kinds[] = { "tokens", "batches", "model" };
	check_tokens();
	check_batches();
	check_model();
	for (int i = 0; i < 3; i++) {
		check_damage(kinds[i]);
		check_aborted(kinds[i]);
		check_single_bytes(kinds[i]);
	}
	check_ends();
	check_log();
	check_logs();
	check_again();
	is_int(ft_reader_open("/", NULL) == NULL ? ft_last_error() : 0, FT_EFAIL, "a folder is not a stream");
	return tap_done();
}
