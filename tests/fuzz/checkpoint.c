/* Fuzzes checkpoints: a true one of a small run is changed as the input says, gets the digest and count of what it is
 * then (or keeps those it had), and the run goes on from it. It ends as it should, or refuses.
 *
 * An input is a byte of flags, then changes of four bytes each: what, where (two bytes), with what. The checkpoint is
 * made here and not kept as a seed, since it names version and processor. */
#include "ft/digest.h"
#include "ft/train.h"
#include "lib/stream/priv.h"
#include "tests/fuzz/tiny.h"

#include <math.h>

enum { FINISHED = 1, HONEST = 2 }; /* flags: which checkpoint; its digest is right again */

static struct ft_buf made[2]; /* of a run on its way, of one that is finished; without their ends */
static struct ft_buf ends[2], log_of_run;

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
	json_t *meta = json_pack("{s:s, s:[s,s], s:i}", "task", "classify", "labels", "a", "b", "batches", 3);
	struct ft_writer *w = ft_writer_open(harness_path("batches"), "batches", meta, NULL, 0);
	must(w);
	for (int i = 0; i < 3; i++)
		must(ft_batch_write(w, &b) == FT_OK);
	must(ft_writer_close(w) == FT_OK);
	ft_writer_free(w);
	json_decref(meta);
}

/* The run that all this is about, with all that a checkpoint can hold. */
static int train(int64_t every)
{
	struct ft_train_options o = {
		.optim = { .name = "adamw", .beta1 = NAN, .beta2 = NAN, .eps = 1e-8, .weight_decay = 0.01 }, .rate = 1e-3,
		.warmup = NAN, .dropout = NAN, .accumulate = 1, .clip = 1, .ema = 0.5, .valid = harness_path("batches"),
		.valid_every = 1, .metric = "loss", .log = harness_path("log"), .checkpoint = harness_path("ck"), .every = every,
	};
	struct ft_model *m = plan();
	struct ft_reader *data = ft_reader_open(o.valid, "batches");
	must(data);
	int rc = ft_train(m, data, &o);
	ft_reader_close(data);
	ft_model_free(m);
	return rc;
}

/* The objects of n bytes, as far as they are whole; *at: where the last of them begins. */
static size_t count_objects(const unsigned char *p, size_t n, size_t *at)
{
	size_t objects = 0, size = 0, next = 0;
	while (next < n && pack_scan(p + next, n - next, &size) > 0) {
		*at = next;
		next += size;
		objects++;
	}
	return objects;
}

static void take(const char *name, struct ft_buf *b)
{
	FILE *f = fopen(harness_path(name), "rb");
	must(f && ft_buf_reserve(b, 1 << 16) == FT_OK);
	b->len = fread(b->data, 1, 1 << 16, f);
	must(fclose(f) == 0 && b->len < 1 << 16);
}

static void take_checkpoint(const char *name, struct ft_buf *body, struct ft_buf *end)
{
	size_t at = 0;
	take(name, body);
	must(count_objects(body->data, body->len, &at) > 1 && ft_buf_append(end, body->data + at, body->len - at) == FT_OK);
	body->len = at;
}

static void set_up(void)
{
	harness_make_folder();
	tiny_base(TINY_BERT);
	write_batches();
	must(train(2) == FT_OK);
	take_checkpoint("ck.1", &made[0], &ends[0]);
	take_checkpoint("ck", &made[1], &ends[1]);
	take("log", &log_of_run);
}

static void change(struct ft_buf *b, const uint8_t *edit)
{
	size_t at = b->len ? (size_t)(edit[1] << 8 | edit[2]) % b->len : 0, some = edit[3] % 16 + 1;
	if (some > b->len - at)
		some = b->len - at;
	switch (edit[0] % 4) {
	case 0:
		b->data[at] ^= edit[3];
		break;
	case 1:
		b->data[at] = edit[3];
		break;
	case 2: /* some bytes go */
		memmove(b->data + at, b->data + at + some, b->len - at - some);
		b->len -= some;
		break;
	case 3: /* some bytes come twice */
		must(ft_buf_reserve(b, some) == FT_OK);
		memmove(b->data + at + some, b->data + at, b->len - at);
		b->len += some;
		break;
	}
}

static void put_checkpoint(struct ft_buf *b, const struct ft_buf *end, bool honest)
{
	char hex[33];
	size_t at, objects = count_objects(b->data, b->len, &at);
	struct ft_digest *d = ft_digest_new();
	must(d);
	ft_digest_add(d, b->data, b->len);
	ft_digest_hex(d, hex);
	ft_digest_free(d);
	json_t *v = json_pack("{s:I, s:s}", "end", (json_int_t)objects - 1, "digest", hex);
	must(v && (honest ? pack_json(b, v) : ft_buf_append(b, end->data, end->len)) == FT_OK);
	json_decref(v);
	harness_put("ck", b->data, b->len);
	harness_put("log", log_of_run.data, log_of_run.len);
	unlink(harness_path("ck.1"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*harness_folder)
		set_up();
	if (!size)
		return 0;
	bool finished = data[0] & FINISHED;
	struct ft_buf b = { 0 };
	must(ft_buf_append(&b, made[finished].data, made[finished].len) == FT_OK);
	for (size_t i = 1; i + 4 <= size; i += 4)
		change(&b, data + i);
	put_checkpoint(&b, &ends[finished], data[0] & HONEST);
	int rc = train(0);
	must(rc == FT_OK || rc == FT_EFORMAT || rc == FT_ECUT || rc == FT_EMATCH || rc == FT_ECRITERION);
	must(rc == FT_OK || *ft_message());
	must(size >= 5 || rc == FT_OK); /* unchanged */
	must(access(harness_path("ck.lock"), F_OK) < 0 && access(harness_path("ck.new"), F_OK) < 0);
	ft_buf_free(&b);
	return 0;
}
