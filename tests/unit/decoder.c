/* decoder.c - every causal family against transformers: hidden states, logits, losses and
 * gradients, and greedy continuations (tests/ref/README.md). */
#include "ft/optim.h"
#include "tests/reference.h"

#define DECODERS "tests/ref/decoders/"

static const struct {
	const char *name;
	bool classify;
} families[] = {
	{ "gpt2", true },   { "llama", true },  { "llama-options", false }, { "mistral", false },
	{ "qwen2", false }, { "qwen3", false }, { "gemma2", false },        { "gemma3", true },
};

static const char *in_family(const char *name, const char *file)
{
	static char path[2][160];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof path[turn], DECODERS "%s/%s", name, file);
	return path[turn];
}

static json_t *expected(const char *name, const char *what)
{
	json_t *all = ft_json_load(DECODERS "expected.json");
	json_t *v = json_incref(json_object_get(json_object_get(all, name), what));
	json_decref(all);
	return v;
}

static double expected_loss(const char *name, const char *what)
{
	json_t *losses = expected(name, "loss");
	double v = json_number_value(json_object_get(losses, what));
	json_decref(losses);
	return v;
}

/* The means of rows, of the bare model. */
static void check_hidden(const char *name, const struct ft_batch *b, const struct ft_stored *hidden)
{
	struct ft_model *m = open_as(in_family(name, "tiny-lm"), "{\"type\":\"none\"}");
	struct ft_graph *g = ft_graph_new();
	const float *v = NULL;
	size_t width = 0;
	double most = !m || ft_model_vectors(m, g, b, "mean", false, &v, &width) ? INFINITY : 0;
	for (size_t i = 0; most < INFINITY && i < b->rows * width; i++) {
		size_t r = i / width, first = (size_t)b->offsets[r], end = (size_t)b->offsets[r + 1];
		double want = 0;
		for (size_t t = first; t < end; t++) {
			float x;
			memcpy(&x, (const char *)hidden->data + 4 * (t * width + i % width), 4);
			want += (double)x / (double)(end - first);
		}
		double d = fabs(v[i] - want);
		most = d <= most ? most : d;
	}
	ok(most < 1e-5, "%s: hidden states, worst %.2g", name, most);
	ft_graph_free(g);
	ft_model_free(m);
}

/* Without labels: logits of what follows each row. */
static double worst_next(const struct ft_output *out, const struct ft_stored *logits, const struct ft_batch *b)
{
	double most = out->logits && out->units == b->rows && out->outputs == (size_t)logits->shape[1] ? 0 : INFINITY;
	for (size_t i = 0; most < INFINITY && i < b->rows * out->outputs; i++) {
		size_t t = (size_t)b->offsets[i / out->outputs + 1] - 1;
		float x;
		memcpy(&x, (const char *)logits->data + 4 * (t * out->outputs + i % out->outputs), 4);
		double d = fabs((double)out->logits[i] - x);
		most = d <= most ? most : d;
	}
	return most;
}

static void check_head(const char *name, const char *what)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = ft_model_open(in_family(name, strcmp(what, "lm") ? "tiny-classify" : "tiny-lm"), NULL, 0);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL; /* it makes room for gradients */
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	struct ft_output out = { 0 };
	char file[40];
	snprintf(file, sizeof file, "%s.jsonl", what);
	json_t *line = line_of(in_family(name, file), 0);
	snprintf(file, sizeof file, "%s.safetensors", what);
	struct ft_safetensors *want = ft_safetensors_open(in_family(name, file));
	if (!ok(optim && line && want, "%s, %s opens: %s", name, what, ft_message()))
		return;
	take_batch(&h, line, false);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &h.b, &out), 0, "a step");
	double loss = expected_loss(name, what);
	const struct ft_stored *logits = ft_safetensors_find(want, "logits");
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss");
	double most = out.logits ? worst(out.logits, logits) : worst_token(&out, logits, &h.b);
	/* One token of llama is worse conditioned than others: half a unit in the last place of its weights, in an exact
	 * computation, moves its loss by up to 3.8e-6, those of others by 1e-6. Without fused multiply-adds it is 1.4e-5 off. */
	bool rough = strcmp(name, "llama") == 0 && strcmp(ft_isa(), "base") == 0;
	ok(most < (rough ? 2e-5 : 1e-5), "%s: %s of %s, worst %.2g", name, out.logits ? "logits" : "losses of tokens", what, most);
	check_gradients(m, want, "grad.", 1 / out.weight, name, true);
	is_int(ft_model_eval(m, g, &h.b, &out), 0, "in inference");
	is_near(out.loss_sum / out.weight, loss, 1e-5, "the same loss");
	if (strcmp(what, "lm") == 0) {
		h.b.labels = NULL;
		is_int(ft_model_eval(m, g, &h.b, &out), 0, "without labels");
		most = worst_next(&out, logits, &h.b);
		ok(most < 1e-5, "%s: logits of the next token, worst %.2g", name, most);
		check_hidden(name, &h.b, ft_safetensors_find(want, "last_hidden_state"));
	}
	ft_safetensors_close(want);
	json_decref(line);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* A training step with dropout, whose layers are computed twice or not. Gradients, one behind
 * the other; from malloc. */
static float *train_step(const char *dir, const struct ft_batch *b, bool recompute, size_t *n, size_t *peak)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = ft_model_open(dir, NULL, 0);
	struct ft_optim *optim = ft_optim_new(m, &o);
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	float *all = NULL;
	*n = 0;
	ft_model_dropout(m, 0.2);
	ft_graph_recompute(g, recompute);
	ft_graph_begin(g, FT_TRAIN, 7, 3);
	if (ft_model_step(m, g, b, &out) < 0)
		return NULL;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_tensor *t = &ft_model_param(m, i)->t;
		size_t size = (size_t)(t->rows * t->cols);
		if (t->touched && !t->dense)
			continue;
		all = realloc(all, (*n + size) * sizeof *all);
		memcpy(all + *n, t->grad, size * sizeof *all);
		*n += size;
	}
	*peak = ft_graph_peak(g);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
	return all;
}

static void check_recompute(const char *dir, const char *batch)
{
	static struct held h;
	json_t *line = line_of(batch, 0);
	size_t n[2] = { 0 }, peak[2];
	take_batch(&h, line, false);
	float *kept = train_step(dir, &h.b, false, &n[0], &peak[0]), *again = train_step(dir, &h.b, true, &n[1], &peak[1]);
	ok(kept && again && n[0] == n[1] && memcmp(kept, again, n[0] * sizeof *kept) == 0 && peak[1] < peak[0],
	   "%s: layers computed twice, the same gradients in %zu instead of %zu bytes", dir, peak[1], peak[0]);
	free(kept);
	free(again);
	json_decref(line);
}

/* Row r of a batch with `labels`, by itself. */
static struct ft_batch one_row(struct held *h, size_t r, int32_t offsets[2], bool labels)
{
	int32_t first = h->offsets[r];
	offsets[0] = 0;
	offsets[1] = h->offsets[r + 1] - first;
	return (struct ft_batch){ .ids = h->ids + first, .offsets = offsets, .rows = 1, .tokens = (size_t)offsets[1],
	                          .labels = labels ? h->labels + first : NULL, .nlabels = labels ? (size_t)offsets[1] : 0,
	                          .epoch = -1 };
}

/* Rows that lie end to end in a batch have the bits that each has alone: losses of tokens, and logits of what follows. */
static void check_packed(const char *name, bool labels)
{
	struct ft_model *m = ft_model_open(in_family(name, "tiny-lm"), NULL, 0);
	struct ft_graph *g = ft_graph_new(), *alone = ft_graph_new();
	struct ft_output out = { 0 }, one = { 0 };
	static struct held h;
	json_t *line = line_of(in_family(name, "lm.jsonl"), 0);
	take_batch(&h, line, false);
	h.b.labels = labels ? h.labels : NULL;
	int rc = ft_model_eval(m, g, &h.b, &out);
	size_t at = 0, equal = 0;
	for (size_t r = 0; rc == 0 && r < h.b.rows; r++) {
		int32_t offsets[2];
		struct ft_batch b = one_row(&h, r, offsets, labels);
		rc = ft_model_eval(m, alone, &b, &one);
		size_t n = labels ? one.units : one.units * one.outputs;
		for (size_t i = 0; rc == 0 && i < n; i++)
			equal += labels ? one.loss[i] == out.loss[at + i] : one.logits[i] == out.logits[at + i];
		at += n;
	}
	ok(rc == 0 && h.b.rows > 1 && at > h.b.rows && equal == at, "%s: of rows end to end %zu %s of %zu are as of each alone", name,
	   equal, labels ? "losses" : "logits", at);
	json_decref(line);
	ft_graph_free(g);
	ft_graph_free(alone);
	ft_model_free(m);
}

/* Bytes and multiply-adds of a training step that is computed, or only planned. */
static int measure_step(const char *dir, const struct ft_batch *b, unsigned flags, bool recompute, size_t *bytes, double *macs)
{
	struct ft_model *m = ft_model_open(dir, NULL, flags);
	struct ft_optim *optim = m ? ft_optim_new(m, &(struct ft_optim_options){ .name = "adamw" }) : NULL;
	struct ft_graph *g = ft_graph_new();
	struct ft_output out;
	ft_graph_recompute(g, recompute);
	ft_graph_begin(g, FT_TRAIN, 7, 3);
	int rc = optim ? ft_model_step(m, g, b, &out) : -1;
	*bytes = ft_graph_peak(g);
	*macs = ft_graph_macs(g);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
	return rc;
}

static void check_plan(const char *dir, const char *batch)
{
	static struct held h;
	json_t *line = line_of(batch, 0);
	take_batch(&h, line, false);
	for (int twice = 0; twice < 2; twice++) {
		size_t bytes[2] = { 0 };
		double macs[2] = { 0 };
		int rc = measure_step(dir, &h.b, 0, twice, &bytes[0], &macs[0]);
		rc = rc ? rc : measure_step(dir, &h.b, FT_MODEL_PLAN, twice, &bytes[1], &macs[1]);
		ok(rc == 0 && bytes[0] == bytes[1] && macs[0] == macs[1] && macs[0] > 0,
		   "%s: a pass that only plans asks for the same %zu bytes, and counts the same work", dir, bytes[0]);
	}
	json_decref(line);
}

/* A name of transformers for the same network under each head. */
static void check_names(void)
{
	struct ft_model *m = ft_model_open(DECODERS "gpt2/tiny-lm", NULL, 0);
	is_str(ft_model_architecture(m), "GPT2LMHeadModel", "GPT-2's own name");
	ft_model_free(m);
	m = ft_model_open(DECODERS "gemma3/tiny-classify", NULL, 0);
	is_str(ft_model_architecture(m), "Gemma3TextForSequenceClassification", "of a classifier");
	ft_model_free(m);
	ok(!open_as(DECODERS "gpt2/tiny-lm", "{\"type\":\"mlm\"}") && strstr(ft_message(), "lm is"), "no masked model: %s",
	   ft_message());
	ok(!open_as("tests/ref/tiny-bert", "{\"type\":\"lm\"}") && strstr(ft_message(), "mlm is"), "no causal one: %s",
	   ft_message());
}

int main(void)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		check_head(families[i].name, "lm");
		if (families[i].classify)
			check_head(families[i].name, "classify");
	}
	check_names();
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		check_packed(families[i].name, true);
		check_packed(families[i].name, false);
	}
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		check_recompute(in_family(families[i].name, "tiny-lm"), in_family(families[i].name, "lm.jsonl"));
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		check_plan(in_family(families[i].name, "tiny-lm"), in_family(families[i].name, "lm.jsonl"));
	check_plan("tests/ref/tiny-bert-classify", "tests/ref/tiny-bert-expected/classify.jsonl");
	check_plan("tests/ref/encoders/modernbert/tiny-classify", "tests/ref/encoders/modernbert/classify.jsonl");
	check_recompute("tests/ref/tiny-bert-classify", "tests/ref/tiny-bert-expected/classify.jsonl");
	check_recompute("tests/ref/encoders/modernbert/tiny-classify", "tests/ref/encoders/modernbert/classify.jsonl");
	return tap_done();
}
