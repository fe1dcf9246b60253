/* sentence.c - folders of sentence-transformers, of both generations. */
#include "ft/json.h"
#include "ft/sentence.h"
#include "tests/odd.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ft-unit.XXXXXX";
static const char *const files[] = {
	"modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "sentence_roberta_config.json",
	"tokenizer_config.json", "config_sentence_transformers.json",
};

static const char *in_folder(const char *name)
{
	static char path[160];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "wb");
	fputs(text, f);
	fclose(f);
}

static void clear(void)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlink(in_folder(files[i]));
}

#define OLD "sentence_transformers.models."
#define MODULE(path, type) "{\"idx\":0,\"name\":\"0\",\"path\":\"" path "\",\"type\":\"" type "\"}"
#define OLD_MODULES "[" MODULE("", OLD "Transformer") "," MODULE("1_Pooling", OLD "Pooling") "]"
#define NEW_MODULES                                                                                      \
	"[" MODULE("", "sentence_transformers.base.modules.transformer.Transformer") ","                 \
	MODULE("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling") ","    \
	MODULE("2_Normalize", "sentence_transformers.base.modules.normalize.Normalize") "]"

static void test_old(void)
{
	struct ft_pooling p;
	is_int(ft_pooling_read(&p, folder), 0, "a folder without modules.json is another kind");
	put("modules.json", OLD_MODULES);
	put("1_Pooling/config.json", "{\"word_embedding_dimension\":384,\"pooling_mode_cls_token\":false,"
	                             "\"pooling_mode_mean_tokens\":true,\"pooling_mode_max_tokens\":false}");
	put("sentence_bert_config.json", "{\"max_seq_length\":256,\"do_lower_case\":true}");
	put("config_sentence_transformers.json", "{\"__version__\":{\"sentence_transformers\":\"2.0.0\"}}");
	is_int(ft_pooling_read(&p, folder), 1, "the older files");
	ok(p.modes == 1 && p.mode[0] == FT_POOL_MEAN && !p.normalize, "mean, not normalised");
	ok(p.width == 384 && p.max_length == 256 && p.lower_case && p.with_prompt && !p.prompt, "width, length, case");
	ft_pooling_free(&p);
	put("1_Pooling/config.json", "{\"word_embedding_dimension\":8,\"pooling_mode_mean_tokens\":true,"
	                             "\"pooling_mode_lasttoken\":true,\"pooling_mode_cls_token\":true,\"include_prompt\":false}");
	is_int(ft_pooling_read(&p, folder), 1, "several modes at once");
	ok(p.modes == 3 && p.mode[0] == FT_POOL_CLS && p.mode[1] == FT_POOL_MEAN && p.mode[2] == FT_POOL_LAST &&
	   !p.with_prompt, "are joined in a fixed order");
	ft_pooling_free(&p);
	put("1_Pooling/config.json", "{\"word_embedding_dimension\":8}");
	ok(ft_pooling_read(&p, folder) == 1 && p.modes == 1 && p.mode[0] == FT_POOL_MEAN, "without any it is the mean");
	ft_pooling_free(&p);
	clear();
}

static void test_new(void)
{
	struct ft_pooling p;
	put("modules.json", NEW_MODULES);
	put("1_Pooling/config.json", "{\"embedding_dimension\":384,\"pooling_mode\":\"lasttoken\",\"include_prompt\":true}");
	put("sentence_bert_config.json", "{\"transformer_task\":\"feature-extraction\",\"module_output_name\":\"token_embeddings\"}");
	put("tokenizer_config.json", "{\"model_max_length\":128}");
	put("config_sentence_transformers.json",
	    "{\"model_type\":\"SentenceTransformer\",\"prompts\":{\"query\":\"query: \",\"document\":\"\"},"
	    "\"default_prompt_name\":\"query\"}");
	is_int(ft_pooling_read(&p, folder), 1, "the newer files");
	ok(p.modes == 1 && p.mode[0] == FT_POOL_LAST && p.normalize, "last token, normalised, from a folder that is not there");
	ok(p.width == 384 && p.max_length == 128 && !p.lower_case, "the length is the tokenizer's");
	is_str(p.prompt, "query: ", "the prompt that goes before every text");
	ft_pooling_free(&p);
	put("1_Pooling/config.json", "{\"embedding_dimension\":4,\"pooling_mode\":[\"mean\",\"cls\"]}");
	put("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
	is_int(ft_pooling_read(&p, folder), 1, "a list of modes");
	ok(p.modes == 2 && p.mode[0] == FT_POOL_MEAN && p.mode[1] == FT_POOL_CLS && p.max_length == 0,
	   "in the order of the list; a length that means none is none");
	ft_pooling_free(&p);
	unlink(in_folder("sentence_bert_config.json"));
	put("sentence_roberta_config.json", "{\"max_seq_length\":77}");
	ok(ft_pooling_read(&p, folder) == 1 && p.max_length == 77, "the file under a family's name");
	ft_pooling_free(&p);
	clear();
}

static void refused(const char *what, const char *file, const char *text, const char *reason)
{
	struct ft_pooling p;
	put("modules.json", NEW_MODULES);
	put("1_Pooling/config.json", "{\"embedding_dimension\":384,\"pooling_mode\":\"mean\"}");
	if (text)
		put(file, text);
	else
		unlink(in_folder(file));
	int rc = ft_pooling_read(&p, folder);
	if (!ok(rc == FT_EFORMAT && !strncmp(ft_message(), folder, strlen(folder)) && strstr(ft_message(), reason) && !p.modes,
	        "%s", what))
		printf("# wanted: %s\n", reason);
	ft_pooling_free(&p);
	clear();
}

static void test_refused(void)
{
	refused("no list", "modules.json", "{}", "modules.json: not a list");
	refused("no modules", "modules.json", "[]", "modules.json: not a list");
	refused("no object", "modules.json", "[1,2]", "modules.json: module 0 says no type");
	refused("JSON that ends early", "modules.json", "[", "modules.json");
	refused("a type that is a number", "modules.json", "[{\"type\":7},{}]", "type: must be a string");
	refused("a type of nothing", "modules.json", "[{\"type\":\"\"},{}]", "modules.json: module 0 says no type");
	refused("a mode that is a number", "1_Pooling/config.json", "{\"pooling_mode\":7}", "pooling_mode: '?'");
	refused("a pooling that is a list", "1_Pooling/config.json", "[]", "config.json: not a JSON object");
	refused("options that are a list", "sentence_bert_config.json", "[]", "sentence_bert_config.json: not a JSON object");
	refused("a task that is a number", "sentence_bert_config.json", "{\"transformer_task\":7}", "transformer_task: must be a string");
	refused("a prompt's name that is a number", "config_sentence_transformers.json", "{\"default_prompt_name\":7}",
	        "default_prompt_name: must be a string");
	refused("a path that leaves the folder", "modules.json",
	        "[" MODULE("", OLD "Transformer") "," MODULE("../1_Pooling", OLD "Pooling") "]",
	        "module 1: path '../1_Pooling' is not the name of a folder");
	refused("a model elsewhere", "modules.json",
	        "[" MODULE("0_Transformer", OLD "Transformer") "," MODULE("1_Pooling", OLD "Pooling") "]",
	        "the model lies in the folder '0_Transformer'");
	refused("a dense layer", "modules.json",
	        "[" MODULE("", OLD "Transformer") "," MODULE("1_Pooling", OLD "Pooling") "," MODULE("2_Dense", OLD "Dense") "]",
	        "module 2 is Dense; supported are");
	refused("no pooling first", "modules.json",
	        "[" MODULE("", OLD "Transformer") "," MODULE("1_Normalize", OLD "Normalize") "]", "module 1 is Normalize");
	refused("an unknown mode", "1_Pooling/config.json", "{\"pooling_mode\":\"middle\"}", "pooling_mode: 'middle'");
	refused("no mode", "1_Pooling/config.json", "{\"pooling_mode\":[]}", "an empty list");
	refused("seven modes", "1_Pooling/config.json",
	        "{\"pooling_mode\":[\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\"]}", "more modes than there are");
	refused("a flag that is none", "1_Pooling/config.json", "{\"pooling_mode_cls_token\":1}", "must be true or false");
	refused("a negative width", "1_Pooling/config.json", "{\"embedding_dimension\":-1}", "embedding_dimension: -1");
	refused("no config of the pooling", "1_Pooling/config.json", NULL, "no config.json");
	refused("a negative length", "sentence_bert_config.json", "{\"max_seq_length\":-5}", "max_seq_length: -5");
	refused("another task", "sentence_bert_config.json", "{\"transformer_task\":\"fill-mask\"}", "'fill-mask'");
	refused("a sparse encoder", "config_sentence_transformers.json", "{\"model_type\":\"SparseEncoder\"}", "a SparseEncoder");
	refused("a prompt that is not there", "config_sentence_transformers.json", "{\"default_prompt_name\":\"q\"}", "no prompt 'q'");
}

/* ---- each member of the files, left out and as every other kind of value ---- */
struct members {
	const char *file;
	int tried, opened, bad;
};

static void check_member(void *ctx, const json_t *whole, const char *path, const char *value)
{
	struct members *c = ctx;
	struct ft_pooling p;
	char *text = ft_json_text(whole);
	put(c->file, text);
	free(text);
	int rc = ft_pooling_read(&p, folder);
	const char *why = rc < 0 ? ft_message() : "";
	bool says = rc == 1 || (rc == FT_EFORMAT && strncmp(why, folder, strlen(folder)) == 0 &&
	                        (odd_names(why, path) || strstr(why, "module ") || strstr(why, "at least two") || strstr(why, "the folder '") ||
	                         strstr(why, "no config.json of the pooling") || strstr(why, "no prompt 'query'")));
	c->tried++;
	c->opened += rc == 1;
	c->bad += !says;
	if (!says)
		printf("# %s: %s: %s: %d %s\n", c->file, path, value, rc, why);
	if (rc == 1)
		ft_pooling_free(&p);
}

static void check_members(const char *file, const char *text)
{
	struct members c = { .file = file };
	put("modules.json", NEW_MODULES);
	put("1_Pooling/config.json", "{\"embedding_dimension\":384,\"pooling_mode\":\"mean\"}");
	json_t *whole = json_loads(text, 0, NULL);
	odd_each(whole, check_member, &c);
	json_decref(whole);
	ok(!c.bad && c.tried > 10 && c.opened < c.tried, "%s: %d other values, %d are read, the others refused", file, c.tried, c.opened);
	clear();
}

static void test_members(void)
{
	check_members("modules.json", NEW_MODULES);
	check_members("1_Pooling/config.json", "{\"embedding_dimension\":384,\"pooling_mode\":[\"cls\",\"mean\"],\"include_prompt\":true}");
	check_members("1_Pooling/config.json", "{\"word_embedding_dimension\":8,\"pooling_mode_mean_tokens\":true}");
	check_members("sentence_bert_config.json", "{\"max_seq_length\":256,\"do_lower_case\":true,\"transformer_task\":\"feature-extraction\"}");
	check_members("config_sentence_transformers.json", "{\"model_type\":\"SentenceTransformer\",\"prompts\":{\"query\":\"q: \"},"
	              "\"default_prompt_name\":\"query\"}");
	struct ft_pooling p;
	put("modules.json", NEW_MODULES);
	put("1_Pooling/config.json", "{\"pooling_mode\":\"mean\"}");
	put("tokenizer_config.json", "{\"model_max_length\":\"x\"}");
	ok(ft_pooling_read(&p, folder) == 1 && p.max_length == 0, "a tokenizer's length that is none is none");
	ft_pooling_free(&p);
	clear();
}

/* What is written reads as what was meant. */
static void round_trip(const char *what, struct ft_pooling p)
{
	struct ft_pooling q;
	int rc = ft_pooling_write(&p, folder);
	rc = rc ? rc : ft_pooling_read(&q, folder);
	ok(rc == 1 && p.modes == q.modes && !memcmp(p.mode, q.mode, p.modes * sizeof *p.mode) && p.normalize == q.normalize &&
	   p.lower_case == q.lower_case && p.with_prompt == q.with_prompt && p.width == q.width &&
	   p.max_length == q.max_length && !p.prompt == !q.prompt && (!p.prompt || !strcmp(p.prompt, q.prompt)),
	   "written and read: %s", what);
	if (rc == 1)
		ft_pooling_free(&q);
}

static void test_write(void)
{
	round_trip("a mean", (struct ft_pooling){ .mode = { FT_POOL_MEAN }, .modes = 1, .with_prompt = true, .width = 8 });
	json_t *config = ft_json_load(in_folder("1_Pooling/config.json"));
	ok(json_is_true(json_object_get(config, "pooling_mode_mean_tokens")) &&
	   json_is_false(json_object_get(config, "pooling_mode_cls_token")) && json_object_size(config) == 5,
	   "as the first versions wrote it");
	json_decref(config);
	round_trip("everything", (struct ft_pooling){ .mode = { FT_POOL_CLS, FT_POOL_MEAN, FT_POOL_LAST }, .modes = 3,
	                                              .normalize = true, .lower_case = true, .width = 8, .max_length = 77,
	                                              .prompt = "query: " });
	clear();
	round_trip("modes in an order that flags cannot say",
	           (struct ft_pooling){ .mode = { FT_POOL_MEAN, FT_POOL_CLS }, .modes = 2, .with_prompt = true, .width = 8 });
	clear();
}

int main(void)
{
	if (!ok(mkdtemp(folder) && mkdir(in_folder("1_Pooling"), 0777) == 0, "a folder"))
		return tap_done();
	test_old();
	test_new();
	test_refused();
	test_members();
	test_write();
	is_str(ft_pooling_name(FT_POOL_MEAN_SQRT), "mean_sqrt_len_tokens", "a mode's name");
	ok(ft_pooling_parse("max") == FT_POOL_MAX && ft_pooling_parse("average") == -1, "and back");
	rmdir(in_folder("1_Pooling"));
	ok(rmdir(folder) == 0, "nothing else was left in the folder");
	return tap_done();
}
