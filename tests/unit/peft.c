/* peft.c - adapters that PEFT has saved, beside their bases: the outputs are PEFT's (tests/ref/peft), and
 * files that were damaged or lie are refused. */
#include "ft/adapter.h"
#include "ft/format.h"
#include "ft/mem.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/peft/"
#define TOKENS 64

static json_t *expected;

/* The rows of expected.json. */
static struct ft_batch rows_of(int32_t *ids, int32_t *offsets)
{
	struct ft_batch b = { .ids = ids, .offsets = offsets };
	size_t i, k;
	json_t *row, *id;
	json_array_foreach(json_object_get(expected, "ids"), i, row) {
		offsets[i] = (int32_t)b.tokens;
		json_array_foreach(row, k, id)
			ids[b.tokens++] = (int32_t)json_integer_value(id);
		b.rows++;
	}
	offsets[b.rows] = (int32_t)b.tokens;
	return b;
}

/* The largest difference to what PEFT gives; infinite: no outputs, or another number of them. */
static double worst_of(struct ft_model *m, const json_t *outputs)
{
	int32_t ids[TOKENS], offsets[8];
	struct ft_batch b = rows_of(ids, offsets);
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	const float *v = NULL;
	size_t width = json_array_size(json_array_get(outputs, 0)), got = 0;
	int rc = ft_model_task(m) == FT_TASK_NONE ? ft_model_vectors(m, g, &b, "mean", false, &v, &got) : ft_model_eval(m, g, &b, &out);
	if (rc == FT_OK && out.logits) {
		v = out.logits;
		got = out.outputs;
	}
	double most = rc == FT_OK && v && got == width ? 0 : INFINITY;
	for (size_t i = 0; most < INFINITY && i < b.rows * width; i++) {
		double d = fabs(v[i] - json_number_value(json_array_get(json_array_get(outputs, i / width), i % width)));
		most = d <= most ? most : d;
	}
	ft_graph_free(g);
	return most;
}

static struct ft_model *open_case(const char *name, unsigned flags)
{
	char path[200];
	snprintf(path, sizeof path, REF "%s", name);
	return ft_model_open(path, NULL, flags);
}

/* Where nothing but rows of the words was trained. */
static void check_rows(struct ft_model *m, const char *name)
{
	size_t changed = 0, trains = 0, n = 0;
	int64_t *rows = NULL;
	int rc = ft_model_rows(m, ft_model_find(m, "embed.word.weight"), &rows, &n);
	for (size_t i = 0; i < ft_model_params(m); i++) {
		changed += ft_model_param(m, i)->stored;
		trains += ft_model_param(m, i)->trains && strncmp(ft_model_param(m, i)->name, "head.", 5) &&
		          strncmp(ft_model_param(m, i)->name, "pool.", 5);
	}
	ok(rc == FT_OK && changed == 1 && n >= 2 && n <= 3, "%s: of the base some rows are others, %zu", name, n);
	is_int((long)trains, 0, "and nothing of the body would be trained");
	free(rows);
}

static void check_case(const char *name, const json_t *want)
{
	struct ft_model *m = open_case(name, 0);
	double worst = m ? worst_of(m, json_object_get(want, "outputs")) : INFINITY;
	ok(worst < 2e-5, "%s: outputs, worst %.2g", name, worst);
	if (!m)
		return;
	if (!ft_model_adapted(m)) {
		check_rows(m, name);
		ft_model_free(m);
		return;
	}
	ft_model_plain(m, true);
	ok(worst_of(m, json_object_get(want, "outputs")) > 1e-3, "%s: it is not the base that gives them", name);
	ft_model_plain(m, false);
	size_t trains = 0, base = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		trains += p->technique && p->trains;
		base += p->trains && !p->technique && strncmp(p->name, "head.", 5) && strncmp(p->name, "pool.", 5);
	}
	ok(trains && !base, "%s: what was added would be trained, the base not", name);
	int rc = ft_model_merge(m);
	worst = rc == FT_OK ? worst_of(m, json_object_get(want, "outputs")) : 0;
	ok(worst < 2e-5, "%s: merged, worst %.2g%s", name, worst, rc ? " (cannot be)" : "");
	ft_model_free(m);
}

/* What was found is what the file says of the base's heads and ranks. */
static void check_meta(void)
{
	struct ft_model *m = open_case("regex", FT_MODEL_READ);
	const json_t *a = json_array_get(json_object_get(ft_model_meta(m), "adapt"), 0);
	char *text = a ? ft_json_text(a) : NULL;
	is_str(text, "{\"type\":\"lora\",\"rate\":6.0,\"r\":3,\"alpha\":5.0,\"dropout\":0.0,\"rslora\":true,\"dora\":false,\"ratio\":1.0,\"init\":\"zero\",\"name\":\"lora\","
	             "\"patterns\":[[\"r\",\"layer.0.ffn.down\",2.0],[\"alpha\",\"layer.1.attn.k\",9.0],"
	             "[\"r\",\"layer.1.ffn.down\",2.0]],\"sites\":[\"layer.*.attn.q\",\"layer.*.attn.k\",\"layer.*.ffn.down\"]}",
	       "patterns and sites");
	free(text);
	is_str(ft_model_label(m, 2), "good", "labels are the base's, of which there are as many");
	ft_model_free(m);
}

/* ---- files made to harm their reader ---- */

static char scratch[64];

static void put_file(const char *name, const void *data, size_t n)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", scratch, name);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(data, 1, n, f) != n || fclose(f))
		perror(path);
}

static struct ft_buf get_file(const char *name)
{
	struct ft_buf b = { 0 };
	char path[200];
	snprintf(path, sizeof path, REF "%s", name);
	FILE *f = fopen(path, "rb");
	for (size_t n = 1; f && n && ft_buf_reserve(&b, 1 << 16) == FT_OK; b.len += n)
		n = fread(b.data + b.len, 1, 1 << 16, f);
	if (f)
		fclose(f);
	return b;
}

static int open_scratch(const char *base)
{
	struct ft_model *m = ft_model_open(scratch, base, 0);
	int rc = m ? FT_OK : ft_last_error();
	ft_model_free(m);
	return rc;
}

/* Bytes of a file changed, cut out or doubled; what comes out is a model or a refusal with a reason. */
static void check_mutations(const char *name, const char *of, const char *file, int count)
{
	char path[100], other[100];
	snprintf(path, sizeof path, "%s/%s", name, file);
	bool config = strcmp(file, "adapter_config.json") == 0;
	snprintf(other, sizeof other, "%s/%s", name, config ? "adapter_model.safetensors" : "adapter_config.json");
	struct ft_buf right = get_file(path), beside = get_file(other);
	put_file(config ? "adapter_model.safetensors" : "adapter_config.json", beside.data, beside.len);
	int refused = 0, bad = 0;
	for (int i = 0; i < count; i++) {
		struct ft_rng r;
		ft_rng_init(&r, 7, (uint64_t)i);
		size_t n = right.len, most = config ? n : 3000 < n ? 3000 : n;
		unsigned char *p = malloc(n);
		memcpy(p, right.data, n);
		for (int k = 0; k < 1 + i % 3; k++) {
			size_t at = (size_t)(ft_rng_uniform(&r) * (double)most);
			p[at] = i % 2 ? (unsigned char)("0129.-\"{}[],:nt*(|"[(int)(ft_rng_uniform(&r) * 18)]) : (unsigned char)(p[at] ^ (1 << i % 7));
		}
		put_file(file, p, i % 10 == 9 ? (size_t)(ft_rng_uniform(&r) * (double)n) : n);
		free(p);
		int rc = open_scratch(of);
		refused += rc < 0;
		bad += rc < 0 && ((rc != FT_EFORMAT && rc != FT_EFAIL && rc != FT_EMATCH) || !*ft_message());
	}
	ok(!bad && refused > count / 4, "%s: %d changes of %s, %d refused, each with a reason", name, count, file, refused);
	ft_buf_free(&right);
	ft_buf_free(&beside);
}

static const char *base = "tests/ref/tiny-bert-classify";

static void refused(const char *config, int code, const char *reason, const char *what)
{
	put_file("adapter_config.json", config, strlen(config));
	int rc = open_scratch(base);
	int good = ok(rc == code && strstr(ft_message(), reason), "%s", what);
	if (!good)
		printf("# code %d, wanted %d, with '%s'\n", rc, code, reason);
}
#define REFUSED(text, reason, what) refused("{\"peft_type\":\"LORA\",\"task_type\":\"SEQ_CLS\",\"r\":4,\"lora_alpha\":16," text "}", \
	                                    FT_EFORMAT, reason, what)
#define REFUSED_IA3(text, reason, what) refused("{\"peft_type\":\"IA3\",\"task_type\":\"SEQ_CLS\"," text "}", FT_EFORMAT, reason, what)
#define TARGET "\"target_modules\":[\"query\",\"value\"],\"modules_to_save\":[\"classifier\"]"

static void check_refusals(void)
{
	struct ft_buf tensors = get_file("list/adapter_model.safetensors");
	put_file("adapter_model.safetensors", tensors.data, tensors.len);
	ft_buf_free(&tensors);
	REFUSED(TARGET ",\"use_qalora\":true,\"r2\":1", "use_qalora is set", "mathematics that is not here");
	REFUSED(TARGET ",\"use_dora\":true", "no tensor for 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_magnitude_vector'",
	        "lengths of rows that are not there");
	REFUSED(TARGET ",\"init_lora_weights\":\"pissa\"", "'pissa' changes the base", "another base");
	REFUSED(TARGET ",\"layer_replication\":[[0,1]]", "layer_replication is set", "layers that are there twice");
	REFUSED(TARGET ",\"bias\":\"some\"", "bias: 'some'", "biases of no kind");
	REFUSED("\"modules_to_save\":[\"classifier\"]", "target_modules: missing", "no targets");
	REFUSED("\"target_modules\":[\"nothing\"]", "none is a module", "targets that are not there");
	REFUSED("\"target_modules\":[\"query\",7]", "number 1 is not a name", "a target that is a number");
	REFUSED("\"target_modules\":\"(((\"", "target_modules", "a regular expression that is none");
	REFUSED("\"target_modules\":\"(.*.*)*x(.*.*)*y\"", "target_modules", "one that would search without end");
	REFUSED("\"target_modules\":[\"query\"]", "value.lora_A.weight': nothing in", "a tensor that belongs to nothing");
	REFUSED("\"target_modules\":[\"query\",\"value\",\"key\"]", "no tensor for 'base_model.model.bert.encoder.layer.0.attention.self.key.lora_A.weight'",
	        "a target without a tensor");
	REFUSED(TARGET ",\"modules_to_save\":[\"pooler\"]", "duplicate", "a key that is there twice");
	REFUSED("\"target_modules\":[\"query\",\"value\"],\"modules_to_save\":[\"pooler\"]", "no tensor for 'bert.pooler.dense.weight'",
	        "a module that should be saved and is not");
	REFUSED(TARGET ",\"rank_pattern\":{\"query\":2}", "asks for [2, 32]", "a rank that the tensor does not have");
	REFUSED(TARGET ",\"rank_pattern\":{\"query\":\"2\"}", "rank_pattern: 'query': not a number", "a rank that is no number");
	REFUSED(TARGET ",\"rank_pattern\":{\"query\":2000000}", "is not in 1 ..", "a rank beyond all");
	REFUSED(TARGET ",\"alpha_pattern\":[]  ,\"lora_dropout\":\"x\"", "lora_dropout", "a dropout that is no number");
	REFUSED(TARGET ",\"alpha_pattern\":[1]", "alpha_pattern: not an object of at most", "patterns that are a list");
	REFUSED(TARGET ",\"alpha_pattern\":\"query\"", "alpha_pattern: not an object of at most", "patterns that are a name");
	REFUSED(TARGET ",\"rank_pattern\":{\"(((\":2}", "rank_pattern", "a pattern that is no regular expression");
	REFUSED("\"target_modules\":{\"query\":1}", "target_modules: not a list of at most", "targets that are an object");
	REFUSED("\"target_modules\":7", "target_modules: not a list of at most", "targets that are a number");
	REFUSED("\"target_modules\":[\"query\\u0000\"]", "adapter_config.json", "a target with a NUL");
	REFUSED("\"target_modules\":\"all-nothing\"", "none is a module", "a name that matches nothing");
	REFUSED(TARGET ",\"exclude_modules\":\"((\"", "exclude_modules", "exceptions that are no regular expression");
	REFUSED(TARGET ",\"exclude_modules\":7", "exclude_modules", "exceptions that are a number");
	REFUSED(TARGET ",\"layers_to_transform\":[5]", "none is a module", "layers that are not there");
	REFUSED(TARGET ",\"layers_to_transform\":1", "encoder.layer.0.attention.self.query.lora_A.weight': nothing in", "one layer by its number");
	REFUSED(TARGET ",\"layers_to_transform\":[1],\"layers_pattern\":[7]", "layers_pattern: not a name, or a list of names",
	        "a pattern of layers that is a number");
	REFUSED(TARGET ",\"layers_to_transform\":[0],\"layers_pattern\":[\"h\",\"layer\"]",
	        "encoder.layer.1.attention.self.query.lora_A.weight': nothing in", "patterns of layers, of which one is right");
	REFUSED(TARGET ",\"layers_to_transform\":[0],\"layers_pattern\":\"((\"", "adapter_config.json", "a pattern of layers that is none");
	REFUSED("\"target_modules\":\".*query\",\"layers_to_transform\":[0]",
	        "layers_to_transform: has no meaning with a regular expression", "layers beside a regular expression");
	REFUSED(TARGET ",\"modules_to_save2\":1,\"bias\":7", "bias: must be a string", "biases that are a number");
	REFUSED("\"target_modules\":[\"query\",\"value\"],\"modules_to_save\":\"classifier\"", "modules_to_save: not a list of at most",
	        "modules to save that are a name");
	refused("{\"peft_type\":\"LORA\",\"task_type\":\"SEQ_CLS\",\"r\":0," TARGET "}", FT_EFORMAT, "r: 0", "a rank of 0");
	refused("{\"peft_type\":\"LORA\",\"task_type\":\"SEQ_CLS\",\"r\":\"8\"," TARGET "}", FT_EFORMAT, "r: must be", "a rank in quotes");
	refused("{\"peft_type\":\"LORA\",\"task_type\":7,\"r\":4," TARGET "}", FT_EFORMAT, "task_type: must be", "a task that is a number");
	refused("{\"peft_type\":7,\"r\":4," TARGET "}", FT_EFORMAT, "peft_type: must be", "a type that is a number");
	refused("{\"peft_type\":\"LORA\",\"base_model_name_or_path\":7,\"r\":4," TARGET "}", FT_EFORMAT,
	        "base_model_name_or_path: must be", "a base that is a number");
	refused("{\"peft_type\":\"VERA\",\"task_type\":\"SEQ_CLS\",\"r\":\"8\"," TARGET "}", FT_EFORMAT, "r: must be", "VeRA: a rank in quotes");
	refused("{\"peft_type\":\"PROMPT_TUNING\",\"task_type\":\"SEQ_CLS\",\"num_virtual_tokens\":\"8\"}", FT_EFORMAT,
	        "num_virtual_tokens: must be", "virtual tokens in quotes");
	refused("{\"peft_type\":\"PROMPT_TUNING\",\"task_type\":\"SEQ_CLS\",\"num_virtual_tokens\":0}", FT_EFORMAT,
	        "num_virtual_tokens", "no virtual tokens");
	refused("{\"peft_type\":\"PROMPT_TUNING\",\"task_type\":\"SEQ_CLS\",\"num_virtual_tokens\":2000000}", FT_EFORMAT,
	        "num_virtual_tokens", "too many of them");
	/* mlx-lm's */
	refused("{\"lora_parameters\":{\"rank\":\"8\"}}", FT_EFORMAT, "there is no adapters.safetensors", "mlx: no tensors");
	base = "tests/ref/decoders/llama/tiny-lm"; /* mlx-lm tunes language models */
	put_file("adapters.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
	refused("{\"lora_parameters\":{\"rank\":\"8\"}}", FT_EFORMAT, "lora_parameters: rank: must be", "mlx: a rank in quotes");
	refused("{\"lora_parameters\":{\"rank\":0}}", FT_EFORMAT, "lora_parameters: rank: 0", "mlx: a rank of 0");
	refused("{\"lora_parameters\":{\"rank\":65537}}", FT_EFORMAT, "lora_parameters: rank: 65537", "mlx: a rank beyond all");
	refused("{\"lora_parameters\":{},\"fine_tune_type\":7}", FT_EFORMAT, "fine_tune_type: must be", "mlx: a method that is a number");
	refused("{\"lora_parameters\":{},\"fine_tune_type\":\"full\"}", FT_EFORMAT, "fine_tune_type: 'full' is not supported", "mlx: another method");
	refused("{\"lora_parameters\":{}}", FT_EFORMAT, "no tensor is called like a module of the base", "mlx: tensors of nothing");
	refused("{\"lora_parameters\":{},\"model\":7}", FT_EFORMAT, "model: must be", "mlx: a base that is a number");
	base = "tests/ref/tiny-bert-classify";
	REFUSED_IA3("\"target_modules\":[\"key\"]", "feedforward_modules: missing", "vectors of nobody knows what");
	REFUSED_IA3("\"target_modules\":[\"key\"],\"feedforward_modules\":\"((\"", "feedforward_modules", "a regular expression that is none");
	REFUSED_IA3(TARGET ",\"feedforward_modules\":[7]", "feedforward_modules: number 0 is not a name", "a module that is a number");
	refused("{\"peft_type\":\"VERA\",\"task_type\":\"SEQ_CLS\",\"save_projection\":false," TARGET "}", FT_EFORMAT,
	        "vera_A and vera_B are not in the folder", "random numbers of another program");
	refused("{\"peft_type\":\"VERA\",\"task_type\":\"SEQ_CLS\",\"bias\":\"lora_only\"," TARGET "}", FT_EFORMAT,
	        "bias: 'lora_only' is not none, all or vera_only", "biases of another method");
	refused("{\"peft_type\":\"HRA\"," TARGET "}", FT_EFORMAT, "'HRA' is not supported", "a type that is not here");
	refused("{\"peft_type\":\"LORA\",\"task_type\":\"QUESTION_ANS\"," TARGET "}", FT_EFORMAT, "'QUESTION_ANS' is not supported",
	        "a task that is not here");
	refused("[]", FT_EFORMAT, "not a JSON object", "a list");
	refused("{}", FT_EFORMAT, "no peft_type", "an object of nobody");
	put_file("ft.json", "{\"base\":{\"digest\":\"00\"}}", 24);
	refused("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":16,\"task_type\":\"SEQ_CLS\"," TARGET "}", FT_EMATCH, "digest 00",
	        "another base, by the note");
	put_file("ft.json", "{\"head\":7}", 10);
	refused("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":16,\"task_type\":\"SEQ_CLS\"," TARGET "}", FT_EFORMAT, "head: not an object",
	        "a note of nonsense");
	char path[100];
	snprintf(path, sizeof path, "%s/ft.json", scratch);
	unlink(path);
	snprintf(path, sizeof path, "%s/adapter_model.safetensors", scratch);
	unlink(path);
	REFUSED(TARGET, "there is no adapter_model.safetensors", "no tensors");
	put_file("adapter_model.bin", "x", 1);
	REFUSED(TARGET, "adapter_model.bin is a pickle", "a pickle");
}

/* The tensors of tokens-classify, by other configurations. */
#define REFUSED_ROWS(text, reason, what) \
	refused("{\"peft_type\":\"TRAINABLE_TOKENS\",\"task_type\":\"SEQ_CLS\",\"target_modules\":\"x\"," text "}", FT_EFORMAT, reason, what)

static void check_row_refusals(void)
{
	struct ft_buf tensors = get_file("tokens-classify/adapter_model.safetensors");
	put_file("adapter_model.safetensors", tensors.data, tensors.len);
	ft_buf_free(&tensors);
	REFUSED_ROWS("\"token_indices\":[3,3]", "token 3 is there twice", "a token twice");
	REFUSED_ROWS("\"token_indices\":[3,113]", "token 113: 'embed.word.weight' has 113 rows", "a token that the base has not");
	REFUSED_ROWS("\"token_indices\":[3,-1]", "token -1", "one below the first");
	REFUSED_ROWS("\"token_indices\":[3,\"4\"]", "token", "one that is no number");
	REFUSED_ROWS("\"token_indices\":[3]", "is not of 1 rows with 32 numbers", "other tokens than the tensor has rows");
	REFUSED_ROWS("\"token_indices\":[]", "token_indices: not a list of tokens", "no tokens");
	REFUSED_ROWS("\"token_indices\":null", "token_indices: not a list of tokens", "none at all");
	REFUSED(TARGET ",\"trainable_token_indices\":{\"nothing\":[3,20]}", "gives no tokens whose rows these are", "rows of another table");
	REFUSED("\"target_modules\":[\"word_embeddings\"],\"trainable_token_indices\":[3,20]", "has a LoRA, beside which PEFT replaces no rows",
	        "a LoRA at the same table");
	tensors = get_file("list/adapter_model.safetensors");
	put_file("adapter_model.safetensors", tensors.data, tensors.len);
	ft_buf_free(&tensors);
	REFUSED("\"target_modules\":[\"query\",\"value\"],\"modules_to_save\":[\"classifier\"],\"trainable_token_indices\":[3]",
	        "no tensor for 'bert.embeddings.word_embeddings.weight'", "rows that are not there");
	/* What decodes shares its table with the words. */
	tensors = get_file("tokens-alone/adapter_model.safetensors");
	put_file("adapter_model.safetensors", tensors.data, tensors.len);
	ft_buf_free(&tensors);
	char config[] = "{\"peft_type\":\"LORA\",\"task_type\":\"CAUSAL_LM\",\"r\":1,\"target_modules\":[\"c_attn\"],"
	                "\"trainable_token_indices\":{\"wte\":[8,2,19],\"lm_head\":[8,2,18]}}";
	put_file("adapter_config.json", config, strlen(config));
	int rc = open_scratch("tests/ref/decoders/gpt2/tiny-lm");
	ok(rc == FT_EFORMAT && strstr(ft_message(), "those of 'lm_head.weight' are not those of the words"), "other rows of a table that is shared");
}

int main(void)
{
	const char *name;
	json_t *want;
	expected = ft_json_load(REF "expected.json");
	json_object_foreach(json_object_get(expected, "cases"), name, want)
		check_case(name, want);
	ok(json_object_size(json_object_get(expected, "cases")) == 22, "there are twenty-two cases");
	check_meta();
	snprintf(scratch, sizeof scratch, "/tmp/ft-peft.XXXXXX");
	if (!ok(mkdtemp(scratch) != NULL, "a folder to work in"))
		return tap_done();
	check_mutations("regex", "tests/ref/tiny-bert-classify", "adapter_config.json", 200);
	check_mutations("ia3", "tests/ref/tiny-bert-classify", "adapter_config.json", 50);
	check_mutations("vera", "tests/ref/tiny-bert-classify", "adapter_model.safetensors", 50);
	check_mutations("dora", "tests/ref/tiny-bert-classify", "adapter_model.safetensors", 50);
	check_mutations("list", "tests/ref/tiny-bert-classify", "adapter_model.safetensors", 150);
	check_mutations("gpt2", "tests/ref/decoders/gpt2/tiny-lm", "adapter_model.safetensors", 50);
	check_mutations("tokens-two", "tests/ref/decoders/llama/tiny-lm", "adapter_config.json", 100);
	check_mutations("tokens-alone", "tests/ref/decoders/gpt2/tiny-lm", "adapter_model.safetensors", 50);
	check_row_refusals();
	check_refusals();
	static char path[6000];
	memset(path, 'x', sizeof path - 1);
	ok(!ft_adapter_is(path) && strstr(ft_message(), "name too long"), "a path that is too long is none");
	char command[100];
	snprintf(command, sizeof command, "rm -rf %s", scratch);
	ok(system(command) == 0, "tidied up");
	json_decref(expected);
	return tap_done();
}
