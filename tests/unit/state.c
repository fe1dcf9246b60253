/* state.c - checkpoints that are whole streams and do not say what a run needs: each member of their header left out and
 * given as every other kind of value, and records that are not those of the run. The run goes on as it would have, or
 * refuses with a reason that names the file. */
#include "ft/digest.h"
#include "ft/train.h"
#include "lib/stream/priv.h"
#include "tests/fuzz/tiny.h"
#include "tests/odd.h"
#include "tests/tap.h"

#include <math.h>

/* ---- a small run ---- */

static struct ft_model *plan(void)
{
	json_t *head = json_pack("{s:s, s:[s,s]}", "type", "classify", "labels", "a", "b");
	struct ft_plan p = { .head = head, .last_layers = 0, .layer_decay = 1 };
	struct ft_model *m = ft_model_plan(harness_folder, NULL, &p, 0);
	must(head && m);
	json_decref(head);
	return m;
}

static void write_batches(void)
{
	static const int32_t ids[] = { 0, 3, 8, 1 }, offsets[] = { 0, 3, 4 }, labels[] = { 0, 1 };
	struct ft_batch b = { .ids = ids, .offsets = offsets, .labels = labels, .tokens = 4, .rows = 2, .nlabels = 2,
		              .texts = 1 };
	json_t *meta = json_pack("{s:s, s:[s,s], s:i}", "task", "classify", "labels", "a", "b", "batches", 4);
	struct ft_writer *w = ft_writer_open(harness_path("batches"), "batches", meta, NULL, 0);
	must(w);
	for (int i = 0; i < 4; i++)
		must(ft_batch_write(w, &b) == FT_OK);
	must(ft_writer_close(w) == FT_OK);
	ft_writer_free(w);
	json_decref(meta);
}

/* `valid`: 0: without validation; -1: after each epoch; N: after every N steps. The head's weights are left in *weights. */
static int train(int64_t every, int64_t valid, uint64_t *weights)
{
	struct ft_train_options o = {
		.optim = { .name = "adamw", .beta1 = NAN, .beta2 = NAN, .eps = 1e-8, .weight_decay = 0.01 }, .rate = 1e-2,
		.warmup = NAN, .dropout = NAN, .accumulate = 1, .clip = 1, .valid = valid ? harness_path("batches") : NULL,
		.valid_every = valid > 0 ? valid : 0, .metric = "loss", .log = harness_path("log"), .checkpoint = harness_path("ck"), .every = every,
	};
	struct ft_model *m = plan();
	struct ft_reader *data = ft_reader_open(harness_path("batches"), "batches");
	must(data);
	int rc = ft_train(m, data, &o);
	const struct ft_param *p = ft_model_find(m, "head.weight");
	*weights = ft_hash(p->t.data, (size_t)(p->t.rows * p->t.cols) * sizeof(float), 0);
	ft_reader_close(data);
	ft_model_free(m);
	return rc;
}

/* ---- its checkpoint, as objects ---- */
#define OBJECTS 64
static struct ft_buf whole, log_of_run;
static size_t begins[OBJECTS + 1], objects; /* the header, records, the end */
static uint64_t right;

static void take_file(const char *name, struct ft_buf *b)
{
	FILE *f = fopen(harness_path(name), "rb");
	must(f && ft_buf_reserve(b, 1 << 16) == FT_OK);
	b->len = fread(b->data, 1, 1 << 16, f);
	must(fclose(f) == 0 && b->len < 1 << 16);
}

static void find_objects(void)
{
	size_t size;
	for (objects = 0; begins[objects] < whole.len; objects++) {
		must(objects < OBJECTS && pack_scan(whole.data + begins[objects], whole.len - begins[objects], &size) > 0);
		begins[objects + 1] = begins[objects] + size;
	}
	must(objects > 4);
}

static void make(int64_t valid)
{
	uint64_t half;
	unlink(harness_path("ck"));
	unlink(harness_path("log"));
	must(train(3, valid, &right) == FT_OK && rename(harness_path("ck.1"), harness_path("ck")) == 0);
	whole.len = log_of_run.len = 0;
	take_file("ck", &whole);
	take_file("log", &log_of_run);
	find_objects();
	must(train(0, valid, &half) == FT_OK && half == right);
}

/* Writes it with this header (NULL: its own), and record number `at` replaced by n bytes. */
static void put(const json_t *header, size_t at, const void *p, size_t n)
{
	struct ft_buf b = { 0 };
	char hex[33];
	must((header ? pack_json(&b, header) : ft_buf_append(&b, whole.data, begins[1])) == FT_OK);
	for (size_t i = 1; i + 1 < objects; i++)
		must(ft_buf_append(&b, i == at ? p : whole.data + begins[i], i == at ? n : begins[i + 1] - begins[i]) == FT_OK);
	struct ft_digest *d = ft_digest_new();
	ft_digest_add(d, b.data, b.len);
	ft_digest_hex(d, hex);
	ft_digest_free(d);
	size_t records = 0, size;
	for (size_t k = 0; k < b.len && pack_scan(b.data + k, b.len - k, &size) > 0; k += size)
		records++;
	json_t *end = json_pack("{s:I, s:s}", "end", (json_int_t)records - 1, "digest", hex);
	must(pack_json(&b, end) == FT_OK);
	json_decref(end);
	harness_put("ck", b.data, b.len);
	harness_put("log", log_of_run.data, log_of_run.len);
	unlink(harness_path("ck.1"));
	ft_buf_free(&b);
}

/* ---- the header ---- */
struct members {
	const json_t *header;
	int64_t valid;
	int tried, same, bad;
};

static void check_member(void *ctx, const json_t *meta, const char *path, const char *value)
{
	struct members *c = ctx;
	uint64_t weights;
	(void)meta; /* which is in it */
	put(c->header, 0, NULL, 0);
	int rc = train(0, c->valid, &weights);
	bool says = rc == FT_OK || ((rc == FT_EFORMAT || rc == FT_EMATCH) && strstr(ft_message(), harness_folder));
	bool clean = access(harness_path("ck.lock"), F_OK) < 0 && access(harness_path("ck.new"), F_OK) < 0;
	c->tried++;
	c->same += rc == FT_OK && weights == right;
	c->bad += !says || !clean;
	if (!says || !clean)
		printf("# %s: %s: %d %s\n", path, value, rc, ft_message());
}

static void check_header(int64_t valid)
{
	json_t *header = unpack_json(whole.data, begins[1]);
	struct members c = { .header = header, .valid = valid };
	odd_each(json_object_get(header, "meta"), check_member, &c);
	json_decref(header);
	ok(!c.bad && c.tried > 300 && c.same > 10 && c.same < c.tried, "%d changes of the header, %d change nothing: the others are refused",
	   c.tried, c.same);
}

static void refused(const char *member, const char *key, const char *value, int64_t valid, const char *reason)
{
	uint64_t weights;
	json_t *header = unpack_json(whole.data, begins[1]), *in = json_object_get(header, "meta");
	in = member ? json_object_get(in, member) : in;
	if (value)
		json_object_set_new(in, key, json_loads(value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(in, key);
	put(header, 0, NULL, 0);
	json_decref(header);
	int rc = train(0, valid, &weights);
	ok(rc == FT_EFORMAT && strstr(ft_message(), reason), "%s: %s: %s", key, value ? value : "nothing", rc ? ft_message() : "goes on");
}

/* ---- records ---- */
static void not_this(size_t at, const void *p, size_t n, const char *reason)
{
	uint64_t weights;
	put(NULL, at, p, n);
	int rc = train(0, 1, &weights);
	ok(rc == FT_EFORMAT && strstr(ft_message(), reason), "%s: %s", reason, rc ? ft_message() : "goes on");
}
#define NOT(at, bytes, reason) not_this(at, bytes, sizeof(bytes) - 1, reason)

/* The tensor of record `at`, with other bytes in the place of some that it has once. */
static void not_with(size_t at, const char *from, const char *to, const char *reason)
{
	struct ft_buf b = { 0 };
	size_t n = begins[at + 1] - begins[at], k = strlen(from);
	const unsigned char *p = whole.data + begins[at], *found = memmem(p, n, from, k);
	must(found && ft_buf_append(&b, p, (size_t)(found - p)) == FT_OK && ft_buf_append(&b, to, strlen(to)) == FT_OK &&
	     ft_buf_append(&b, found + k, n - (size_t)(found - p) - k) == FT_OK);
	not_this(at, b.data, b.len, reason);
	ft_buf_free(&b);
}

static void check_records(void)
{
	/* Number 5 is weights/head.weight, number 6 its data. */
	NOT(1, "", "record 1");
	not_with(5, "weights/head.weight", "weights/heat.weight", "record 5: expected 32 bytes of 'weights/head.weight'");
	not_with(5, "\xb3weights/head.weight", "\xb2weights/head.weigh", "record 5: expected 32 bytes of 'weights/head.weight'");
	not_with(5, "\xa3" "F32", "\xa3" "I32", "record 5: expected 32 bytes of 'weights/head.weight'");
	NOT(6, "\x81\xa4" "data\xc4\x21" "012345678901234567890123456789012", "expected 1 to 32 bytes of 'weights/head.weight'");
	NOT(6, "\x81\xa4" "data\xc4\x00", "expected 1 to 32 bytes of 'weights/head.weight'");
	NOT(6, "\x81\xa4" "data\x20", "expected 1 to 32 bytes of 'weights/head.weight'");
	NOT(6, "\x81\xa4" "date\xc4\x01x", "expected 1 to 32 bytes of 'weights/head.weight'");
	NOT(6, "\x81\xa4" "data\xc4\x01x", "expected 1 to 31 bytes of 'weights/head.weight'");
	struct ft_buf b = { 0 };
	size_t last = objects - 2;
	must(ft_buf_append(&b, whole.data + begins[last], begins[last + 1] - begins[last]) == FT_OK);
	must(ft_buf_append(&b, "\x81\xa1x\x01", 4) == FT_OK);
	not_this(last, b.data, b.len, "more than the run has");
	ft_buf_free(&b);
}

int main(void)
{
	static const char says[] = "its header does not say all that a run needs";
	harness_make_folder();
	must(freopen("/dev/null", "w", stderr)); /* it says a lot */
	tiny_base(TINY_BERT);
	write_batches();
	make(1);
	check_header(1);
	refused("numbers", "step", "\"2\"", 1, says);
	refused("numbers", "step", NULL, 1, says);
	refused("numbers", "unbettered", "-1", 1, says);
	refused("numbers", "batch", "-4", 1, says);
	refused("numbers", "epoch", "-2", 1, says);
	refused("numbers", "smooth", "[]", 1, says);
	refused("numbers", "stop", "7", 1, says);
	refused("numbers", "optimizer_steps", "true", 1, says);
	refused("numbers", "optimizer_steps", "-1", 1, says);
	refused("numbers", "all_units", "9223372036854775807", 1, says);
	refused(NULL, "numbers", NULL, 1, says);
	refused(NULL, "finished", "7", 1, says);
	refused(NULL, "best", NULL, 1, says);
	refused("best", "result", "{}", 1, "");
	refused(NULL, "checkpoint", "2", 1, "a checkpoint of another form");
	check_records();
	make(0);
	check_header(0);
	refused("numbers", "step", "\"2\"", 0, says);
	make(4); /* which has not validated yet, but for what is said then */
	refused("numbers", "unbettered", "1", 4, says);
	refused("numbers", "stop", "true", 4, says);
	refused("numbers", "step", "4", 4, says);
	make(-1);
	refused("numbers", "stop", "true", -1, says);
	return tap_done();
}
