/* GGUF files of models, as llama.cpp's converter writes them, against the folders that
 * they are made of: the same weights, the same logits. */
#include "ft/gguf.h"
#include "ft/mem.h"
#include "tests/reference.h"

#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/"
#define STORIES "../shared/data/models/stories260K/"

static const char *const families[] = {
	"gpt2", "llama", "llama-options", "mistral", "qwen2", "qwen3", "gemma2", "gemma3",
};

/* ---- the folder that a file was made of ---- */

static char folder[] = "/tmp/ft-unit.XXXXXX";

static void copy(const char *from, const char *to)
{
	char path[128], block[4096];
	snprintf(path, sizeof path, "%s/%s", folder, to);
	FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
	for (size_t n; in && out && (n = fread(block, 1, sizeof block, in)) > 0;)
		fwrite(block, 1, n, out);
	ok(in && out, "%s", from);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
}

static void make_folder(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, REF "gguf/%s.json", name);
	copy(path, "config.json");
	snprintf(path, sizeof path, REF "decoders/%s/tiny-lm/model.safetensors", name);
	copy(path, "model.safetensors");
}

/* ---- comparing ---- */

/* Gemma's norms have been 1 more in between, in float32. */
static bool same(const struct ft_param *a, const struct ft_param *b)
{
	size_t n = (size_t)a->t.rows * (size_t)a->t.cols, i = 0;
	float most = strstr(a->name, "norm") || strstr(a->name, "post") ? 0x1p-23f : 0;
	while (i < n && fabsf(a->t.data[i] - b->t.data[i]) <= most)
		i++;
	return i == n;
}

static void compare_params(const char *name, const struct ft_model *a, const struct ft_model *b)
{
	const char *differs = NULL;
	for (size_t i = 0; i < ft_model_params(a) && !differs; i++) {
		const struct ft_param *x = ft_model_param(a, i), *y = ft_model_find(b, x->name);
		if (!y || y->t.rows != x->t.rows || y->t.cols != x->t.cols || y->fresh || !same(x, y))
			differs = x->name;
	}
	/* The file of stories260K holds its tied decoder a second time. */
	size_t more = ft_model_find(b, "head.weight") && !ft_model_find(a, "head.weight");
	ok(!differs && ft_model_params(a) + more == ft_model_params(b), "%s: %zu parameters%s%s", name, ft_model_params(a),
	   differs ? ", but " : "", differs ? differs : "");
}

/* The losses of all tokens, and the logits of what follows; the number of both. */
static size_t outputs(struct ft_model *m, struct held *h, float out[8192])
{
	struct ft_graph *g = ft_graph_new();
	struct ft_output o = { 0 };
	size_t n = 0;
	if (ft_model_eval(m, g, &h->b, &o) == FT_OK && o.units < 4096) {
		memcpy(out, o.loss, o.units * sizeof *out);
		n = o.units;
	}
	struct ft_batch b = h->b;
	b.labels = NULL;
	if (ft_model_eval(m, g, &b, &o) == FT_OK && o.logits && o.units * o.outputs < 4096) {
		memcpy(out + n, o.logits, o.units * o.outputs * sizeof *out);
		n += o.units * o.outputs;
	}
	ft_graph_free(g);
	return n;
}

static void compare(const char *name, const char *file, const char *dir, const json_t *line)
{
	static struct held h;
	static float x[8192], y[8192];
	struct ft_model *a = ft_model_open(dir, NULL, 0);
	struct ft_model *b = a ? ft_model_open(file, NULL, 0) : NULL;
	if (!ok(b != NULL, "%s opens: %s", name, b ? "" : ft_message()))
		return ft_model_free(a);
	/* A Mistral without a window is a Llama. */
	const char *class = strcmp(name, "mistral") ? ft_model_architecture(a) : "LlamaForCausalLM";
	is_str(ft_model_architecture(b), class, "architecture");
	compare_params(name, a, b);
	take_batch(&h, line, false);
	size_t n = outputs(a, &h, x), m = outputs(b, &h, y), equal = 0;
	double most = 0;
	for (size_t i = 0; i < n && n == m; i++) {
		equal += x[i] == y[i];
		most = fmax(most, fabs((double)x[i] - (double)y[i]));
	}
	ok(n > 0 && n == m && equal == n, "%s: %zu losses and logits of %zu, worst %.2g", name,
	   equal, n, most);
	ft_model_free(a);
	ft_model_free(b);
}

static void check_family(const char *name)
{
	char path[128], file[128];
	snprintf(path, sizeof path, REF "decoders/%s/lm.jsonl", name);
	snprintf(file, sizeof file, REF "gguf/%s.gguf", name);
	json_t *line = line_of(path, 0);
	make_folder(name);
	compare(name, file, folder, line);
	json_decref(line);
}

/* A trained model whose file llama2.c's author wrote, and whose folder others. */
static void check_stories(void)
{
	if (access(STORIES "hf/config.json", R_OK) != 0) {
		ok(true, "stories260K # skip no data");
		return;
	}
	json_t *ids = json_array(), *labels = json_array();
	for (int i = 0; i < 100; i++) {
		json_array_append_new(ids, json_integer(i * 37 % 509 + 3));
		json_array_append_new(labels, json_integer(i * 53 % 509 + 3));
	}
	json_t *line = json_pack("{s:[o], s:[o]}", "ids", ids, "labels", labels);
	compare("stories260K", STORIES "stories260K.gguf", STORIES "hf", line);
	json_decref(line);
}

/* ---- hostile files ---- */

static struct ft_buf file;

static void read_file(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, REF "gguf/%s.gguf", name);
	FILE *f = fopen(path, "rb");
	file.len = 0;
	ft_buf_reserve(&file, 1 << 16);
	if (f)
		file.len = fread(file.data, 1, file.cap, f);
	if (f)
		fclose(f);
}

/* Where `text` ends in the file, the first time. */
static unsigned char *behind(const char *text)
{
	unsigned char *p = memmem(file.data, file.len, text, strlen(text));
	return p ? p + strlen(text) : NULL;
}

/* Opens the file that was changed, which is refused for this reason (NULL: it is not). */
static void opens(const char *name, const char *what, const char *reason)
{
	char path[128];
	snprintf(path, sizeof path, "%s/model.gguf", folder);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(file.data, 1, file.len, f);
		fclose(f);
	}
	struct ft_model *m = ft_model_open(path, NULL, 0);
	if (!reason)
		ok(m != NULL, "%s with another %s opens", name, what);
	else if (!ok(!m && ft_last_error() == FT_EFORMAT && strstr(ft_message(), reason) && strstr(ft_message(), path),
	             "%s with another %s: %s", name, what, m ? "opens" : ft_message()))
		printf("# wanted: %s\n", reason);
	ft_model_free(m);
	unlink(path);
}

static void put_text(struct ft_buf *b, const char *text, size_t n)
{
	uint64_t length = n;
	ft_buf_append(b, &length, 8);
	ft_buf_append(b, text, n);
}

/* The file with one more key, of n bytes behind its type; and a key of no meaning, so that tensors stay aligned. */
static void with_key(const char *name, const char *key, uint32_t type, const void *value, size_t n, const char *reason)
{
	static const char blanks[] = "                                ";
	struct ft_buf b = { 0 };
	uint32_t string = FT_GGUF_STRING;
	read_file(name);
	ft_buf_append(&b, file.data, 24);
	b.data[16] += 2; /* how many keys there are */
	put_text(&b, key, strlen(key));
	ft_buf_append(&b, &type, 4);
	ft_buf_append(&b, value, n);
	put_text(&b, "x", 1);
	ft_buf_append(&b, &string, 4);
	put_text(&b, blanks, (64 + 24 - 8 - b.len % 32) % 32);
	ft_buf_append(&b, file.data + 24, file.len - 24);
	ft_buf_free(&file);
	file = b;
	opens(name, key, reason);
}

static void with_number(const char *name, const char *key, uint32_t type, uint32_t value, const char *reason)
{
	with_key(name, key, type, &value, type == FT_GGUF_BOOL ? 1 : 4, reason);
}

/* A list: its type, how many there are, and they. */
static void with_list(const char *name, const char *key, uint32_t type, uint64_t count, const void *p, size_t n,
                      const char *reason)
{
	struct ft_buf b = { 0 };
	ft_buf_append(&b, &type, 4);
	ft_buf_append(&b, &count, 8);
	ft_buf_append(&b, p, n);
	with_key(name, key, FT_GGUF_ARRAY, b.data, b.len, reason);
	ft_buf_free(&b);
}

/* The file with another value under a key of four bytes, which is then of this type (0: as it
 * was); or, where `other` says so, another name for something. */
static void refused(const char *name, const char *what, uint64_t type, uint64_t value, const char *other,
                    const char *reason)
{
	read_file(name);
	unsigned char *p = behind(what);
	if (!ok(p != NULL, "%s has %s", name, what))
		return;
	if (other)
		memcpy(p - strlen(what), other, strlen(other));
	else if (type)
		*p = (unsigned char)type;
	for (int i = 0; !other && i < 4; i++)
		p[4 + i] = (unsigned char)(value >> 8 * i);
	opens(name, what, reason);
}

static void check_keys(void)
{
	static const uint8_t windows[] = { 1, 0, 1, 0, 1, 0, 1, 0 };
	with_number("llama", "split.count", FT_GGUF_U32, 2, "is a part of a model in several files");
	with_number("llama", "llama.expert_count", FT_GGUF_U32, 8, "a mixture of experts is not supported");
	with_number("llama", "llama.attention.causal", FT_GGUF_BOOL, 0, "attention that is not causal");
	with_number("llama", "llama.attention.sliding_window", FT_GGUF_U32, 16, NULL);
	with_number("gpt2", "gpt2.attention.head_count_kv", FT_GGUF_U32, 2, "a gpt2 has as many heads of keys as of queries");
	with_number("qwen3", "qwen3.rope.scaling.attn_factor", FT_GGUF_F32, 0x3f800000,
	            "key 'qwen3.rope.scaling.attn_factor' is not supported");
	with_number("llama", "llama.rope.scaling.factor", FT_GGUF_F32, 0x40000000,
	            "rope_freqs.weight with rope.scaling.factor");
	with_list("llama", "tokenizer.ggml.tokens", FT_GGUF_STRING, 1, "\1\0\0\0\0\0\0\0a", 9, "has 40 rows for 1 tokens");
	with_list("llama", "llama.block_count", FT_GGUF_U32, 1, "\2\0\0\0", 4, "llama.block_count");
	with_list("gemma2", "gemma2.attention.sliding_window_pattern", FT_GGUF_BOOL, 1, windows, 1, "is not a list of");
	with_list("gemma2", "gemma2.attention.sliding_window_pattern", FT_GGUF_U8, 3, windows, 3, "is not a list of");
	with_list("gemma2", "gemma2.attention.sliding_window_pattern", FT_GGUF_BOOL, 3, windows, 3, NULL);
	with_number("gemma2", "gemma2.attention.sliding_window_pattern", FT_GGUF_U32, 2, "is not a list of");
	refused("gpt2", "gpt2.attention.head_count", 0, 3, NULL, "embedding_length 16 is not a multiple of attention.head_count 3");
	refused("qwen3", "yarn", 0, 0, "none", NULL);
	refused("gemma3", "gemma3.attention.sliding_window", 0, 0, NULL, NULL);
	refused("llama", "llama.attention.head_count", FT_GGUF_F32, 0x40000000, NULL, "'llama.attention.head_count' is not a whole number");
	with_list("llama", "llama.rope.scaling.factor", FT_GGUF_U32, 1, "\2\0\0\0", 4, "'llama.rope.scaling.factor' is not a number");
	with_number("llama", "llama.rope.scaling.type", FT_GGUF_U32, 1, "'llama.rope.scaling.type' is not");
	with_key("llama", "llama.rope.scaling.type", FT_GGUF_STRING, "\4\0\0\0\0\0\0\0none", 12, NULL);
	with_key("llama", "llama.rope.scaling.type", FT_GGUF_STRING, "\4\0\0\0\0\0\0\0nono", 12, "'nono' is not supported");
	with_key("llama", "llama.rope.scaling.type", FT_GGUF_STRING, "\4\0\0\0\0\0\0\0yarn", 12, "'yarn' is not supported");
	read_file("llama");
	unsigned char *p = behind("rope_freqs.weight");
	p[12] = FT_GGML_I32;
	opens("llama", "type of rope_freqs", "tensor 'rope_freqs.weight' is not 2 float32");
	read_file("llama");
	p = behind("blk.0.ffn_up.weight");
	p[20] = FT_GGML_I32;
	opens("llama", "type", "type I32 is not supported; F32, F16, BF16, Q8_0 and Q4_0 are");
}

static void check_hostile(void)
{
	refused("llama", "llama.block_count", 0, 0, "llama.block_coun_", "key 'llama.block_count' is missing");
	refused("llama", "llama.block_count", 0, 0, NULL, "is of a layer beyond the last");
	refused("llama", "llama.block_count", 0, 1, NULL, "is of a layer beyond the last");
	refused("llama", "llama.block_count", 0, 3, NULL, "no tensor 'model.layers.2");
	refused("llama", "llama.block_count", 0, 0xffffffff, NULL, "'llama.block_count': 4294967295 is out of range");
	refused("llama", "llama.block_count", FT_GGUF_F32, 0x40000000, NULL, "is not a whole number");
	refused("llama", "llama.embedding_length", 0, 1 << 30, NULL, "hidden_size: 1073741824 is not in");
	refused("llama", "llama.embedding_length", 0, 32, NULL, "has shape [40, 16]");
	refused("llama", "llama.feed_forward_length", 0, 1 << 18, NULL, "has shape [24, 16]");
	refused("llama", "llama.attention.head_count", 0, 0, NULL, "0 heads with 2 of keys");
	refused("llama", "llama.attention.head_count", 0, 3, NULL, "3 heads with 2 of keys");
	refused("llama", "llama.attention.head_count", 0, 32768, NULL, "16 rows are not pairs in each of 32768 heads");
	refused("llama", "llama.attention.head_count_kv", 0, 4, NULL, "has shape [8, 16]");
	refused("llama", "llama.attention.key_length", 0, 8, NULL, "heads of 8 components with values of 4");
	refused("llama", "llama.rope.dimension_count", 0, 2, NULL, "rotary positions in 2 of 4 components");
	refused("llama", "llama.vocab_size", 0, 41, NULL, "has 40 rows for 41 tokens");
	refused("llama", "llama.rope.freq_base", 0, 0x7f800000, NULL, "'llama.rope.freq_base': inf is out of range");
	refused("llama", "llama.attention.layer_norm_rms_epsilon", 0, 0xbf800000, NULL, "-1 is out of range");
	refused("llama", "llama.attention.layer_norm_rms_epsilon", 0, 0x3f800000, NULL, "rms_norm_eps: 1 is not in [0, 1)");
	refused("llama", "token_embd.weight", 0, 0, "token_embd.weighs", "no tensor 'token_embd.weight'");
	refused("llama", "blk.1.ffn_up.weight", 0, 0, "blk.1.ffn_up.weighs", "is not one that a llama has");
	refused("llama", "blk.1.ffn_up.weight", 0, 0, "blk.01.ffn_u.weight", "is not one that a llama has");
	refused("llama", "blk.1.ffn_up.weight", 0, 0, "blk.2.ffn_up.weight", "is of a layer beyond the last");
	refused("qwen3", "yarn", 0, 0, "ya-n", "'ya-n' is not supported");
	refused("gpt2", "gpt2.context_length", 0, 47, NULL, "has shape [48, 16]");
	refused("gemma3", "gemma3.attention.sliding_window", 0, 1 << 30, NULL, "sliding_window: 1073741824 is not in");
	refused("gpt2", "gpt2", 0, 0, "gpt3", "general.architecture 'gpt3' is not supported");
	refused("gpt2", "model", 0, 0, "lodel", "general.type is 'lodel'");
}

int main(void)
{
	if (!ok(mkdtemp(folder) != NULL, "a folder"))
		return tap_done();
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		check_family(families[i]);
	check_stories();
	check_hostile();
	check_keys();
	char path[128];
	snprintf(path, sizeof path, "%s/config.json", folder);
	unlink(path);
	snprintf(path, sizeof path, "%s/model.safetensors", folder);
	unlink(path);
	rmdir(folder);
	return tap_done();
}
