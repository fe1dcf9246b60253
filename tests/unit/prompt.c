/* prompt.c - what stands before every row: prompts and prefixes against PEFT (tests/ref/README.md), and that neither the rest of the
 * program nor the base notices. */
#include "ft/adapter.h"
#include "ft/cache.h"
#include "ft/optim.h"
#include "tests/reference.h"

#define FOLDER "tests/ref/prompts/"

static const struct {
	const char *name, *dir, *batch;
	bool classify;
	const char *techniques; /* of the reference */
} models[] = {
	{ "bert", "tests/ref/tiny-bert-classify", "tests/ref/tiny-bert-expected/classify.jsonl", true,
	  "prompt prefix projection" },
	{ "roberta", "tests/ref/encoders/roberta/tiny-classify", "tests/ref/encoders/roberta/classify.jsonl", true,
	  "prompt prefix" },
	{ "gpt2", "tests/ref/decoders/gpt2/tiny-lm", "tests/ref/decoders/gpt2/lm.jsonl", false,
	  "prompt prefix projection" },
	{ "llama", "tests/ref/decoders/llama/tiny-lm", "tests/ref/decoders/llama/lm.jsonl", false,
	  "prompt prefix projection" },
	{ "qwen2", "tests/ref/decoders/qwen2/tiny-lm", "tests/ref/decoders/qwen2/lm.jsonl", false,
	  "prompt prefix" },
	{ "gemma2", "tests/ref/decoders/gemma2/tiny-lm", "tests/ref/decoders/gemma2/lm.jsonl", false,
	  "prompt prefix" },
	{ "gemma3", "tests/ref/decoders/gemma3/tiny-lm", "tests/ref/decoders/gemma3/lm.jsonl", false,
	  "prompt prefix" },
	{ "mistral", "tests/ref/decoders/mistral/tiny-lm", "tests/ref/decoders/mistral/lm.jsonl", false, "prefix" },
	{ "qwen3", "tests/ref/decoders/qwen3/tiny-lm", "tests/ref/decoders/qwen3/lm.jsonl", false, "prefix" },
};
enum { MODELS = sizeof models / sizeof *models, BERT = 0, GPT2 = 2, LLAMA = 3 };

static const struct {
	const char *name, *option, *said;
} techniques[] = {
	{ "prompt", "prompt", "n=5" },
	{ "prefix", "prefix", "n=5" },
	{ "projection", "prefix", "n=5,projection=7" },
};
enum { TECHNIQUES = sizeof techniques / sizeof *techniques };

static struct ft_model *open_with(const char *dir, const char *option, const char *said)
{
	struct ft_plan_technique t = { option, said };
	struct ft_plan plan = { .last_layers = -1, .layer_decay = 1, .seed = 3, .techniques = &t, .ntechniques = 1 };
	return ft_model_plan(dir, NULL, &plan, 0);
}

/* ---- the reference ---- */
struct pair { /* a parameter, and where the reference has its numbers */
	const char *theirs;
	int64_t row, column;
};

/* False: the reference has none of them. */
static bool get_pair(const struct ft_model *m, size_t i, struct pair *out)
{
	static const char *const whole[][2] = { { "embed.word.prompt.vectors", "embedding.weight" },
		{ "embed.prefix.vectors", "embedding.weight" }, { "embed.prefix.inner.weight", "transform.0.weight" },
		{ "embed.prefix.inner.bias", "transform.0.bias" } };
	const struct ft_param *p = ft_model_param(m, i);
	int layer;
	char part[20];
	*out = (struct pair){ 0 };
	for (size_t k = 0; k < sizeof whole / sizeof *whole; k++)
		if (strcmp(p->name, whole[k][0]) == 0)
			out->theirs = whole[k][1];
	if (sscanf(p->name, "layer.%d.attn.prefix.%19s", &layer, part) != 2)
		return out->theirs != NULL;
	bool rows = strcmp(part, "kv.weight") == 0;
	*out = (struct pair){ rows ? "transform.2.weight" : strcmp(part, "kv") ? "transform.2.bias" : "embedding.weight",
		              rows ? layer * p->t.rows : 0, rows ? 0 : layer * p->t.cols };
	return true;
}

static const struct ft_stored *reference(struct ft_safetensors *s, const char *technique, const char *grad, const char *part)
{
	char name[120];
	snprintf(name, sizeof name, "%s.%s%s", technique, grad, part);
	return ft_safetensors_find(s, name);
}

static float at(const struct ft_stored *t, int64_t row, int64_t column)
{
	float x;
	int64_t cols = t->rank == 2 ? t->shape[1] : 0;
	memcpy(&x, (const char *)t->data + 4 * (row * cols + column), 4);
	return x;
}

/* Takes the reference's values for those that the plan has made. How many parameters that were. */
static int take_values(struct ft_model *m, struct ft_safetensors *s, const char *technique)
{
	int n = 0;
	struct pair k;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_tensor *t = &ft_model_param(m, i)->t;
		if (!get_pair(m, i, &k))
			continue;
		const struct ft_stored *from = reference(s, technique, "", k.theirs);
		n += from != NULL;
		for (int64_t x = 0; from && x < t->rows * t->cols; x++)
			t->data[x] = at(from, k.row + x / t->cols, k.column + x % t->cols);
	}
	return n;
}

/* |gradient - reference's| / |reference's|, the worst of all parameters. */
static double worst_gradient(struct ft_model *m, struct ft_safetensors *s, const char *technique, double scale)
{
	double most = 0;
	struct pair k;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_tensor *t = &ft_model_param(m, i)->t;
		double wrong = 0, all = 0;
		if (!get_pair(m, i, &k))
			continue;
		const struct ft_stored *want = reference(s, technique, "grad.", k.theirs);
		for (int64_t x = 0; want && x < t->rows * t->cols; x++) {
			double w = at(want, k.row + x / t->cols, k.column + x % t->cols), d = t->grad[x] * scale - w;
			wrong += d * d;
			all += w * w;
		}
		double d = want && t->has_grad && all > 0 ? sqrt(wrong / all) : INFINITY;
		most = d <= most ? most : d;
	}
	return most;
}

static double expected_loss(const char *name, const char *technique)
{
	json_t *all = ft_json_load(FOLDER "expected.json");
	double v = json_number_value(json_object_get(json_object_get(json_object_get(all, "loss"), name), technique));
	json_decref(all);
	return v;
}

static void check_reference(int i, int k)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = open_with(models[i].dir, techniques[k].option, techniques[k].said);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL; /* it makes room for gradients */
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	struct ft_output out = { 0 };
	const char *name = models[i].name, *what = techniques[k].name;
	char file[80];
	snprintf(file, sizeof file, FOLDER "%s.safetensors", name);
	struct ft_safetensors *want = ft_safetensors_open(file);
	json_t *line = line_of(models[i].batch, 0);
	if (!ok(optim && line && want, "%s, %s opens: %s", name, what, ft_message()))
		return;
	take_batch(&h, line, false);
	ok(take_values(m, want, what) > 0, "%s, %s: values of the reference", name, what);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &h.b, &out), 0, "a step");
	is_near(out.loss_sum / out.weight, expected_loss(name, what), 1e-5, "loss");
	double d = worst_gradient(m, want, what, 1 / out.weight);
	ok(d < 1e-4, "%s, %s: gradients, worst %.2g of its norm", name, what, d);
	h.b.labels = models[i].classify ? h.b.labels : NULL; /* of language models: what follows each row */
	is_int(ft_model_eval(m, g, &h.b, &out), 0, "in inference");
	const struct ft_stored *logits = reference(want, what, "", "logits");
	d = out.logits && logits && out.units * out.outputs == logits->bytes / 4 ? worst(out.logits, logits) : INFINITY;
	ok(d < 1e-5, "%s, %s: logits, worst %.2g", name, what, d);
	struct ft_virtual v;
	const struct ft_stored *saved = reference(want, what, "", "saved");
	d = ft_model_virtual(m, &v) == 1 && saved->shape[0] == v.rows && saved->shape[1] == v.cols ? worst(v.data, saved)
	                                                                                       : INFINITY;
	ok(d < 1e-6, "%s, %s: what PEFT saves, worst %.2g", name, what, d);
	free(v.data);
	json_decref(line);
	ft_safetensors_close(want);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* What PEFT has saved is a model, with the same logits. */
static void check_folder(int i, int k)
{
	static struct held h;
	struct ft_output out = { 0 };
	char path[100];
	snprintf(path, sizeof path, FOLDER "%s-%s", models[i].name, techniques[k].name);
	struct ft_model *m = ft_model_open(path, NULL, 0);
	struct ft_graph *g = ft_graph_new();
	snprintf(path, sizeof path, FOLDER "%s.safetensors", models[i].name);
	struct ft_safetensors *want = ft_safetensors_open(path);
	json_t *line = line_of(models[i].batch, 0);
	take_batch(&h, line, false);
	h.b.labels = NULL;
	if (ok(m && ft_model_eval(m, g, &h.b, &out) == 0, "%s, %s: the folder of PEFT opens", models[i].name, techniques[k].name)) {
		double d = worst(out.logits, reference(want, techniques[k].name, "", "logits"));
		ok(d < 1e-5, "and gives its logits, worst %.2g", d);
	}
	json_decref(line);
	ft_safetensors_close(want);
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- how a prompt begins ---- */
static void check_start(void)
{
	json_t *all = ft_json_load(FOLDER "expected.json"), *start = json_object_get(all, "start"), *want;
	const char *n;
	json_object_foreach(json_object_get(start, "ids"), n, want) {
		char said[120];
		snprintf(said, sizeof said, "n=%s,text=%s", n, json_string_value(json_object_get(start, "text")));
		struct ft_model *m = open_with(models[BERT].dir, "prompt", said);
		const json_t *adapter = m ? json_array_get(json_object_get(ft_model_meta(m), "adapt"), 0) : NULL;
		ok(json_equal(json_object_get(adapter, "tokens"), want), "%s tokens of a text are PEFT's", n);
		const struct ft_param *v = m ? ft_model_find(m, "embed.word.prompt.vectors") : NULL;
		const struct ft_param *words = m ? ft_model_find(m, "embed.word.weight") : NULL;
		float row[64];
		bool same = v && words && v->t.cols <= 64;
		for (int64_t i = 0; same && i < v->t.rows; i++) {
			ft_tensor_floats(&words->t, json_integer_value(json_array_get(want, (size_t)i)), 1, row);
			same = memcmp(row, v->t.data + i * v->t.cols, (size_t)v->t.cols * sizeof *row) == 0;
		}
		ok(same, "and begin as their vectors");
		ft_model_free(m);
	}
	json_decref(all);
	struct ft_model *m = open_with(models[BERT].dir, "prompt", "n=2,text=good, or, n=3");
	const json_t *adapter = m ? json_array_get(json_object_get(ft_model_meta(m), "adapt"), 0) : NULL;
	is_str(json_string_value(json_object_get(adapter, "text")), "good, or, n=3", "commas are of the text");
	ft_model_free(m);
}

static void check_room(void)
{
	struct ft_model *m = open_with(models[BERT].dir, "prompt", "n=20");
	is_int(m ? ft_model_length(m, 0) : 0, 64 - 20, "a row may have as many tokens less");
	ft_model_free(m);
	m = open_with(models[BERT].dir, "prefix", "n=20");
	is_int(m ? ft_model_length(m, 0) : 0, 64 - 20, "also behind a prefix");
	ft_model_free(m);
	m = open_with(models[BERT].dir, "prompt", "n=64");
	ok(!m && strstr(ft_message(), "at embed.word") && strstr(ft_message(), "64 positions"), "or there is no room: %s",
	   ft_message());
	ft_model_free(m);
}

/* ---- what nobody else notices ---- */
static uint64_t sum_of(const struct ft_model *m, bool techniques_)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		bool head = strncmp(p->name, "head.", 5) == 0 || strncmp(p->name, "pool.", 5) == 0;
		size_t n = (size_t)(p->t.rows * p->t.cols);
		for (size_t x = 0; p->technique == techniques_ && !head && p->t.data && x < n; x++) {
			uint32_t bits;
			memcpy(&bits, &p->t.data[x], sizeof bits);
			sum = sum * 31 + bits;
		}
	}
	return sum;
}

/* A training step with dropout: sums of what trained and of what did not. */
static void train_step(int i, int k, bool recompute, uint64_t *trained, uint64_t *frozen)
{
	struct ft_optim_options o = { .name = "adamw", .weight_decay = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 };
	struct ft_model *m = open_with(models[i].dir, techniques[k].option, techniques[k].said);
	struct ft_optim *optim = ft_optim_new(m, &o);
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	struct ft_output out;
	json_t *line = line_of(models[i].batch, 0);
	take_batch(&h, line, false);
	*frozen = sum_of(m, false);
	uint64_t before = sum_of(m, true);
	ft_model_dropout(m, 0.1);
	ft_graph_recompute(g, recompute);
	ft_graph_begin(g, FT_TRAIN, 5, 1);
	is_int(ft_model_step(m, g, &h.b, &out), 0, "a step");
	ft_optim_step(optim, 1e-2, 1 / out.weight);
	*trained = sum_of(m, true);
	ok(*trained != before && sum_of(m, false) == *frozen, "%s, %s: it trains, and what is frozen stays to the bit",
	   models[i].name, techniques[k].name);
	json_decref(line);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

static void check_training(int i, int k)
{
	uint64_t trained[2], frozen[2];
	train_step(i, k, false, &trained[0], &frozen[0]);
	train_step(i, k, true, &trained[1], &frozen[1]);
	ok(trained[0] == trained[1], "%s, %s: the same bits from layers that are computed twice", models[i].name,
	   techniques[k].name);
}

static void check_plain(int i, int k)
{
	struct ft_model *m = open_with(models[i].dir, techniques[k].option, techniques[k].said);
	struct ft_model *base = ft_model_open(models[i].dir, NULL, 0);
	struct ft_graph *g = ft_graph_new(), *h = ft_graph_new();
	static struct held batch;
	struct ft_output plain, with, out;
	json_t *line = line_of(models[i].batch, 0);
	take_batch(&batch, line, false);
	batch.b.labels = NULL;
	int rc = ft_model_eval(base, h, &batch.b, &out);
	ft_model_plain(m, true);
	rc = rc ? rc : ft_model_eval(m, g, &batch.b, &plain);
	size_t bytes = out.units * out.outputs * sizeof(float);
	ok(rc == 0 && plain.units == out.units && memcmp(plain.logits, out.logits, bytes) == 0,
	   "%s, %s: switched off it is the base", models[i].name, techniques[k].name);
	ft_model_plain(m, false);
	rc = rc ? rc : ft_model_eval(m, g, &batch.b, &with);
	ok(rc == 0 && with.units == out.units && memcmp(with.logits, out.logits, bytes) != 0, "and then on again");
	json_decref(line);
	ft_graph_free(g);
	ft_graph_free(h);
	ft_model_free(base);
	ft_model_free(m);
}

static struct ft_batch one_row(const struct held *h, size_t r, int32_t offsets[2])
{
	offsets[0] = 0;
	offsets[1] = h->offsets[r + 1] - h->offsets[r];
	return (struct ft_batch){ .ids = h->ids + h->offsets[r], .types = h->types + h->offsets[r], .offsets = offsets, .rows = 1,
		                  .tokens = (size_t)offsets[1], .epoch = -1 };
}

/* Each row has what stands before it to itself. */
static void check_rows(int i, int k)
{
	struct ft_model *m = open_with(models[i].dir, techniques[k].option, techniques[k].said);
	struct ft_graph *g = ft_graph_new(), *alone = ft_graph_new();
	static struct held h;
	struct ft_output out, one;
	json_t *line = line_of(models[i].batch, 0);
	take_batch(&h, line, false);
	h.b.labels = NULL;
	int rc = ft_model_eval(m, g, &h.b, &out);
	double most = 0;
	for (size_t r = 0; rc == 0 && r < h.b.rows; r++) {
		int32_t offsets[2];
		struct ft_batch b = one_row(&h, r, offsets);
		rc = ft_model_eval(m, alone, &b, &one);
		for (size_t c = 0; rc == 0 && c < out.outputs; c++)
			most = fmax(most, fabs((double)one.logits[c] - out.logits[r * out.outputs + c]));
	}
	ok(rc == 0 && most == 0, "%s, %s: rows end to end are as each alone (%.2g)", models[i].name, techniques[k].name, most);
	json_decref(line);
	ft_graph_free(g);
	ft_graph_free(alone);
	ft_model_free(m);
}

/* The next n tokens of a row, and what follows them. */
static int feed(struct ft_model *m, struct ft_graph *g, struct ft_cache *c, const int32_t *ids, size_t n,
                struct ft_output *out)
{
	struct ft_batch b = { .ids = ids, .offsets = (int32_t[]){ 0, (int32_t)n }, .rows = 1, .tokens = n, .epoch = -1 };
	int rc = ft_model_eval(m, g, &b, out);
	return rc ? rc : ft_cache_add(c, &b);
}

/* A token a pass behind the first two, one of them taken back, rows changing places, is as all at once. */
static void check_cache(int i, int k)
{
	struct ft_model *m = open_with(models[i].dir, techniques[k].option, techniques[k].said);
	struct ft_graph *g = ft_graph_new();
	struct ft_cache *c = ft_cache_new();
	static struct held h;
	struct ft_output out;
	json_t *line = line_of(models[i].batch, 0);
	take_batch(&h, line, false);
	int32_t offsets[2];
	struct ft_batch whole = one_row(&h, 4, offsets);
	float logits[64];
	int rc = ft_model_eval(m, g, &whole, &out);
	memcpy(logits, out.logits, out.outputs * sizeof *logits);
	ft_graph_cache(g, c);
	for (size_t n = 0, step = 2; rc == 0 && n < whole.tokens; n += step, step = 1) {
		rc = feed(m, g, c, whole.ids + n, step, &out);
		ft_cache_cut(c, 0, (int64_t)n);
		rc = rc ? rc : feed(m, g, c, whole.ids + n, step, &out);
		rc = rc ? rc : ft_cache_select(c, (int32_t[]){ 0, 0 }, 2);
		rc = rc ? rc : ft_cache_select(c, (int32_t[]){ 1 }, 1);
	}
	double most = 0;
	for (size_t x = 0; rc == 0 && x < out.outputs; x++)
		most = fmax(most, fabs((double)out.logits[x] - logits[x]));
	ok(rc == 0 && most == 0 && ft_cache_length(c, 0) == (int64_t)whole.tokens, "%s, %s: over a cache (%.2g)",
	   models[i].name, techniques[k].name, most);
	json_decref(line);
	ft_cache_free(c);
	ft_graph_free(g);
	ft_model_free(m);
}

/* A tagger answers for the tokens that it was given. */
static void check_tags(int k)
{
	struct ft_model *m = open_with("tests/ref/tiny-bert-tag", techniques[k].option, techniques[k].said);
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	struct ft_output out;
	json_t *line = line_of("tests/ref/tiny-bert-expected/tag.jsonl", 0);
	take_batch(&h, line, false);
	size_t n = 0, units = 0;
	for (size_t t = 0; t < h.b.tokens; t++)
		n += h.b.labels[t] != FT_IGNORE;
	static float supervised[2048];
	ok(ft_model_eval(m, g, &h.b, &out) == 0 && out.units == n, "%s: tags of what is supervised", techniques[k].name);
	memcpy(supervised, out.logits, out.units * out.outputs * sizeof *supervised);
	const int32_t *labels = h.b.labels;
	h.b.labels = NULL;
	ok(ft_model_eval(m, g, &h.b, &out) == 0 && out.units == h.b.tokens, "or of every token");
	bool same = true;
	for (size_t t = 0; same && t < h.b.tokens; t++)
		if (labels[t] != FT_IGNORE)
			same = memcmp(supervised + units++ * out.outputs, out.logits + t * out.outputs, out.outputs * sizeof(float)) == 0;
	ok(same, "which are the same");
	json_decref(line);
	ft_graph_free(g);
	ft_model_free(m);
}

int main(void)
{
	for (int k = 0; k < TECHNIQUES; k++) {
		for (int i = 0; i < MODELS; i++) {
			if (strstr(models[i].techniques, techniques[k].name))
				check_reference(i, k);
			if (!models[i].classify)
				check_cache(i, k);
			check_rows(i, k);
			check_plain(i, k);
		}
		check_training(BERT, k);
		check_training(LLAMA, k);
		check_tags(k);
	}
	check_folder(BERT, 0);
	check_folder(GPT2, 2);
	check_folder(LLAMA, 1);
	check_start();
	check_room();
	return tap_done();
}
