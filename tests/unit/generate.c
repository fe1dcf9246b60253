/* generate.c - going on from texts: the cache, greedy and beam search against transformers,
 * what sampling leaves to choose from (tests/ref/README.md), and the text as it comes. */
#include "ft/cache.h"
#include "ft/generate.h"
#include "tests/reference.h"

#define DECODERS "tests/ref/decoders/"
#define MOST 64

static const char *const families[] = { "gpt2", "llama", "llama-options", "mistral", "qwen2", "qwen3", "gemma2", "gemma3" };
enum { FAMILIES = sizeof families / sizeof *families };

static struct ft_tok *tok; /* its pieces do not matter */
static json_t *expected;

static struct ft_model *open_family(const char *name)
{
	char path[120];
	snprintf(path, sizeof path, DECODERS "%s/tiny-lm", name);
	return ft_model_open(path, NULL, 0);
}

/* A batch of rows that are lists of ids. */
static void take_rows(struct held *h, json_t *const *rows, size_t n)
{
	size_t j;
	json_t *v;
	memset(h, 0, sizeof *h);
	for (size_t i = 0; i < n; i++) {
		json_array_foreach(rows[i], j, v)
			h->ids[h->b.tokens++] = (int32_t)json_integer_value(v);
		h->offsets[++h->b.rows] = (int32_t)h->b.tokens;
	}
	h->b.ids = h->ids;
	h->b.offsets = h->offsets;
	h->b.epoch = -1;
}

static bool same_ids(const struct ft_answer *a, const json_t *want)
{
	bool same = a->n == json_array_size(want);
	for (size_t i = 0; same && i < a->n; i++)
		same = a->ids[i] == json_integer_value(json_array_get(want, i));
	return same;
}

/* ---- the cache ---- */

/* Tokens one by one, or in two pieces, give the logits of all at once. */
static void check_cache(const char *name)
{
	struct ft_model *m = open_family(name);
	struct ft_graph *g = ft_graph_new();
	struct ft_cache *c = ft_cache_new();
	const json_t *prompt = json_object_get(json_object_get(json_object_get(expected, name), "greedy"), "prompt");
	struct held h;
	take_rows(&h, (json_t *[]){ (json_t *)(uintptr_t)prompt }, 1);
	float *whole = malloc(sizeof *whole * 64);
	struct ft_output out;
	ft_model_eval(m, g, &h.b, &out);
	size_t n = h.b.tokens;
	memcpy(whole, out.logits, out.outputs * sizeof *whole);
	double most[2] = { 0, 0 };
	for (int way = 0; way < 2; way++) {
		ft_graph_cache(g, c);
		for (size_t at = 0, step; at < n; at += step) {
			step = way == 0 ? 1 : at ? n - at : n / 3;
			struct ft_batch b = { .ids = h.ids + at, .offsets = (int32_t[]){ 0, (int32_t)step }, .rows = 1,
				              .tokens = step, .epoch = -1 };
			ok(ft_model_eval(m, g, &b, &out) == 0, "%s: %zu tokens behind %zu", name, step, at);
			ft_cache_add(c, &b);
		}
		for (size_t i = 0; i < out.outputs; i++)
			most[way] = fmax(most[way], fabs((double)out.logits[i] - whole[i]));
		is_int(ft_cache_length(c, 0), n, "all are of the past");
		ft_cache_cut(c, 0, 0);
		ft_graph_cache(g, NULL);
	}
	ok(most[0] < 1e-5 && most[1] < 1e-5, "%s: the same logits token by token (%.2g) and in two (%.2g)", name, most[0],
	   most[1]);
	free(whole);
	ft_cache_free(c);
	ft_graph_free(g);
	ft_model_free(m);
}

static void check_too_long(void)
{
	struct ft_model *m = open_family("gpt2");
	struct ft_graph *g = ft_graph_new();
	struct ft_cache *c = ft_cache_new();
	static const int32_t ids[48] = { 1 };
	struct ft_output out;
	struct ft_batch b = { .ids = ids, .offsets = (int32_t[]){ 0, 48 }, .rows = 1, .tokens = 48, .epoch = -1 };
	ft_graph_cache(g, c);
	is_int(ft_model_eval(m, g, &b, &out), 0, "as many as there are positions");
	ft_cache_add(c, &b);
	ok(ft_cache_bytes(c) > 0, "it takes memory");
	b.offsets = (int32_t[]){ 0, 1 };
	b.tokens = 1;
	is_int(ft_model_eval(m, g, &b, &out), FT_EMATCH, "one more is too many");
	ok(strstr(ft_message(), "49 tokens; the model has 48") != NULL, "it says so: %s", ft_message());
	ft_cache_free(c);
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- greedy ---- */

static void check_greedy(const char *name)
{
	json_t *want = json_object_get(json_object_get(expected, name), "greedy");
	struct ft_model *m = open_family(name);
	struct ft_graph *g = ft_graph_new();
	json_t *other = json_pack("[i,i,i]", 5, 6, 7), *one = json_pack("[i]", 9), *prompt = json_object_get(want, "prompt");
	struct held h;
	struct ft_answer a[3] = { { 0 } }, alone = { 0 };
	struct ft_generate_options o = { .sample = FT_SAMPLE_GREEDY, .max_new = 30 };
	take_rows(&h, (json_t *[]){ other, prompt, one }, 3);
	ok(ft_generate(m, g, tok, &o, &h.b, NULL, NULL, a) == 0, "%s: three rows", name);
	double sum = 0;
	for (size_t i = 0; i < 30; i++)
		sum += json_number_value(json_array_get(json_object_get(want, "logprobs"), i));
	ok(same_ids(&a[1], json_object_get(want, "ids")), "%s: 30 tokens", name);
	is_near(a[1].logprob, sum, 1e-4, "their log-probability");
	is_int(a[1].finish, FT_FINISH_LENGTH, "ended by their number");
	take_rows(&h, (json_t *[]){ other }, 1);
	ft_generate(m, g, tok, &o, &h.b, NULL, NULL, &alone);
	ok(alone.n == a[0].n && memcmp(alone.ids, a[0].ids, alone.n * sizeof *alone.ids) == 0, "a row alone is answered alike");
	/* One row ends early, and leaves. */
	o.ends = &a[0].ids[4];
	o.nends = 1;
	struct ft_answer b[3] = { { 0 } };
	take_rows(&h, (json_t *[]){ other, prompt, one }, 3);
	ft_generate(m, g, tok, &o, &h.b, NULL, NULL, b);
	size_t stop = 0;
	while (stop < 30 && a[1].ids[stop] != a[0].ids[4])
		stop++;
	ok(b[0].n <= 5 && b[0].finish == FT_FINISH_STOP && b[1].n == (stop < 30 ? stop + 1 : 30) &&
	   memcmp(a[1].ids, b[1].ids, b[1].n * sizeof *b[1].ids) == 0, "%s: rows end one by one (%zu, %zu, %zu)", name, b[0].n,
	   b[1].n, b[2].n);
	for (int i = 0; i < 3; i++) {
		ft_answer_free(&a[i]);
		ft_answer_free(&b[i]);
	}
	ft_answer_free(&alone);
	json_decref(other);
	json_decref(one);
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- beams ---- */
static void check_beams(const char *name)
{
	struct ft_model *m = open_family(name);
	struct ft_graph *g = ft_graph_new();
	size_t i, j;
	json_t *want, *v;
	json_array_foreach(json_object_get(json_object_get(expected, name), "beams"), i, want) {
		int32_t ends[8];
		struct ft_generate_options o = { .sample = FT_SAMPLE_GREEDY, .max_new = 12, .ends = ends };
		struct ft_answer a = { 0 };
		struct held h;
		json_array_foreach(json_object_get(want, "ends"), j, v)
			ends[o.nends++] = (int32_t)json_integer_value(v);
		o.beams = json_integer_value(json_object_get(want, "width"));
		o.length_penalty = json_number_value(json_object_get(want, "penalty"));
		take_rows(&h, (json_t *[]){ json_object_get(want, "prompt") }, 1);
		ok(ft_generate(m, g, tok, &o, &h.b, NULL, NULL, &a) == 0, "%s: %lld beams", name, (long long)o.beams);
		ok(same_ids(&a, json_object_get(want, "ids")), "%s: what beam search %zu finds (%zu tokens)", name, i, a.n);
		is_near(a.logprob / pow((double)a.n, o.length_penalty), json_number_value(json_object_get(want, "score")), 1e-4,
		        "its score");
		ft_answer_free(&a);
	}
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- sampling ---- */
static void check_sampling(void)
{
	json_t *all = ft_json_load("tests/ref/sampling.json"), *c, *v;
	float logits[40];
	int32_t seen[8];
	size_t i, j, n = 0;
	json_array_foreach(json_object_get(all, "seen"), j, v)
		seen[n++] = (int32_t)json_integer_value(v);
	json_array_foreach(json_object_get(all, "cases"), i, c) {
		int err = 0;
		struct ft_sample_options o = { .temperature = ft_json_real(c, "temperature", 1, &err),
			                       .top_k = ft_json_int(c, "top_k", 0, &err), .top_p = ft_json_real(c, "top_p", 1, &err),
			                       .min_p = ft_json_real(c, "min_p", 0, &err),
			                       .penalty = ft_json_real(c, "penalty", 1, &err) };
		struct ft_sampler *s = ft_sampler_new(&o, 40);
		json_array_foreach(json_object_get(all, "logits"), j, v)
			logits[j] = (float)json_number_value(v);
		const float *w = ft_sample_weights(s, logits, seen, n);
		double most = 0;
		json_array_foreach(json_object_get(c, "weights"), j, v)
			most = fmax(most, fabs(w[j] - json_number_value(v)));
		ok(most < 1e-6, "sampling %zu: the same probabilities (%.2g)", i, most);
		ft_sampler_free(s);
	}
	json_decref(all);
}

/* As often as their probabilities say, and again the same with the same seed. */
static void check_choice(void)
{
	struct ft_sample_options o = { .temperature = 1, .top_p = 1, .penalty = 1, .seed = 3 };
	struct ft_sampler *s = ft_sampler_new(&o, 3);
	int count[3] = { 0 }, again = 0;
	for (uint64_t i = 0; i < 20000; i++) {
		float a[3] = { logf(0.2f), logf(0.5f), logf(0.3f) }, b[3];
		double p;
		memcpy(b, a, sizeof b);
		int32_t id = ft_sample(s, a, NULL, 0, i / 100, i % 100, &p);
		again += id == ft_sample(s, b, NULL, 0, i / 100, i % 100, NULL);
		count[id]++;
	}
	ok(abs(count[0] - 4000) < 300 && abs(count[1] - 10000) < 400, "chosen by weight: %d, %d, %d", count[0], count[1], count[2]);
	is_int(again, 20000, "by seed, row and place");
	ft_sampler_free(s);
	o.top_p = 0;
	is_int(ft_sample_check(&o), FT_EUSAGE, "an option out of range");
}

/* ---- text ---- */
static struct ft_buf told;

static int hear(void *ctx, size_t row, const char *text, size_t n)
{
	(void)ctx;
	(void)row;
	return ft_buf_append(&told, text, n);
}

static void check_text(void)
{
	struct ft_model *m = open_family("llama");
	struct ft_graph *g = ft_graph_new();
	struct ft_generate_options o = { .sample = { .temperature = 1.5, .top_p = 1, .penalty = 1, .seed = 5 }, .max_new = 24 };
	struct ft_answer a = { 0 }, b = { 0 };
	json_t *prompt = json_pack("[i,i]", 30, 31);
	struct held h;
	take_rows(&h, (json_t *[]){ prompt }, 1);
	is_int(ft_generate(m, g, tok, &o, &h.b, hear, NULL, &a), 0, "by chance");
	ok(a.text.len > 8 && told.len == a.text.len && memcmp(told.data, a.text.data, told.len) == 0,
	   "what is said piece by piece is the text: '%.*s'", (int)a.text.len, (char *)a.text.data);
	struct ft_buf all = { 0 };
	ft_tok_decode(tok, a.ids, a.n, true, &all);
	size_t skip = all.len && a.text.len == all.len + 1; /* the space behind the prompt */
	ok(a.text.len - skip == all.len && memcmp((char *)a.text.data + skip, all.data, all.len) == 0, "and that of its tokens");
	char stop[4] = { 0 };
	memcpy(stop, (char *)a.text.data + a.text.len / 2, 3);
	o.stops = (const char *const[]){ "no such text", stop };
	o.nstops = 2;
	told.len = 0;
	is_int(ft_generate(m, g, tok, &o, &h.b, hear, NULL, &b), 0, "with a stop");
	const char *at = memmem(a.text.data, a.text.len, stop, 3);
	ok(b.finish == FT_FINISH_STOP && b.text.len == (size_t)(at - (char *)a.text.data) &&
	   memcmp(a.text.data, b.text.data, b.text.len) == 0, "ends before '%s': '%.*s'", stop, (int)b.text.len,
	   (char *)b.text.data);
	ok(told.len == b.text.len, "and no more is said");
	ft_buf_free(&all);
	ft_buf_free(&told);
	ft_answer_free(&a);
	ft_answer_free(&b);
	json_decref(prompt);
	ft_graph_free(g);
	ft_model_free(m);
}

int main(void)
{
	tok = ft_tok_open("tests/ref/tiny-bert");
	expected = ft_json_load(DECODERS "expected.json");
	for (int i = 0; i < FAMILIES; i++) {
		check_cache(families[i]);
		check_greedy(families[i]);
		check_beams(families[i]);
	}
	check_too_long();
	check_sampling();
	check_choice();
	check_text();
	json_decref(expected);
	ft_tok_free(tok);
	return tap_done();
}
