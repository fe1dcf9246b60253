/* family.c - every family of networks against transformers: hidden states, and
 * for each head logits, losses and every gradient (tests/ref/README.md). */
#include "ft/optim.h"
#include "tests/reference.h"

#include <unistd.h>

#define REF "tests/ref/"
#define ENCODERS REF "encoders/"

/* Folders of a family's models, NULL where there is none, and of what is
 * expected of them; its member of expected.json (NULL: that is the top). */
struct family {
	const char *bare, *classify, *mlm, *tag, *expected, *json, *member;
	bool pooler;
};
#define ENCODER(name, pooler) { ENCODERS name "/tiny", ENCODERS name "/tiny-classify", ENCODERS name "/tiny-mlm", \
	                        ENCODERS name "/tiny-tag", ENCODERS name, ENCODERS "expected.json", name, pooler }
#define CLASSIFIER(name) { NULL, ENCODERS name "/tiny-classify", NULL, ENCODERS name "/tiny-tag", \
	                   ENCODERS name, ENCODERS "expected.json", name, false }
static const struct family families[] = {
	{ REF "tiny-bert", REF "tiny-bert-classify", REF "tiny-bert-mlm", REF "tiny-bert-tag",
	  REF "tiny-bert-expected", REF "tiny-bert-expected/expected.json", NULL, true },
	ENCODER("distilbert", false),
	ENCODER("roberta", true),
	CLASSIFIER("xlm-roberta"),
	ENCODER("modernbert", false),
	CLASSIFIER("modernbert-options"),
};

static const char *in_expected(const struct family *f, const char *name, const char *end)
{
	static char path[2][160];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s.%s", f->expected, name, end);
	return path[turn];
}

/* ---- hidden states ---- */

/* The reference's tensor of batch k: "0.pooler_output", or without the number. */
static const struct ft_stored *of_batch(struct ft_safetensors *s, int k, const char *name)
{
	char full[60];
	snprintf(full, sizeof full, "%d.%s", k, name);
	const struct ft_stored *t = ft_safetensors_find(s, full);
	return t || k ? t : ft_safetensors_find(s, name);
}

/* The rows' first hidden states, or their means. */
static double worst_vectors(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const struct ft_stored *hidden,
                            const char *pooling)
{
	const float *v = NULL;
	size_t width = 0;
	double most = ft_model_vectors(m, g, b, pooling, false, &v, &width) ? INFINITY : 0;
	for (size_t i = 0; most < INFINITY && i < b->rows * width; i++) {
		size_t r = i / width, first = (size_t)b->offsets[r], end = (size_t)b->offsets[r + 1];
		double want = 0;
		for (size_t t = first; t < (*pooling == 'c' ? first + 1 : end); t++) {
			float x;
			memcpy(&x, (const char *)hidden->data + 4 * (t * width + i % width), 4);
			want += *pooling == 'c' ? x : (double)x / (double)(end - first);
		}
		double d = fabs(v[i] - want);
		most = d <= most ? most : d;
	}
	return most;
}

static void check_hidden(const struct family *f)
{
	struct ft_model *m = ft_model_open(f->bare ? f->bare : f->classify, NULL, 0);
	struct ft_safetensors *want = ft_safetensors_open(in_expected(f, "forward", "safetensors"));
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	ok(m && want && g, "%s opens", f->bare ? f->bare : f->classify);
	const struct ft_stored *hidden;
	for (int k = 0; m && want && (hidden = of_batch(want, k, "last_hidden_state")); k++) {
		json_t *o = line_of(in_expected(f, "forward", "jsonl"), k);
		take_batch(&h, o, false);
		double first = worst_vectors(m, g, &h.b, hidden, "cls"), mean = worst_vectors(m, g, &h.b, hidden, "mean");
		ok(first < 1e-5 && mean < 1e-5, "hidden states of batch %d (first %.2g, mean %.2g)", k, first, mean);
		const float *v = NULL;
		size_t width = 0;
		int rc = ft_model_vectors(m, g, &h.b, "pooler", false, &v, &width);
		if (f->pooler)
			ok(rc == 0 && worst(v, of_batch(want, k, "pooler_output")) < 1e-5, "pooled rows of batch %d", k);
		else
			is_int(rc, FT_EUSAGE, "no pooler");
		json_decref(o);
	}
	ft_graph_free(g);
	ft_safetensors_close(want);
	ft_model_free(m);
}

/* ---- losses and gradients of each head ---- */

/* A head over the reference's classifier: its rows go into ours. */
static void copy_classifier(const struct family *f, struct ft_model *m)
{
	struct ft_model *from = ft_model_open(f->classify, NULL, 0);
	struct ft_param *w = ft_model_find(m, "head.weight"), *b = ft_model_find(m, "head.bias");
	memcpy(w->t.data, ft_model_find(from, "head.weight")->t.data, 4 * (size_t)(w->t.cols * w->t.rows));
	memcpy(b->t.data, ft_model_find(from, "head.bias")->t.data, 4 * (size_t)b->t.cols);
	ft_model_free(from);
}

/* Without labels every token has logits. */
static void check_all_tokens(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const struct ft_stored *want)
{
	struct ft_batch bare = *b;
	struct ft_output out = { 0 };
	bare.labels = NULL;
	bare.nlabels = 0;
	int rc = ft_model_eval(m, g, &bare, &out);
	ok(rc == 0 && out.units == b->tokens && !out.loss && worst(out.logits, want) < 1e-5,
	   "without labels: logits of all %zu tokens", out.units);
}

static double expected_loss(const struct family *f, const char *what)
{
	json_t *all = ft_json_load(f->json);
	const json_t *losses = json_object_get(all, "loss");
	double v = json_number_value(json_object_get(f->member ? json_object_get(losses, f->member) : losses, what));
	json_decref(all);
	return v;
}

static void check_head(const struct family *f, const char *what, const char *dir, const char *head, bool targets)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = open_as(dir, head);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL; /* it makes room for gradients */
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	struct ft_output out = { 0 };
	json_t *line = line_of(in_expected(f, what, "jsonl"), 0);
	struct ft_safetensors *want = ft_safetensors_open(in_expected(f, what, "safetensors"));
	if (!ok(optim && line && want, "%s, %s opens", f->expected, what))
		return;
	if (targets)
		copy_classifier(f, m);
	take_batch(&h, line, targets);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	int rc = ft_model_step(m, g, &h.b, &out);
	ok(rc == 0, "%s: step", what);
	double loss = expected_loss(f, what);
	const struct ft_stored *logits = ft_safetensors_find(want, "logits");
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss");
	double most = !out.logits ? worst_token(&out, logits, &h.b)
	              : ft_model_task(m) == FT_TASK_TAG ? worst_supervised(&out, logits, &h.b) : worst(out.logits, logits);
	ok(most < 1e-5, "%s: %s, worst %.2g", what, out.logits ? "logits" : "losses of tokens", most);
	check_gradients(m, want, "grad.", 1 / out.weight, what, !targets);
	rc = ft_model_eval(m, g, &h.b, &out);
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss in inference");
	if (ft_model_task(m) == FT_TASK_TAG)
		check_all_tokens(m, g, &h.b, logits);
	ft_safetensors_close(want);
	json_decref(line);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

static void check_heads(const struct family *f)
{
	check_head(f, "classify", f->classify, NULL, false);
	check_head(f, "tag", f->tag, NULL, false);
	if (!f->mlm)
		return;
	check_head(f, "multilabel", f->classify, "{\"type\":\"multilabel\",\"labels\":[\"a\",\"b\",\"c\"]}", true);
	check_head(f, "regress1", f->classify, "{\"type\":\"regress\",\"outputs\":1}", true);
	check_head(f, "regress3", f->classify, "{\"type\":\"regress\",\"outputs\":3}", true);
	check_head(f, "mlm", f->mlm, NULL, false);
}

/* RoBERTa's table has rows that are no token's place. */
static void check_length(void)
{
	struct ft_model *m = ft_model_open(ENCODERS "roberta/tiny", NULL, 0);
	struct ft_graph *g = ft_graph_new();
	static const int32_t ids[47], offsets[] = { 0, 47 };
	struct ft_batch b = { .ids = ids, .offsets = offsets, .rows = 1, .tokens = 47 };
	const float *v;
	size_t width;
	is_int(ft_json_int(ft_model_meta(m), "max_length", 0, NULL), 46, "48 positions, 46 tokens");
	is_int(ft_model_vectors(m, g, &b, "mean", false, &v, &width), FT_EMATCH, "one more is too many");
	ok(strstr(ft_message(), "47 tokens; the model has 46 positions") != NULL, "and it says so");
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- how checkpoints may be stored ---- */
static char folder[] = "/tmp/ft-unit.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[2][160];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

/* Parameters that both have of a checkpoint; -1 when one differs. */
static int compare(const struct ft_model *a, const struct ft_model *b)
{
	int n = 0;
	for (size_t i = 0; a && b && i < ft_model_params(a); i++) {
		const struct ft_param *p = ft_model_param(a, i), *q = ft_model_find(b, p->name);
		if (!q || p->fresh || q->fresh)
			continue;
		if (p->t.rows != q->t.rows || p->t.cols != q->t.cols ||
		    memcmp(p->t.data, q->t.data, 4 * (size_t)(p->t.rows * p->t.cols)))
			return -1;
		n++;
	}
	return n;
}

/* The names of a bare checkpoint have no prefix; either serves for any head. */
static void check_names(const struct family *f)
{
	struct ft_model *bare = ft_model_open(f->bare, NULL, 0), *classify = ft_model_open(f->classify, NULL, 0);
	struct ft_model *a = open_as(f->classify, "{\"type\":\"none\"}"), *b = open_as(f->bare, "{\"type\":\"classify\",\"outputs\":3}");
	int trunk = bare ? (int)ft_model_params(bare) - (ft_model_find(bare, "pool.weight") ? 2 : 0) : -2;
	ok(compare(bare, a) >= trunk, "a bare model from a checkpoint with a head");
	ok(compare(b, classify) >= trunk, "and the other way round");
	ok(b && ft_model_find(b, "head.weight")->fresh && !ft_model_find(classify, "head.weight")->fresh, "its head is new");
	ft_model_free(bare);
	ft_model_free(classify);
	ft_model_free(a);
	ft_model_free(b);
}

/* Writes the parameters i with i % 2 == half. */
static int write_half(const struct ft_model *m, enum ft_dtype dtype, const char *path, int half, json_t *map)
{
	struct ft_stored t[128];
	size_t n = 0;
	for (size_t i = (size_t)half; i < ft_model_params(m) && n < 128; i += 2) {
		const struct ft_param *p = ft_model_param(m, i);
		size_t count = (size_t)(p->t.rows * p->t.cols), bytes = count * ft_dtype_size(dtype);
		void *data = malloc(bytes);
		ft_narrow(data, p->t.data, dtype, count);
		t[n++] = (struct ft_stored){ p->file, dtype, p->rank, { p->rank == 2 ? p->t.rows : p->t.cols, p->t.cols }, data,
			                     bytes, false };
		json_object_set_new(map, p->file, json_string(strrchr(path, '/') + 1));
	}
	int rc = ft_safetensors_write(path, t, n);
	while (n)
		free((void *)(uintptr_t)t[--n].data);
	return rc;
}

/* In two shards, of a type in which the values are exact. */
static void check_shards(const struct family *f, enum ft_dtype dtype)
{
	struct ft_model *m = ft_model_open(f->classify, NULL, 0);
	json_t *index = json_pack("{s:{}, s:{}}", "metadata", "weight_map"), *map = json_object_get(index, "weight_map");
	int rc = m ? ft_json_save(in_folder("config.json"), json_object_get(ft_model_meta(m), "config")) : FT_EFAIL;
	rc = rc ? rc : write_half(m, dtype, in_folder("model-00001-of-00002.safetensors"), 0, map);
	rc = rc ? rc : write_half(m, dtype, in_folder("model-00002-of-00002.safetensors"), 1, map);
	rc = rc ? rc : ft_json_save(in_folder("model.safetensors.index.json"), index);
	struct ft_model *again = rc ? NULL : ft_model_open(folder, NULL, 0);
	ok(again && compare(m, again) == (int)ft_model_params(m), "%s in two shards of %s", f->classify, ft_dtype_name(dtype));
	ft_model_free(m);
	ft_model_free(again);
	json_decref(index);
}

static void remove_folder(void)
{
	static const char *const names[] = { "config.json", "model-00001-of-00002.safetensors",
	                                     "model-00002-of-00002.safetensors", "model.safetensors.index.json" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(in_folder(names[i]));
	rmdir(folder);
}

int main(void)
{
	if (!ok(mkdtemp(folder) != NULL, "a folder"))
		return tap_done();
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		check_hidden(&families[i]);
		check_heads(&families[i]);
		if (families[i].bare)
			check_names(&families[i]);
		/* The values of BERT are exact in float16 alone. */
		for (int t = FT_F32; t <= (families[i].member ? FT_BF16 : FT_F16); t++)
			check_shards(&families[i], (enum ft_dtype)t);
	}
	check_length();
	remove_folder();
	return tap_done();
}
