/* folder.c - adapters at rest: each member of their configurations left out and given as every other kind of value, and
 * names of tensors as other programs and older versions write them. What opens has the numbers of the file; all else is
 * refused with a reason that names the file and the member. */
#include "ft/adapter.h"
#include "ft/format.h"
#include "ft/json.h"
#include "ft/mem.h"
#include "tests/odd.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/"

static const char bert[] = "tiny-bert-classify", llama[] = "decoders/llama/tiny-lm", gpt2[] = "decoders/gpt2/tiny-lm";
static char scratch[] = "/tmp/ft-folder.XXXXXX";
static const char *const files[] = { "adapter_config.json", "head_config.json", "ft.json", "adapter_model.safetensors",
	                             "adapters.safetensors", "adapter.safetensors", "model_head.safetensors" };

static const char *in_folder(const char *name)
{
	static char path[160];
	snprintf(path, sizeof path, "%s/%s", scratch, name);
	return path;
}

static void put(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(in_folder(name), "wb");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f))
		perror(name);
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

static void put_json(const char *name, const json_t *v)
{
	char *text = ft_json_text(v);
	put_text(name, text);
	free(text);
}

static void clear(void)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlink(in_folder(files[i]));
}

/* The files of a folder of the reference. */
static void copy(const char *from)
{
	clear();
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[200];
		struct ft_buf b = { 0 };
		snprintf(path, sizeof path, REF "%s/%s", from, files[i]);
		FILE *f = fopen(path, "rb");
		for (size_t n = 1; f && n && ft_buf_reserve(&b, 1 << 16) == FT_OK; b.len += n)
			n = fread(b.data + b.len, 1, 1 << 16, f);
		if (f)
			put(files[i], b.data, b.len);
		if (f)
			fclose(f);
		ft_buf_free(&b);
	}
}

/* A file of these tensors: "NAME ROWS COLS", or "NAME LENGTH"; all numbers are 0. */
static void put_tensors(const char *name, const char *const *tensors, size_t n)
{
	json_t *header = json_object();
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		char own[200];
		long rows = 0, cols = 0;
		int k = sscanf(tensors[i], "%199s %ld %ld", own, &rows, &cols);
		size_t bytes = 4 * (size_t)rows * (size_t)(k == 3 ? cols : 1);
		json_object_set_new(header, own, json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape",
		                    k == 3 ? json_pack("[i,i]", (int)rows, (int)cols) : json_pack("[i]", (int)rows),
		                    "data_offsets", (json_int_t)at, (json_int_t)(at + bytes)));
		at += bytes;
	}
	char *text = ft_json_text(header);
	uint64_t length = strlen(text);
	char *whole = calloc(1, 8 + length + at);
	memcpy(whole, &length, 8); /* little-endian, as what runs this */
	memcpy(whole + 8, text, length);
	put(name, whole, 8 + length + at);
	free(whole);
	free(text);
	json_decref(header);
}
#define TENSORS(name, ...) put_tensors(name, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static struct ft_model *open_with(const char *base, const char *head)
{
	json_t *v = head ? json_loads(head, 0, NULL) : NULL;
	struct ft_plan plan = { .head = v, .last_layers = -1, .layer_decay = 1, .seed = 1 };
	char path[200];
	snprintf(path, sizeof path, "%s%s", *base == '/' ? "" : REF, base);
	struct ft_model *m = head ? ft_model_plan(scratch, path, &plan, 0) : ft_model_open(scratch, path, 0);
	json_decref(v);
	return m;
}

/* ---- each member ---- */
struct members {
	const char *file, *base;
	int tried, opened, bad;
};

/* The reason names the folder, and the member or what it has become: a number of the technique, a tensor that there is not. */
static void check_member(void *ctx, const json_t *whole, const char *path, const char *value)
{
	struct members *c = ctx;
	put_json(c->file, whole);
	struct ft_model *m = open_with(c->base, NULL);
	const char *why = m ? "" : ft_message();
	bool says = m || ((ft_last_error() == FT_EFORMAT || ft_last_error() == FT_EMATCH) && strstr(why, scratch) &&
	                  (odd_names(why, path) || strstr(why, "adapt: number 0") || strstr(why, "tensor") || strstr(why, "none is a module")));
	c->tried++;
	c->opened += m != NULL;
	c->bad += !says;
	if (!says)
		printf("# %s: %s: %s: %s\n", c->file, path, value, why);
	ft_model_free(m);
}

static void check_members(const char *folder, const char *base, const char *file, int least)
{
	struct members c = { .file = file, .base = base };
	copy(folder);
	json_t *whole = ft_json_load(in_folder(file));
	odd_each(whole, check_member, &c);
	json_decref(whole);
	ok(!c.bad && c.tried >= least && c.opened > 0 && c.opened < c.tried, "%s/%s: %d changes, %d of which open; the others say why",
	   folder, file, c.tried, c.opened);
}

/* ---- names of tensors ---- */

/* The tensors of a file under other names: `from` in them becomes `to`. */
static void rename_tensors(const char *name, const char *from, const char *to)
{
	struct ft_buf b = { 0 };
	FILE *f = fopen(in_folder(name), "rb");
	for (size_t n = 1; f && n && ft_buf_reserve(&b, 1 << 16) == FT_OK; b.len += n)
		n = fread(b.data + b.len, 1, 1 << 16, f);
	if (f)
		fclose(f);
	uint64_t length;
	memcpy(&length, b.data, 8);
	json_t *header = json_loadb((char *)b.data + 8, length, 0, NULL), *renamed = json_object(), *v;
	const char *key;
	json_object_foreach(header, key, v) {
		const char *at = strstr(key, from);
		char own[400];
		snprintf(own, sizeof own, "%.*s%s%s", at ? (int)(at - key) : (int)strlen(key), key, at ? to : "", at ? at + strlen(from) : "");
		json_object_set(renamed, own, v);
	}
	char *text = ft_json_text(renamed);
	uint64_t now = strlen(text);
	unsigned char *whole = malloc(8 + now + b.len);
	memcpy(whole, &now, 8);
	memcpy(whole + 8, text, now);
	memcpy(whole + 8 + now, b.data + 8 + length, b.len - 8 - length);
	put(name, whole, 8 + now + b.len - 8 - length);
	free(whole);
	free(text);
	json_decref(header);
	json_decref(renamed);
	ft_buf_free(&b);
}

/* Whether two models have the same parameters, with the same numbers. */
static bool same(const struct ft_model *a, const struct ft_model *b)
{
	bool equal = a && b && ft_model_params(a) == ft_model_params(b);
	for (size_t i = 0; equal && i < ft_model_params(a); i++) {
		const struct ft_param *p = ft_model_param(a, i), *q = ft_model_param(b, i);
		size_t n = (size_t)(p->t.rows * p->t.cols);
		float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
		equal = strcmp(p->name, q->name) == 0 && n == (size_t)(q->t.rows * q->t.cols);
		if (equal) {
			ft_tensor_floats(&p->t, 0, p->t.rows, x);
			ft_tensor_floats(&q->t, 0, q->t.rows, y);
		}
		equal = equal && memcmp(x, y, n * sizeof *x) == 0;
		free(x);
		free(y);
	}
	return equal;
}

static const char *const weights_of[] = { "adapter_model.safetensors", "adapter.safetensors" };

static void check_renamed(const char *folder, const char *base, const char *from, const char *to)
{
	copy(folder);
	struct ft_model *right = open_with(base, NULL), *m = NULL;
	for (size_t i = 0; i < 2; i++)
		if (access(in_folder(weights_of[i]), F_OK) == 0)
			rename_tensors(weights_of[i], from, to);
	m = open_with(base, NULL);
	ok(same(m, right), "%s: '%s' may be '%s': %s", folder, from, to, m ? "opens" : ft_message());
	ft_model_free(m);
	ft_model_free(right);
}

static void check_unknown(const char *folder, const char *base, const char *from, const char *to)
{
	copy(folder);
	for (size_t i = 0; i < 2; i++)
		if (access(in_folder(weights_of[i]), F_OK) == 0)
			rename_tensors(weights_of[i], from, to);
	struct ft_model *m = open_with(base, NULL);
	ok(!m && strstr(ft_message(), "is called like that") && strstr(ft_message(), to), "%s: but not '%s'", folder, to);
	ft_model_free(m);
}

static void check_names(void)
{
	check_renamed("peft/list", bert, "lora_A.weight", "lora_A.default.weight");
	check_renamed("peft/list", bert, "query.lora", "query.base_layer.lora");
	check_renamed("peft/list", bert, "classifier.", "classifier.modules_to_save.default.");
	check_renamed("peft/list", bert, "classifier.", "classifier.modules_to_save.");
	check_renamed("peft/ia3", bert, "ia3_l", "ia3_l.default");
	check_renamed("peft/llama", llama, "lora_embedding_A", "lora_embedding_A.default");
	check_unknown("peft/list", bert, "query.lora_A.weight", "query.lora_A.default.bias");
	check_unknown("peft/list", bert, "query.lora_A.weight", "query.lora_A.weight.more");
	check_unknown("peft/list", bert, "query.lora_A.weight", "query.lora_A..weight");
	check_unknown("peft/list", bert, "query.lora_A.weight", "query.base_layers.lora_A.weight");
	check_unknown("peft/llama", llama, "lora_embedding_A", "lora_embedding_A.");
	check_renamed("adapterhub/bert-pfeiffer", bert, "output.adapters.", "output.layer_text_task_adapters.");
	check_renamed("adapterhub/bert-pfeiffer", bert, "output.adapters.", "output.layer_text_lang_adapters.");
	check_renamed("adapterhub/bert-houlsby", bert, "attention.output.adapters.", "attention.output.attention_text_task_adapters.");
	check_renamed("adapterhub/bert-houlsby", bert, "attention.output.adapters.", "attention.output.attention_text_lang_adapters.");
	check_unknown("adapterhub/bert-pfeiffer", bert, "output.adapters.", "output.layer_text_other_adapters.");
}

/* ---- configurations ---- */

#define CONFIG "adapter_config.json"
#define HEAD "head_config.json"
#define GONE "\"(gone)\""

/* Members of `more` take the place of those of `v`; what is GONE is taken out. */
static void merge(json_t *v, json_t *more)
{
	const char *key;
	json_t *own;
	json_object_foreach(more, key, own) {
		if (json_is_string(own) && strcmp(json_string_value(own), "(gone)") == 0)
			json_object_del(v, key);
		else if (json_is_object(own) && json_object_size(own) && json_is_object(json_object_get(v, key)))
			merge(json_object_get(v, key), own);
		else
			json_object_set(v, key, own);
	}
}

static void change(const char *file, const char *members)
{
	json_t *v = access(in_folder(file), F_OK) == 0 ? ft_json_load(in_folder(file)) : json_object();
	json_t *more = json_loads(members, 0, NULL);
	merge(v, more);
	put_json(file, v);
	json_decref(v);
	json_decref(more);
}

static void is_refused(struct ft_model *m, const char *reason, const char *what)
{
	const char *why = m ? "it opens" : ft_message();
	ok(!m && strstr(why, reason), "%s: %s", what, why);
	ft_model_free(m);
}

/* As it is without what is said otherwise. */
static void is_same(const char *folder, const char *base, const char *file, const char *members)
{
	copy(folder);
	struct ft_model *right = open_with(base, NULL);
	change(file, members);
	struct ft_model *m = open_with(base, NULL);
	ok(same(m, right), "%s: the same with %s", folder, m ? members : ft_message());
	ft_model_free(m);
	ft_model_free(right);
}

static void is_not(const char *folder, const char *base, const char *file, const char *members, const char *reason)
{
	copy(folder);
	change(file, members);
	is_refused(open_with(base, NULL), reason, members);
}

static void check_modules(void)
{
	static const char list[] = "peft/list";
	is_same(list, bert, CONFIG, "{\"init_lora_weights\":\"gaussian\",\"fan_in_fan_out\":true}");
	is_same(list, bert, CONFIG, "{\"target_modules\":[\"query\",\"value\",\"key\"],\"exclude_modules\":\".*\\\\.key\"}");
	is_same(list, bert, CONFIG, "{\"target_modules\":\"All-Linear\",\"exclude_modules\":[\"key\",\"dense\"]}");
	is_same(list, bert, CONFIG, "{\"layers_to_transform\":[],\"layers_pattern\":\"nothing\"}");
	is_same(list, bert, CONFIG, "{\"layers_to_transform\":[0,1],\"layers_pattern\":[\"layer\",\"h\"]}");
	is_same(list, bert, CONFIG, "{\"layers_to_transform\":[1,0],\"layers_pattern\":\"\"}");
	is_same(list, bert, CONFIG, "{\"rank_pattern\":null,\"alpha_pattern\":{\"nothing\":1,\"query\":16.0}}");
	is_same(list, bert, CONFIG, "{\"modules_to_save\":[\"\",\"class\",\"classifier\"]}");
	is_not(list, bert, CONFIG, "{\"target_modules\":[\"uery\"]}", "target_modules: none is a module");
	is_not(list, bert, CONFIG, "{\"layers_to_transform\":{\"0\":1}}", "layers_to_transform: not a layer's number, or a list of them");
	is_not(list, bert, CONFIG, "{\"layers_to_transform\":[0,\"1\"]}", "layers_to_transform: not a layer's number, or a list of them");
	is_not(list, bert, CONFIG, "{\"exclude_modules\":\"(.*.*)*x(.*.*)*y\"}", "adapter_config.json: exclude_modules: ");
	is_not(list, bert, CONFIG, "{\"target_modules\":[\"query\",\"value\",\"key\"],\"modules_to_save\":[\"classifier\",\"key\"]}",
	       "no tensor for 'bert.encoder.layer.0.attention.self.key.weight', which adapter_config.json says is there");
	is_not("peft/ia3", bert, CONFIG, "{\"feedforward_modules\":\"(.*.*)*x(.*.*)*y\"}", "adapter_config.json: feedforward_modules: ");
	is_same("peft/ia3", bert, CONFIG, "{\"feedforward_modules\":[\"a.name.that.is.longer.than.that.of.any.module.of.such.a.small.network\","
	        "\"output.dense\"]}");
	is_same("prompts/bert-prompt", bert, CONFIG, "{\"num_transformer_submodules\":null}");
	is_not("prompts/bert-prompt", bert, CONFIG, "{\"num_transformer_submodules\":2}", "num_transformer_submodules: 2; networks of one part");
	is_not("prompts/bert-prompt", bert, CONFIG, "{\"modules_to_save\":[7]}", "modules_to_save: number 0 is not a name");
}

/* Lists that are longer than those of any network. */
static void check_long(void)
{
	json_t *names = json_array(), *patterns = json_object(), *config;
	for (int i = 0; i <= 10000; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%d", i);
		json_array_append_new(names, json_string(name));
		json_object_set_new(patterns, name, json_integer(1));
	}
	static const char *const keys[] = { "target_modules", "rank_pattern" };
	for (int i = 0; i < 2; i++) {
		copy("peft/list");
		config = ft_json_load(in_folder(CONFIG));
		json_object_set(config, keys[i], i ? patterns : names);
		put_json(CONFIG, config);
		json_decref(config);
		is_refused(open_with(bert, NULL), i ? "rank_pattern: not an object of at most 10000 patterns"
		                                    : "target_modules: not a list of at most 10000 names", keys[i]);
	}
	json_decref(names);
	json_decref(patterns);
}

/* ---- tensors ---- */
static void check_tensors(void)
{
	static const char weights[] = "adapter_model.safetensors";
	static const char *const one = "{\"target_modules\":[\"encoder.layer.0.attention.self.query\"]}";
#define QUERY "bert.encoder.layer.0.attention.self.query.lora_"
	copy("peft/list");
	change(CONFIG, one);
	TENSORS(weights, QUERY "A.weight 4 32", QUERY "B.weight 32 4", "classifier.weight 1 32", "classifier.bias 1",
	        "classifier.original_module.weight 3 32");
	struct ft_model *m = open_with(bert, NULL);
	ok(m && ft_model_task(m) == FT_TASK_REGRESS, "a classifier of one output is a regression: %s", m ? "" : ft_message());
	ft_model_free(m);
	TENSORS(weights, QUERY "A.weight 4 32", QUERY "B.weight 32 4", "classifier.weight 32", "classifier.bias 3");
	is_refused(open_with(bert, NULL), "tensor 'classifier.weight' has", "one that is a vector");
	TENSORS(weights, QUERY "A.weight 4 32", QUERY "B.weight 32 4", "classifier.weight 3 32", "classifier.bias 3",
	        "encoder.layer.0.attention.self.query.lora_B.weight 32 4");
	is_refused(open_with(bert, NULL), "tensor 'encoder.layer.0.attention.self.query.lora_B.weight': another stands for "
	           "layer.0.attn.q.lora.b, too", "with and without the network's name");
	copy("prompts/bert-prompt");
	TENSORS(weights, "prompt_embeddings 5 31", "classifier.weight 3 32", "classifier.bias 3");
	is_refused(open_with(bert, NULL), "tensor 'prompt_embeddings' has 31 columns; the base asks for 32", "a narrow prompt");
	TENSORS(weights, "prompt_embeddings 32", "classifier.weight 3 32", "classifier.bias 3");
	is_refused(open_with(bert, NULL), "tensor 'prompt_embeddings' has 0 columns; the base asks for 32", "one that is a vector");
	clear();
	put_text(CONFIG, "{\"lora_parameters\":{\"rank\":2},\"fine_tune_type\":\"lora\"}");
#define MLX "model.layers.0.self_attn.q_proj.lora_"
	TENSORS("adapters.safetensors", MLX "a 16 2", MLX "b 2 16");
	m = open_with(llama, NULL);
	ok(m && ft_model_adapted(m), "mlx-lm's matrices: %s", m ? "" : ft_message());
	ft_model_free(m);
	TENSORS("adapters.safetensors", MLX "a 32", MLX "b 2 16");
	is_refused(open_with(llama, NULL), "tensor '" MLX "a' is not a matrix", "mlx-lm: a vector");
	TENSORS("adapters.safetensors", MLX "a 16 2", MLX "b 2 16", "x 1");
	is_refused(open_with(llama, NULL), "tensor 'x': nothing in", "mlx-lm: a short name");
}

/* ---- heads ---- */
static void opens_as(const char *base, const char *head, enum ft_task task, const char *what)
{
	struct ft_model *m = open_with(base, head);
	ok(m && ft_model_task(m) == task, "%s: %s", what, m ? "the task" : ft_message());
	ft_model_free(m);
}

/* A head that a plan puts in the place of the adapter's, whose tensors are passed over then. */
static void check_new_heads(void)
{
	static const char classify[] = "{\"type\":\"classify\",\"outputs\":2}";
	copy("peft/list");
	opens_as(bert, classify, FT_TASK_CLASSIFY, "another classifier");
	opens_as(bert, "{\"type\":\"mlm\"}", FT_TASK_MLM, "no classifier");
	rename_tensors("adapter_model.safetensors", "classifier.", "other.");
	is_refused(open_with(bert, "{\"type\":\"mlm\"}"), "tensor 'base_model.model.other.", "what is in no head");
	copy("peft/tokens-two");
	opens_as(llama, classify, FT_TASK_CLASSIFY, "rows of a decoder that goes");
	rename_tensors("adapter_model.safetensors", "lm_head.", "other.");
	is_refused(open_with(llama, NULL), "tensor 'base_model.model.other.", "rows of nothing");
	copy("adapterhub/bert-pfeiffer");
	opens_as(bert, classify, FT_TASK_CLASSIFY, "AdapterHub: another classifier");
	rename_tensors("model_head.safetensors", "classifier.", "other.");
	is_refused(open_with(bert, classify), "tensor 'other.", "AdapterHub: what is in no head");
	copy("adapterhub/flex-bert");
	opens_as("tiny-bert", classify, FT_TASK_CLASSIFY, "AdapterHub: in the place of one of its own");
}

/* What the note beside an adapter says, and what the base does. */
static void check_notes(void)
{
	copy("peft/list");
	put_text("ft.json", "{\"head\":null,\"base\":{\"digest\":null}}");
	opens_as(bert, NULL, FT_TASK_CLASSIFY, "a note of nothing");
	put_text("ft.json", "{\"base\":{\"digest\":7}}");
	is_refused(open_with(bert, NULL), "ft.json: base: digest: must be a string", "a digest that is a number");
	put_text("ft.json", "{\"tokens\":7}");
	is_refused(open_with(bert, NULL), "ft.json: tokens: not {from, added}", "tokens that are a number");
	unlink(in_folder("ft.json"));
	char base[200], path[300], model[300];
	snprintf(base, sizeof base, "%s/base", scratch);
	snprintf(path, sizeof path, "%s/model.safetensors", base);
	bool made = mkdir(base, 0700) == 0 && realpath(REF "tiny-bert-classify/model.safetensors", model) && symlink(model, path) == 0;
	json_t *config = ft_json_load(REF "tiny-bert-classify/config.json"), *more = json_loads(
		"{\"id2label\":" GONE ",\"label2id\":" GONE ",\"problem_type\":\"regression\",\"num_labels\":3}", 0, NULL);
	merge(config, more);
	put_json("base/config.json", config);
	ok(made, "a base of three numbers");
	opens_as(base, NULL, FT_TASK_REGRESS, "what as many outputs mean is the base's to say");
	unlink(path);
	unlink(in_folder("base/config.json"));
	rmdir(base);
	json_decref(config);
	json_decref(more);
}

/* ---- AdapterHub ---- */

static void is_set(const char *members, const char *key, const char *value)
{
	copy("adapterhub/bert-norms");
	change(CONFIG, members);
	struct ft_model *m = open_with(bert, NULL);
	const json_t *a = m ? json_array_get(json_object_get(ft_model_meta(m), "adapt"), 0) : NULL;
	is_str(json_string_value(json_object_get(a, key)), value, members);
	ft_model_free(m);
}

static void check_adapterhub(void)
{
	static const char pfeiffer[] = "adapterhub/bert-pfeiffer", flex[] = "adapterhub/flex-bert";
	is_same(pfeiffer, bert, CONFIG, "{\"config\":{\"architecture\":null,\"residual_before_ln\":" GONE ",\"non_linearity\":\"ReLU\","
	        "\"scaling\":1,\"use_gating\":0,\"stochastic_depth\":0}}");
	is_same(pfeiffer, bert, CONFIG, "{\"config\":{\"scaling\":" GONE ",\"leave_out\":[7,\"0\"]}}");
	is_not(pfeiffer, bert, CONFIG, "{\"config\":{\"original_ln_after\":false,\"is_parallel\":true}}", "original_ln_after: false leaves out");
	is_not(pfeiffer, bert, CONFIG, "{\"config\":{\"phm_layer\":\"x\"}}", "phm_layer is set, which is not supported");
	is_set("{\"config\":{\"non_linearity\":\"gelu\"}}", "activation", "gelu");
	is_set("{\"config\":{\"non_linearity\":\"gelu\"},\"version\":" GONE "}", "activation", "gelu_new");
	is_set("{\"config\":{\"non_linearity\":\"gelu_orig\"},\"version\":" GONE "}", "activation", "gelu");
	is_set("{\"config\":{\"adapter_residual_before_ln\":true}}", "ln_after", "outer");
	is_set("{\"config\":{\"adapter_residual_before_ln\":true,\"is_parallel\":true}}", "ln_after", "inner");
	is_not(pfeiffer, bert, HEAD, "{\"label2id\":{\"bad\":1}}", "head_config.json: label2id: 'fair' has no number of its own from 0 to 2");
	copy(pfeiffer);
	unlink(in_folder(HEAD));
	unlink(in_folder("model_head.safetensors"));
	opens_as(bert, NULL, FT_TASK_CLASSIFY, "an adapter alone, for the base's head");
	is_not(flex, "tiny-bert", HEAD, "{\"name\":\"tas\"}", "nothing in");
	is_not(flex, "tiny-bert", HEAD, "{\"config\":{\"layers\":\"2\"}}", "head_config.json: layers: must be a whole number");
	is_not(flex, "tiny-bert", HEAD, "{\"config\":{\"activation_function\":null}}", "activation_function: '' between two layers");
	is_not("adapterhub/flex-distilbert", "encoders/distilbert/tiny", HEAD, "{\"config\":{\"use_pooler\":true,\"layers\":1}}",
	       "use_pooler: the classifier of a distilbert has no pooler");
	copy("adapterhub/gpt2-houlsby");
	put_text(HEAD, "{\"model_class\":\"GPT2AdapterModel\",\"name\":\"x\",\"config\":{\"head_type\":\"classification\"}}");
	is_refused(open_with(gpt2, NULL), "head_config.json: its heads on a gpt2 are not supported", "a head of its own on a decoder");
	static const char *const names[][2] = { { ".4.bias", ".4bias" }, { ".4.bias", ".4.other" }, { ".4.bias", ".3.bias" }, { ".4.bias", ".bias" } };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		copy(flex);
		rename_tensors("model_head.safetensors", names[i][0], names[i][1]);
		is_refused(open_with("tiny-bert", NULL), "model_head.safetensors: tensor 'heads.task.", names[i][1]);
	}
	copy("adapterhub/flex-bert-first"); /* of one layer */
	change(HEAD, "{\"config\":{\"activation_function\":\"tanh\",\"layers\":1}}");
	rename_tensors("model_head.safetensors", ".1.bias", ".0.bias");
	is_refused(open_with("tiny-bert", NULL), "nothing in", "another number than that of its layer");
}

int main(void)
{
	if (!ok(mkdtemp(scratch) != NULL, "a folder"))
		return tap_done();
	check_members("peft/layers", "tiny-bert-classify", "adapter_config.json", 100);
	check_members("peft/ia3", "tiny-bert-classify", "adapter_config.json", 100);
	check_members("peft/vera", "tiny-bert-classify", "adapter_config.json", 100);
	check_members("adapterhub/bert-norms", "tiny-bert-classify", "adapter_config.json", 100);
	check_members("adapterhub/bert-norms", "tiny-bert-classify", "head_config.json", 50);
	check_members("adapterhub/flex-bert", "tiny-bert", "head_config.json", 100);
	check_names();
	check_modules();
	check_long();
	check_tensors();
	check_new_heads();
	check_notes();
	check_adapterhub();
	clear();
	ok(rmdir(scratch) == 0, "tidied up");
	return tap_done();
}
